"""Every reader reads a damaged file or refuses it in one line, and writes nothing outside its folder."""

import contextlib
import importlib.util
import json
import logging
import os
import resource
import shutil
import signal
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from e2espot.core.errors import E2ESpotError
from e2espot.formats.conversion import Conversion, convert
from e2espot.formats.games import find_games
from e2espot.models.spotter import SpotterSpec
from e2espot.training.checkpoints import load_state, save_state
from tests.support.budget import print_figure, sized
from tests.support.encodings import ARRAY_CHANGES, encode
from tests.support.event_feeds import FEEDS
from tests.support.fuzz_targets_feeds import feed_targets
from tests.support.fuzz_targets_own_files import own_file_targets
from tests.support.fuzz_targets_stored import stored_targets
from tests.support.fuzz_targets_text import GAME, Target, all_targets, alter_field
from tests.support.fuzz_targets_variants import variant_targets
from tests.support.strategies import ANY_VALUE, FIELD_EDITS

pytestmark = pytest.mark.timeout(sized(600, 7200))

NAMES = [
    *("labels", "scored predictions", "scored labels", "splits.json", "recipe", "config.yaml", "class.txt"),
    *("calibration.json", "safetensors", "submission", "soccernet", "periods", "opensportslab labels"),
    *("opensportslab predictions", "sn-gar labels", "sn-gar predictions", "e2e-spot", "soccertrack-v2"),
    *("scores.npz", "tracks.npz", "calibration of classes", "weights", "weights to start from", "checkpoint_003.pt"),
    *("config.json", "loss.json", "OpenSportsLib's config.yaml", "report", "submission.zip", "predictions.zip"),
    *("labels.zip", "demo scores", "labels to all formats", "review journal", "reviewed labels"),
    *("reviewed predictions", "download record", "splits.json of a download", "transfer note", "state.pt", "index"),
    *("render.json", "e2e-spot gzip", "e2e-spot folder", "e2e-spot class.txt", "older results"),
    *("opensportslab folder", "opensportslab of others", "soccertrack folder", "labels, bad ones left out"),
    *(
        "table",
        "sportscode",
        "boris",
        "elan",
        "elan text",
        "dfl labels",
        "dfl submission",
        "footpass folder",
        "footpass predictions",
        "opensportslab version 1",
        "labels in a zip",
    ),
    *("dataset.yaml", "dataset.csv", "table next to a video"),
    *("table to score by", "table in JSON to score by", "results of E2E-Spot to score"),
    *("list in a store", "copies of results", "labels.yaml", "annotated table"),
    *("labelstudio", "via", "via csv", "cvat", "fcpxml"),
    *("srt", "vtt", "chapters", "losslesscut", "edl"),
    *(
        "labels with a video",
        "reviewed dataset",
        "OpenSportsLib's weights",
        "OpenSportsLib's safetensors",
        "a backbone",
    ),
]
FEED_NAMES = [f"{provider} feed" for provider in FEEDS]
WITH_KLOPPY = pytest.mark.skipif(
    importlib.util.find_spec("kloppy") is None, reason="event feeds need kloppy: pip install 'e2espot[feeds]'"
)
TOTAL = Counter[str]()
"""Counts over all readers so far."""


def spec() -> dict[str, Any]:
    return asdict(SpotterSpec(feature_arch="small_gsm", temporal_arch="gru", classes=("PASS",), clip_len=16))


@dataclass(frozen=True, kw_only=True)
class File:
    """What replaces the valid file."""

    data: bytes
    """Its bytes."""
    valid_but_one: bool
    """Whether one field was altered, rather than the bytes."""


@st.composite
def files(draw: st.DrawFn, target: Target, valid: bytes) -> File:
    """A valid file with one field altered, three times out of four; else with damaged bytes."""
    if draw(st.integers(0, 3)):
        values = (
            st.one_of(ANY_VALUE, st.sampled_from(ARRAY_CHANGES))
            if target.encoding in ("npz", "torch", "tensors")
            else ANY_VALUE
        )
        content = alter_field(target.valid, draw(st.integers(0, 400)), draw(values), draw(FIELD_EDITS))
        return File(data=encode(target.encoding, content), valid_but_one=True)
    data = bytearray(valid)
    how, at = draw(st.integers(0, 4)), draw(st.integers(0, max(0, len(data) - 1)))
    if how == 0:
        del data[at:]
    elif how == 1:
        data[at : at + 1] = draw(st.binary(max_size=6))
    elif how == 2:
        del data[at : at + draw(st.integers(1, 40))]
    elif how == 3:
        data[at:at] = draw(
            st.sampled_from([b"[" * 100_000, b"\xff\xfe", b"\0", b"NaN", b"{", b'"', b"&a [*a]", b"!!x "])
        )
    else:
        data[:] = draw(st.binary(max_size=60))
    return File(data=bytes(data), valid_but_one=False)


@pytest.fixture(scope="module")
def targets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Target]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(logging.root, "handlers", [logging.NullHandler()])
        texts = all_targets(tmp_path_factory.mktemp("scratch"), spec())
        stored = stored_targets(tmp_path_factory.mktemp("stored"))
        variants = variant_targets(tmp_path_factory.mktemp("variants"))
        return {**texts, **stored, **variants, **own_file_targets(), **feed_targets()}


@pytest.mark.parametrize("name", [*NAMES, *(pytest.param(name, marks=WITH_KLOPPY) for name in FEED_NAMES)])
def test_reader_reads_or_refuses_altered_files(
    name: str, targets: dict[str, Target], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert {*NAMES, *FEED_NAMES} == set(targets)
    monkeypatch.setattr(logging.root, "handlers", [logging.NullHandler()])
    target, counts = targets[name], Counter[str]()
    for folder in ("a/b", "a/c", "a/d"):
        (tmp_path / folder).mkdir(parents=True)
    path = tmp_path / target.name
    path.parent.mkdir(parents=True, exist_ok=True)
    valid = encode(target.encoding, target.valid)
    path.write_bytes(valid)
    target.read(tmp_path)
    many = sized(max(2, 16 // target.cost), 3000 // target.cost)

    @settings(
        max_examples=many,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],  # no shrinking: it takes longer than to look at the failing file
    )
    @given(files(target, valid))
    def attack(file: File) -> None:
        path.write_bytes(file.data)
        counts["one field altered" if file.valid_but_one else "bytes damaged"] += 1
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                target.read(tmp_path)
            counts["read"] += 1
        except E2ESpotError as error:
            assert str(error).strip()
            assert "\n" not in str(error), str(error)
            counts["refused"] += 1

    attack()
    TOTAL.update(counts)
    print_figure(f"{name}: {dict(counts)}; total {dict(TOTAL)}")


HOSTILE = (
    "../out",
    "/etc/out",
    "a/../../out",
    "..",
    "a\0b",
    "a\nb",
    "a/./../../out",
    "\\\\host\\x",
    "~/out",
    "a" * 300,
)


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_write_nothing_outside_the_folder(name: str, targets: dict[str, Target], tmp_path: Path) -> None:
    inside = tmp_path / "deep" / "inside"
    inside.mkdir(parents=True)
    (inside / "splits.json").write_text(json.dumps({"train": [name]}))
    with pytest.raises(E2ESpotError):
        find_games(inside, split="train", need_videos=False)
    for kind in ("opensportslab labels", "e2e-spot"):
        content = json.loads(json.dumps(targets[kind].valid).replace(json.dumps(GAME)[1:-1], json.dumps(name)[1:-1]))
        (inside / "x.json").write_text(json.dumps(content))
        conversion = Conversion(
            source=inside / "x.json",
            target=inside / "out",
            from_format="opensportslab" if "open" in kind else "e2e-spot",
            to_format="soccernet",
            predictions=kind == "e2e-spot",
            overwrite=True,
        )
        with contextlib.suppress(E2ESpotError):
            convert(conversion)
    assert {path.name for path in inside.iterdir()} <= {"splits.json", "x.json", "out"}
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["inside"]
    assert not Path("/etc/out").exists()


def run_in_child(work: Callable[[], None]) -> str:
    """What ``work`` raised in a forked process, for limits and users that cannot be reset."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            work()
            outcome = "nothing"
        except BaseException as error:
            outcome = f"{type(error).__name__}: {error}"
        os.write(write, outcome.encode()[:4000])
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as file:
        outcome = file.read()
    os.waitpid(child, 0)
    return outcome


@pytest.mark.skipif(os.getuid() != 0, reason="only root can change the user")
def test_save_state_names_a_file_it_may_not_write() -> None:
    folder = Path(tempfile.mkdtemp())  # only root may enter tmp_path
    try:
        (folder / "last").mkdir()
        (folder / "last" / "state.pt").write_bytes(b"as it was")
        for path in (folder, folder / "last"):
            path.chmod(0o555)

        def work() -> None:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
            save_state(folder, {"step": 1})

        assert run_in_child(work).startswith(f"E2ESpotError: {folder}/last/state.pt: cannot be written")
        assert (folder / "last" / "state.pt").read_bytes() == b"as it was"
        assert len(list(folder.rglob("*"))) == 2
    finally:
        shutil.rmtree(folder)


def test_save_state_on_a_full_disk_keeps_the_previous_state(tmp_path: Path) -> None:
    save_state(tmp_path, {"step": 1})

    def work() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
        save_state(tmp_path, {"step": 2, "weights": list(range(5000))})

    assert "cannot be written" in run_in_child(work)
    assert load_state(tmp_path) == {"step": 1}
    assert not list((tmp_path / "last").glob(".*"))
