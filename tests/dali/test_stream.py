"""A match by DALI is the match: every frame once, in order, whatever the file's places to begin."""

import logging
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dali_pipelines import stream as module
from dali_pipelines.graph import GraphOptions
from dali_pipelines.stream import MatchStream, plan_runs
from e2espot.inference.predict import InferenceOptions, spot_video
from e2espot.models.spotter import Spotter, SpotterSpec
from e2espot.video import index_of, open_reader
from tests.support import numbered_video as numbered
from tests.support.dali_videos import FORMATS, VP

SIZE = (numbered.WIDTH, numbered.HEIGHT)
OPTIONS = GraphOptions(device=torch.device("cpu"), batch_size=2, num_threads=1)
COUNT = 157


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("whole files")
    return {
        name: numbered.write(folder / name, numbered.constant(Fraction(25), COUNT, **more))
        for name, more in FORMATS.items()
    }


def stream(path: Path, **told: Any) -> MatchStream:
    return MatchStream(path=path, size=SIZE, options=OPTIONS, chunk_len=told.pop("chunk_len", 20), **told)


@given(
    st.lists(st.integers(1, 60), min_size=1, max_size=12),
    st.integers(1, 50),
    st.lists(st.integers(0, 3), min_size=1, max_size=200),
)
def test_runs_are_all_frames_once(lengths: list[int], longest: int, steps: list[int]) -> None:
    starts = np.cumsum([0, *lengths[:-1]])
    pictures_K = np.minimum(np.cumsum([0, *steps]), sum(lengths) - 1)
    runs = plan_runs(starts, pictures_K, longest)
    assert [frame for run in runs for frame in run] == list(range(len(pictures_K)))
    assert all(0 < len(run) <= longest for run in runs)


def test_runs_break_where_decoding_can_begin() -> None:
    assert plan_runs(np.arange(0, 100, 10), np.arange(100), 35) == [
        range(0, 30),
        range(30, 60),
        range(60, 90),
        range(90, 100),
    ]


@pytest.mark.parametrize("name", FORMATS)
def test_every_frame_once_and_in_order(files: dict[str, Path], name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LONGEST_RUN", 45)
    chunks = list(stream(files[name]).chunks())
    assert [len(chunk) for chunk in chunks] == [20] * (COUNT // 20) + [COUNT % 20]
    frames = torch.cat(chunks).numpy()
    assert numbered.numbers_in(frames) == list(range(COUNT))
    host = open_reader(files[name]).read(range(COUNT))
    assert np.abs(frames.astype(int) - host.astype(int)).mean() <= 2


def test_another_rate_and_uneven_pictures(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    stamps = tuple(int(v) for v in np.cumsum(rng.integers(10, 90, 200)))
    video = numbered.Video(
        stamps=stamps, time_base=Fraction(1, 1000), codec="libvpx-vp9", suffix=".webm", options={**VP, "g": "20"}
    )
    path = numbered.write(tmp_path / "uneven", video)
    wanted = numbered.expected([Fraction(stamp, 1000) for stamp in stamps], list(range(200)), Fraction(25, 2))
    frames = torch.cat(list(stream(path, fps=Fraction(25, 2)).chunks())).numpy()
    assert numbered.numbers_in(frames) == wanted


def test_scores_are_those_of_the_host(files: dict[str, Path]) -> None:
    torch.manual_seed(0)
    spec = SpotterSpec(
        feature_arch="small_gsm", temporal_arch="gru", classes=("PASS", "DRIVE"), clip_len=32, width=160, height=96
    )
    spotter = Spotter(spec).eval()
    found = {
        reader: spot_video(spotter, files["vp9"], InferenceOptions(reader=reader, precision="fp32", chunk_len=24))
        for reader in ("pyav", "decord", "dali")
    }
    assert len(found["dali"].scores_TK) == COUNT
    for other in ("pyav", "decord"):
        assert np.abs(found["dali"].scores_TK - found[other].scores_TK).max() < 0.01


def spoil(monkeypatch: pytest.MonkeyPatch, bad: range) -> None:
    """Cuts that begin within ``bad`` pictures are no containers."""
    cut = module.cut_pictures

    def spoilt(presentation: Any, first: int, last: int, source: Any) -> Any:
        good = cut(presentation, first, last, source)
        return type(good)(data=b"nothing" * 9, ranks_N=good.ranks_N) if first in bad else good

    monkeypatch.setattr(module, "cut_pictures", spoilt)


def test_a_run_that_fails_is_decoded_by_the_host(
    files: dict[str, Path], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "_LONGEST_RUN", 30)
    spoil(monkeypatch, range(25, 80))
    with caplog.at_level(logging.WARNING):
        frames = torch.cat(list(stream(files["vp9"]).chunks())).numpy()
    assert numbered.numbers_in(frames) == list(range(COUNT))
    assert any(str(files["vp9"]) in record.message for record in caplog.records)


def test_what_nobody_can_decode_is_missing_and_shifts_nothing(
    files: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    from e2espot.core.errors import VideoError

    monkeypatch.setattr(module, "_LONGEST_RUN", 30)
    spoil(monkeypatch, range(30, 31))

    def refuse(*_: Any, **__: Any) -> Any:
        raise VideoError("the file is damaged there")

    monkeypatch.setattr(module, "open_reader", refuse)
    told = stream(files["vp9"])
    frames = torch.cat(list(told.chunks())).numpy()
    (lost,) = told.missing
    assert lost.start == 30
    assert (frames[lost.start : lost.stop] == 0).all()
    kept = [frame for frame in range(COUNT) if frame not in lost]
    assert numbered.numbers_in(frames[kept]) == kept


def test_dalis_own_reader_gives_the_same_pictures(files: dict[str, Path], tmp_path: Path) -> None:
    from dali_pipelines.graph import dali, new_pipeline

    path = tmp_path / "vp9.mkv"  # its file lists break on blanks
    path.write_bytes(files["vp9"].read_bytes())
    with new_pipeline(GraphOptions(device=torch.device("cpu"), batch_size=1, num_threads=1)) as pipeline:
        video, numbers = dali().fn.experimental.readers.video(
            filenames=[str(path)], sequence_length=COUNT, enable_frame_num="sequence"
        )
        pipeline.set_outputs(video, numbers)
    pipeline.build()
    theirs, numbers = (np.array(output[0]) for output in pipeline.run())
    assert numbers.ravel().tolist() == list(range(COUNT))
    assert (torch.cat(list(stream(path).chunks())).numpy() == theirs).all()


def test_the_index_is_the_only_clock(files: dict[str, Path]) -> None:
    assert index_of(files["vp8-hidden-pictures"]).num_pictures == COUNT
