"""Raw H.264 and HEVC, which state no times: read by the rate that the user gives."""

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from dali_pipelines.routes import choose_route
from e2espot.core.errors import ConfigurationError, VideoError
from e2espot.inference.options import InferenceOptions
from e2espot.inference.predict import spot_video
from e2espot.models import Spotter, SpotterSpec
from e2espot.video import index_video, open_reader, probe, stream_frames
from e2espot.video.index import closed_gops_only
from e2espot.video.transcode import transcode
from tests.support.numbered_video import constant, numbers_in, write
from tests.support.tiny_dataset import write_spotter
from tests.support.tools import tool

COUNT, CLIP_LEN = 100, 10


@pytest.fixture(scope="module", params=["h264", "h264-b", "hevc-b"])
def path(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("raw")
    kind = request.param.split("-")[0]
    codec = {"h264": "libx264", "hevc": "libx265"}[kind]
    options = {"g": "20", "bf": "2" if request.param.endswith("b") else "0", "x265-params": "open-gop=0:log-level=none"}
    contained = write(folder / "contained", constant(Fraction(25), COUNT, suffix=".mkv", codec=codec, options=options))
    raw = folder / f"match.{kind}"
    with av.open(str(contained)) as source, av.open(str(raw), "w", format=kind) as target:
        stream: Any = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = stream
                target.mux(packet)
    return raw


def test_raw_stream_is_refused_with_a_hint_at_its_rate(path: Path) -> None:
    for read in (index_video, probe, open_reader, lambda file: next(stream_frames(file))):
        with pytest.raises(VideoError, match=r"states no times, .* such as source_fps=25") as caught:
            read(path)  # type: ignore[operator]
        assert caught.value.option == "source_fps"
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("source_fps", [Fraction(25), Fraction(50), Fraction(30000, 1001)])
def test_raw_stream_is_read_at_the_rate_given(source_fps: Fraction, path: Path) -> None:
    info = probe(path, source_fps=source_fps)
    assert info.duration_s == COUNT / source_fps
    for fps in (Fraction(25), Fraction(25, 2)):
        num_frames = probe(path, fps, source_fps=source_fps).num_frames
        # The picture on show in the middle of each frame, by the definition.
        wanted = [int((k + Fraction(1, 2)) / fps * source_fps) for k in range(num_frames)]
        for reader in ("auto", "decord"):
            with open_reader(path, fps=fps, source_fps=source_fps, reader=reader) as frames:  # type: ignore[arg-type]
                assert numbers_in(frames.read(range(len(wanted)))) == wanted
                for start in np.random.default_rng(0).integers(0, len(wanted) - CLIP_LEN, 6).tolist():
                    assert numbers_in(frames.read(range(start, start + CLIP_LEN))) == wanted[start : start + CLIP_LEN]
        streamed = np.concatenate([c.frames_THWC for c in stream_frames(path, fps=fps, source_fps=source_fps)])
        assert numbers_in(streamed) == wanted


def test_choose_route_leaves_raw_streams_to_the_host(path: Path) -> None:
    index = closed_gops_only(index_video(path, source_fps=Fraction(25)))
    assert choose_route(index, "cuda")[0] == "host"


def test_transcode_of_a_raw_stream_uses_the_rate_given(path: Path, tmp_path: Path) -> None:
    for source_fps, rate in ((None, 25), (Fraction(50), 50)):
        assert transcode(path, tmp_path / "new.mp4", source_fps=source_fps) == COUNT
        index = index_video(tmp_path / "new.mp4")
        assert [int(pts) * index.time_base for pts in index.pts_P] == [Fraction(k, rate) for k in range(COUNT)]
    with pytest.raises(VideoError, match="source_fps is 50, and the file states the times"):
        transcode(tmp_path / "new.mp4", tmp_path / "newer.mp4", source_fps=Fraction(50))


def test_source_fps_of_a_file_with_times_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "video", constant(Fraction(25), 30))
    with pytest.raises(VideoError, match="source_fps is 50, and the file states the times") as caught:
        open_reader(path, source_fps=Fraction(50))
    assert caught.value.option == "source_fps"


def test_spot_video_reads_a_raw_stream_at_the_rate_given(path: Path) -> None:
    spec = SpotterSpec(
        feature_arch="small_gsm", temporal_arch="gru", classes=("PASS",), clip_len=20, width=64, height=64
    )
    spotter = Spotter(spec).eval()
    scores = spot_video(spotter, path, InferenceOptions(precision="fp32", adapt="none", source_fps="50"))
    assert len(scores.scores_TK) == COUNT // 2
    with pytest.raises(ConfigurationError, match="source_fps is 'fast'") as caught:
        spot_video(spotter, path, InferenceOptions(precision="fp32", source_fps="fast"))
    assert caught.value.option == "source_fps"


def test_infer_reads_a_raw_stream_at_the_rate_given(path: Path, tmp_path: Path) -> None:
    run, out = write_spotter(tmp_path / "toy.safetensors"), tmp_path / "out"
    refused = tool("infer", run, path, "-o", out)
    assert refused.returncode == 2 and "--source_fps" in refused.stderr
    done = tool("infer", run, path, "-o", out, "--source_fps", "50")
    assert done.returncode == 0, done.stderr
    (results,) = out.rglob("results_spotting.json")
    positions_ms = [int(row["position"]) for row in json.loads(results.read_text())["predictions"]]
    assert 1000 < max(positions_ms) < 1000 * COUNT / 50
