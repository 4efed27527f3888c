"""Whole matches by DALI: every frame once and in order, wherever decoding can begin."""

import logging
from collections.abc import Sequence
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dali_pipelines import stream as module
from dali_pipelines.colour import SourceColours, swscale_node
from dali_pipelines.graph import GraphOptions
from dali_pipelines.routes import choose_route, dali_index
from dali_pipelines.stream import MatchStream, plan_runs
from e2espot.cli.main import dispatch
from e2espot.core.errors import DamagedVideoError
from e2espot.formats.feature_files import open_features
from e2espot.inference import predict
from e2espot.inference.options import InferenceOptions
from e2espot.inference.predict import spot_video
from e2espot.models.spotter import Spotter, SpotterSpec
from e2espot.models.weights.checkpoint import save_spotter
from e2espot.video import index_of, open_reader
from e2espot.video.reader import GridReader
from tests.support import numbered_video
from tests.support.dali_videos import FORMATS, VP

SIZE = (numbered_video.WIDTH, numbered_video.HEIGHT)
OPTIONS = GraphOptions(device=torch.device("cpu"), batch_size=2, num_threads=1)
COUNT = 157


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("whole files")
    return {
        name: numbered_video.write(folder / name, numbered_video.constant(Fraction(25), COUNT, **more))
        for name, more in FORMATS.items()
    }


def stream(path: Path, **more: Any) -> MatchStream:
    return MatchStream(path=path, size=SIZE, options=OPTIONS, chunk_len=20, **more)


@given(
    st.lists(st.integers(1, 60), min_size=1, max_size=12),
    st.integers(1, 50),
    st.lists(st.integers(0, 3), min_size=1, max_size=200),
)
def test_plan_runs_covers_all_frames_once(lengths: list[int], longest: int, steps: list[int]) -> None:
    starts = np.cumsum([0, *lengths[:-1]])
    pictures_K = np.minimum(np.cumsum([0, *steps]), sum(lengths) - 1)
    runs = plan_runs(starts, pictures_K, longest)
    assert [frame for run in runs for frame in run] == list(range(len(pictures_K)))
    assert all(0 < len(run) <= longest for run in runs)


def test_plan_runs_breaks_between_segments() -> None:
    assert plan_runs(np.arange(0, 100, 10), np.arange(100), 35) == [
        range(0, 30),
        range(30, 60),
        range(60, 90),
        range(90, 100),
    ]


@pytest.mark.parametrize("name", FORMATS)
def test_chunks_hold_every_frame_once_in_order(
    files: dict[str, Path], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MAX_RUN", 45)
    chunks = list(stream(files[name]).chunks())
    assert [len(chunk) for chunk in chunks] == [20] * (COUNT // 20) + [COUNT % 20]
    frames = torch.cat(chunks).numpy()
    assert numbered_video.numbers_in(frames) == list(range(COUNT))
    host = open_reader(files[name]).read(range(COUNT))
    assert np.abs(frames.astype(int) - host.astype(int)).mean() <= 2


def test_chunks_at_another_rate_of_variable_rate_video(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    stamps = tuple(int(v) for v in np.cumsum(rng.integers(10, 90, 200)))
    video = numbered_video.Video(
        stamps=stamps, time_base=Fraction(1, 1000), codec="libvpx-vp9", suffix=".webm", options={**VP, "g": "20"}
    )
    path = numbered_video.write(tmp_path / "uneven", video)
    wanted = numbered_video.expected([Fraction(stamp, 1000) for stamp in stamps], list(range(200)), Fraction(25, 2))
    frames = torch.cat(list(stream(path, fps=Fraction(25, 2)).chunks())).numpy()
    assert numbered_video.numbers_in(frames) == wanted


@pytest.mark.parametrize("fps", [Fraction(25), Fraction(25, 2)])
def test_chunks_of_a_match_in_several_files_are_those_of_one_clock(fps: Fraction, tmp_path: Path) -> None:
    vp9: dict[str, Any] = {"codec": "libvpx-vp9", "suffix": ".mkv", "options": {**VP, "g": "20"}}
    parts = [numbered_video.constant(Fraction(30), 50, **vp9), numbered_video.constant(Fraction(25), 70, **vp9)]
    path = Path("+".join(str(numbered_video.write(tmp_path / str(n), part)) for n, part in enumerate(parts)))
    frames = torch.cat(list(stream(path, fps=fps).chunks())).numpy()
    with open_reader(path, fps=fps) as reader:
        host = reader.read(range(reader.info.num_frames))
    assert numbered_video.numbers_in(frames) == numbered_video.numbers_in(host)
    middles_s = [(k + Fraction(1, 2)) / fps for k in range(len(host))]
    wanted = [int(s * 30) if s < Fraction(50, 30) else int((s - Fraction(50, 30)) * 25) for s in middles_s]
    assert numbered_video.numbers_in(frames) == wanted


def test_spot_video_scores_agree_between_backends(files: dict[str, Path]) -> None:
    torch.manual_seed(0)
    spec = SpotterSpec(
        feature_arch="small_gsm", temporal_arch="gru", classes=("PASS", "DRIVE"), clip_len=32, width=160, height=96
    )
    spotter = Spotter(spec).eval()
    options = partial(InferenceOptions, precision="fp32", chunk_len=24, adapt="none")
    scores = {
        reader: spot_video(spotter, files["vp9"], options(reader=reader)) for reader in ("pyav", "decord", "dali")
    }
    assert len(scores["dali"].scores_TK) == COUNT
    for other in ("pyav", "decord"):
        assert np.abs(scores["dali"].scores_TK - scores[other].scores_TK).max() < 0.01


@pytest.mark.parametrize(("name", "others"), [("vp9", ("auto", "decord")), ("mjpeg", ("auto",))])
def test_feature_rows_of_a_run_agree_between_readers(
    files: dict[str, Path], name: str, others: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_dali: list[int] = []
    chunks = MatchStream.chunks
    monkeypatch.setattr(
        MatchStream, "chunks", lambda self: (of_dali.append(len(chunk)) or chunk for chunk in chunks(self))
    )
    torch.manual_seed(0)
    spec = SpotterSpec(
        feature_arch="small_gsm", temporal_arch="gru", classes=("PASS",), clip_len=32, fps="12.5", width=160, height=96
    )
    save_spotter(tmp_path / "run" / "best.safetensors", Spotter(spec).state_dict(), spec)
    rows = {}
    for reader in ("dali", *others):
        words = [files[name], "-o", tmp_path / reader, "--backbone", tmp_path / "run", "--reader", reader]
        dispatch(["features", *map(str, words), "--device", "cpu", "--precision", "fp32"])
        rows[reader] = open_features(tmp_path / reader / f"{files[name].stem}_run.npy").read()
    assert rows["dali"].shape == rows["auto"].shape == (COUNT // 2, rows["auto"].shape[1])
    assert sum(of_dali) == COUNT // 2
    # In units of what a row changes from one to the next: a row of another picture is far off.
    scale = np.abs(np.diff(rows["auto"], axis=0)).mean()
    for other in others:
        assert np.abs(rows["dali"] - rows[other]).max() < 0.02 * scale


def corrupt_copies(monkeypatch: pytest.MonkeyPatch, first_pictures: range) -> None:
    """Make the stream copies that begin with one of ``first_pictures`` no containers."""
    cut = module.cut_pictures

    def corrupted(index: Any, first: int, last: int, source: Any, **options: Any) -> Any:
        good = cut(index, first, last, source, **options)
        return type(good)(data=b"nothing" * 9, ranks_N=good.ranks_N) if first in first_pictures else good

    monkeypatch.setattr(module, "cut_pictures", corrupted)


def test_chunks_of_a_run_that_dali_refuses_come_from_pyav(
    files: dict[str, Path], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "_MAX_RUN", 30)
    corrupt_copies(monkeypatch, range(25, 80))
    with caplog.at_level(logging.WARNING):
        frames = torch.cat(list(stream(files["vp9"]).chunks())).numpy()
    assert numbered_video.numbers_in(frames) == list(range(COUNT))
    assert any(str(files["vp9"]) in record.message for record in caplog.records)


@pytest.fixture
def undecodable_run(monkeypatch: pytest.MonkeyPatch) -> range:
    """Frames of a run that neither DALI nor PyAV decodes."""
    monkeypatch.setattr(module, "_MAX_RUN", 30)
    corrupt_copies(monkeypatch, range(30, 31))
    run, read = range(30, 60), GridReader.read

    def refuse(reader: GridReader, frames: Sequence[int]) -> np.ndarray:
        if set(frames) & set(run):
            raise DamagedVideoError(f"{reader.info.path}: the file is damaged there", option="allow_truncated")
        return read(reader, frames)

    monkeypatch.setattr(GridReader, "read", refuse)
    return run


def test_chunks_are_zero_where_a_missing_run_is_reported(files: dict[str, Path], undecodable_run: range) -> None:
    missing: list[range] = []
    frames = torch.cat(list(stream(files["vp9"], missing=missing).chunks())).numpy()
    assert missing == [undecodable_run]
    assert not frames[undecodable_run.start : undecodable_run.stop].any()
    others = [frame for frame in range(COUNT) if frame not in undecodable_run]
    assert numbered_video.numbers_in(frames[others]) == others


def test_chunks_raise_at_a_run_that_may_not_be_missing(files: dict[str, Path], undecodable_run: range) -> None:
    with pytest.raises(DamagedVideoError, match="vp9") as caught:
        list(stream(files["vp9"]).chunks())
    assert caught.value.option == "allow_truncated"


DAMAGED = {
    "host route": {"codec": "mjpeg", "suffix": ".mov", "pixel_format": "yuvj422p"},
    "decode route": {"codec": "mjpeg", "suffix": ".mov", "pixel_format": "yuvj420p"},
}
"""MJPEG, since every picture of it decodes alone: what is lost does not depend on the backend."""


@pytest.mark.parametrize("route", DAMAGED)
def test_damaged_video_gives_the_frames_and_missing_ranges_of_backend_auto(route: str, tmp_path: Path) -> None:
    video = numbered_video.constant(Fraction(25), COUNT, size=SIZE, options={"qscale": "2"}, **DAMAGED[route])
    path = numbered_video.write(tmp_path / "damaged", video)
    numbered_video.overwrite_packets(path, slice(40, 100))
    assert choose_route(dali_index(path), "cpu")[0] == route.split()[0]
    spec = SpotterSpec(
        feature_arch="small_gsm", temporal_arch="gru", classes=("PASS",), clip_len=32, width=SIZE[0], height=SIZE[1]
    )
    spotter = Spotter(spec).eval()
    frames, missing = {}, {}
    for reader in ("auto", "dali"):
        lost: list[range] = []
        options = InferenceOptions(reader=reader, allow_truncated=True)
        frames[reader] = torch.cat(list(predict.frames_of_video(spotter, path, options, lost))).numpy()
        missing[reader] = sorted({frame for gap in lost for frame in gap})
    assert missing["dali"] == missing["auto"] == list(range(65, 100))  # picture 39 is held for a second
    assert np.abs(frames["dali"].astype(int) - frames["auto"]).mean(axis=(1, 2, 3)).max() <= 2
    if route == "host route":
        assert np.array_equal(frames["dali"], frames["auto"])
    for reader in ("auto", "dali"):
        with pytest.raises(DamagedVideoError):
            list(predict.frames_of_video(spotter, path, InferenceOptions(reader=reader), []))


def test_chunks_equal_those_of_dalis_own_reader(files: dict[str, Path], tmp_path: Path) -> None:
    from dali_pipelines.graph import dali, new_pipeline

    path = tmp_path / "vp9.mkv"  # without blanks, on which its file lists break
    path.write_bytes(files["vp9"].read_bytes())
    with new_pipeline(GraphOptions(device=torch.device("cpu"), batch_size=1, num_threads=1)) as pipeline:
        video, numbers = dali().fn.experimental.readers.video(
            filenames=[str(path)], sequence_length=COUNT, enable_frame_num="sequence"
        )
        colours = SourceColours(size=SIZE, matrix="bt601", full_range=False)
        pipeline.set_outputs(swscale_node(video, colours, SIZE), numbers)
    pipeline.build()
    theirs, numbers = (np.array(output[0]) for output in pipeline.run())
    assert numbers.ravel().tolist() == list(range(COUNT))
    assert (torch.cat(list(stream(path).chunks())).numpy() == theirs).all()


def test_index_counts_no_hidden_vp8_pictures(files: dict[str, Path]) -> None:
    assert index_of(files["vp8-hidden-pictures"]).num_pictures == COUNT
