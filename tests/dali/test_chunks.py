"""Every container that DALI would be given, decoded by PyAV from the same bytes: a check of GPU input without a GPU."""

from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch

from dali_pipelines.clips import ClipGraph, EncodedClip, EncodedClipDataset
from dali_pipelines.colour import SourceColours, colour_correction
from dali_pipelines.graph import GraphOptions
from dali_pipelines.routes import choose_route, dali_index
from dali_pipelines.stream import RunGraph, max_run_len, plan_runs
from e2espot.core.picture_options import PictureOptions
from e2espot.video import open_reader, pictures_of_grid
from e2espot.video.black_bars import Area
from e2espot.video.keyframes import KeyframeKind, keyframe_kind
from e2espot.video.stream_copy import cut_pictures
from tests.conftest import SHARED
from tests.support import numbered_video
from tests.support.dali_videos import SIZE, dataset
from tests.support.numbered_video import constant, number_in, remux

OPEN = "open-gop=1:b-pyramid=normal:scenecut=0:ref=4"
H264: dict[str, dict[str, Any]] = {
    "b-frames": {"options": {"g": "50", "bf": "2"}},
    "pyramid": {"options": {"g": "60", "bf": "5", "x264-params": "b-pyramid=normal:scenecut=0:ref=4"}},
    "open-groups": {"options": {"g": "25", "bf": "3", "x264-params": OPEN}},
    "one-group": {"options": {"g": "999", "bf": "2", "x264-params": "scenecut=0"}},
    "bt709": {"options": {"g": "25"}, "colour": (1, 1)},
}
COUNT = 140


def write(folder: Path, name: str, suffix: str) -> Path:
    return numbered_video.write(folder / name, constant(Fraction(25), COUNT, suffix=suffix, **H264[name]))


def pictures(data: np.ndarray) -> list[np.ndarray]:
    with av.open(BytesIO(data.tobytes())) as container:
        return [picture.to_ndarray(format="rgb24") for picture in container.decode(video=0)]


def first_kind(data: np.ndarray) -> KeyframeKind:
    with av.open(BytesIO(data.tobytes())) as container:
        stream = container.streams.video[0]
        packet = next(container.demux(stream))
        return keyframe_kind(
            stream.codec_context.name, bytes(stream.codec_context.extradata or b""), memoryview(packet)
        )


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize("name", H264)
def test_encoded_clips_begin_with_a_closed_gop_and_are_exact(name: str, suffix: str, tmp_path: Path) -> None:
    path = write(tmp_path, name, suffix)
    data = EncodedClipDataset(dataset([path], clip_len=20, num_clips=16), "cuda")
    for index in range(16):
        clip = data.sampler.clip(0, index)
        item = data[0, index]
        encoded: EncodedClip = item.frames
        assert encoded.route == "decode"
        assert first_kind(encoded.data) == KeyframeKind.CLOSED_GOP
        seen = pictures(encoded.data)
        for t, position in enumerate(encoded.positions_T):
            assert (position >= 0) == item.targets.valid_T[t]
            if position >= 0:
                assert number_in(seen[position]) == clip.start + t


def test_encoded_clips_of_a_video_with_an_edit_list(tmp_path: Path) -> None:
    whole = write(tmp_path, "b-frames", ".mp4")
    ticks = -7 * 512  # seven pictures before the first one shown
    path = remux(
        whole, tmp_path / "hidden.mp4", shift=ticks, options={"avoid_negative_ts": "disabled", "use_editlist": "1"}
    )
    hidden = COUNT - dali_index(path).num_pictures
    assert hidden == 7
    data = EncodedClipDataset(dataset([path], clip_len=20, num_clips=8), "cuda")
    for index in range(8):
        clip, item = data.sampler.clip(0, index), data[0, index]
        seen = pictures(item.frames.data)
        for t in np.flatnonzero(item.targets.valid_T):
            assert number_in(seen[item.frames.positions_T[t]]) == clip.start + t + hidden


@pytest.mark.parametrize("name", H264)
def test_copies_of_runs_begin_with_a_closed_gop_and_are_exact(name: str, tmp_path: Path) -> None:
    index = dali_index(write(tmp_path, name, ".mp4"))
    grid_K = pictures_of_grid(index, Fraction(25))
    for run in plan_runs(index.start_picture_S, grid_K, 30):
        cut = cut_pictures(index, int(grid_K[run.start]), int(grid_K[run.stop - 1]))
        data = np.frombuffer(cut.data, dtype=np.uint8)
        assert first_kind(data) == KeyframeKind.CLOSED_GOP
        seen = pictures(data)
        assert [number_in(seen[p]) for p in cut.positions_of(grid_K[run.start : run.stop])] == list(run)


FOOTAGE = sorted((SHARED / "clips").glob("*.mp4"))[:8] if (SHARED / "clips").is_dir() else []


@pytest.mark.skipif(not FOOTAGE, reason="no real footage next to the project (../shared/clips)")
@pytest.mark.parametrize("path", FOOTAGE, ids=lambda path: path.stem)
def test_copies_of_real_footage_equal_the_hosts_pictures(path: Path) -> None:
    index = dali_index(path, allow_truncated=True)
    if choose_route(index, "cuda")[0] == "host":
        pytest.skip(f"takes the host route: {choose_route(index, 'cuda')[1]}")
    grid_K = pictures_of_grid(index, Fraction(25))
    run = plan_runs(index.start_picture_S, grid_K, max_run_len(index))[-1]
    cut = cut_pictures(index, int(grid_K[run.start]), int(grid_K[run.stop - 1]))
    seen = pictures(np.frombuffer(cut.data, dtype=np.uint8))
    checked = [run.start, (run.start + run.stop) // 2, run.stop - 1]
    # A copy has the bars of its file; the graph crops them.
    whole = open_reader(path, allow_truncated=True, pictures=PictureOptions(crop_bars="off"))
    for frame, theirs in zip(checked, whole.read(checked), strict=True):
        assert np.abs(seen[int(cut.positions_of(grid_K[[frame]])[0])].astype(int) - theirs).mean() < 1


GRAPHS = {
    "clips, decoded": lambda options: ClipGraph(
        options, "decode", size=SIZE, dtype=torch.float16, crop=True, blur=True
    ),
    "clips, from the host": lambda options: ClipGraph(
        options, "host", size=SIZE, dtype=torch.float32, crop=True, blur=True
    ),
    "a match": lambda options: RunGraph(
        options, SIZE, SourceColours(size=(1280, 720), matrix="bt709", full_range=False)
    ),
    "a match with bars": lambda options: RunGraph(
        options,
        SIZE,
        SourceColours(size=(1280, 720), matrix="bt709", full_range=False),
        Area(left=160, top=0, width=960, height=720),
    ),
}


@pytest.mark.parametrize("name", GRAPHS)
def test_graphs_are_well_formed_for_the_gpu(name: str) -> None:
    """DALI checks names, types and layouts when operators are called; only building needs the device."""
    GRAPHS[name](GraphOptions(device=torch.device("cpu"), batch_size=4)).define().build()
    pipeline = GRAPHS[name](GraphOptions(device=torch.device("cuda", 0), batch_size=4)).define()
    if torch.cuda.is_available():
        pipeline.build()
        return
    with pytest.raises(RuntimeError, match=r"(?i)cuda|cuInit|nvml|driver"):
        pipeline.build()


def test_pipeline_definition_refuses_unknown_arguments() -> None:
    from dali_pipelines import graph

    options = GraphOptions(device=torch.device("cuda", 0), batch_size=4)
    with pytest.raises(Exception, match="no_such_argument"), graph.new_pipeline(options):
        graph.dali().fn.resize(graph.video_node(options), size=(8, 8), no_such_argument=1)


@pytest.mark.parametrize("matrix", ["bt601", "bt709", "bt2020"])
def test_colour_correction_keeps_grey(matrix: str) -> None:
    np.testing.assert_allclose(colour_correction(matrix) @ np.ones(3), np.ones(3))
