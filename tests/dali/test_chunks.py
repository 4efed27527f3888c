"""Every container that DALI would be given, decoded by PyAV from those very bytes: the GPU's half, without a GPU."""

from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch

from dali_pipelines.clips import ClipGraph, Material, MaterialDataset
from dali_pipelines.graph import GraphOptions
from dali_pipelines.routes import colour_correction, dali_index, road_of
from dali_pipelines.stream import RunGraph, longest_run, plan_runs
from e2espot.video import open_reader, pictures_of_grid
from e2espot.video.keyframes import Start, start_kind
from e2espot.video.stream_copy import cut_pictures
from tests.conftest import SHARED
from tests.support import numbered_video as numbered
from tests.support.dali_videos import SIZE, dataset

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
    return numbered.write(folder / name, numbered.constant(Fraction(25), COUNT, suffix=suffix, **H264[name]))


def pictures(data: np.ndarray) -> list[np.ndarray]:
    with av.open(BytesIO(data.tobytes())) as container:
        return [picture.to_ndarray(format="rgb24") for picture in container.decode(video=0)]


def first_kind(data: np.ndarray) -> Start:
    with av.open(BytesIO(data.tobytes())) as container:
        stream = container.streams.video[0]
        packet = next(container.demux(stream))
        return start_kind(stream.codec_context.name, bytes(stream.codec_context.extradata or b""), memoryview(packet))


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize("name", H264)
def test_every_chunk_of_an_epoch_is_exact_and_begins_with_an_idr(name: str, suffix: str, tmp_path: Path) -> None:
    path = write(tmp_path, name, suffix)
    data = MaterialDataset(dataset([path], clip_len=20, num_clips=16), "cuda")
    for index in range(16):
        clip = data.sampler.clip(0, index)
        item = data[0, index]
        material: Material = item["frames"]
        assert material.road == "decode"
        assert first_kind(material.data) == Start.CLEAN
        seen = pictures(material.data)
        for t, place in enumerate(material.places_T):
            assert (place >= 0) == item["valid"][t]
            if place >= 0:
                assert numbered.number_in(seen[place]) == clip.start + t


def test_an_edit_list_shifts_no_chunk(tmp_path: Path) -> None:
    whole = write(tmp_path, "b-frames", ".mp4")
    ticks = -7 * 512  # seven pictures before the first one shown
    path = numbered.recopied(
        whole, tmp_path / "hidden.mp4", shift=ticks, options={"avoid_negative_ts": "disabled", "use_editlist": "1"}
    )
    hidden = COUNT - dali_index(path).num_pictures
    assert hidden == 7
    data = MaterialDataset(dataset([path], clip_len=20, num_clips=8), "cuda")
    for index in range(8):
        clip, item = data.sampler.clip(0, index), data[0, index]
        seen = pictures(item["frames"].data)
        for t in np.flatnonzero(item["valid"]):
            assert numbered.number_in(seen[item["frames"].places_T[t]]) == clip.start + t + hidden


@pytest.mark.parametrize("name", H264)
def test_every_run_of_a_match_is_exact_and_begins_with_an_idr(name: str, tmp_path: Path) -> None:
    index = dali_index(write(tmp_path, name, ".mp4"))
    grid_K = pictures_of_grid(index, Fraction(25))
    for run in plan_runs(index.start_picture_S, grid_K, 30):
        cut = cut_pictures(index, int(grid_K[run.start]), int(grid_K[run.stop - 1]))
        data = np.frombuffer(cut.data, dtype=np.uint8)
        assert first_kind(data) == Start.CLEAN
        seen = pictures(data)
        assert [numbered.number_in(seen[p]) for p in cut.places(grid_K[run.start : run.stop])] == list(run)


FOOTAGE = sorted((SHARED / "clips").glob("*.mp4"))[:8] if (SHARED / "clips").is_dir() else []


@pytest.mark.skipif(not FOOTAGE, reason="no real footage beside the project (../shared/clips)")
@pytest.mark.parametrize("path", FOOTAGE, ids=lambda path: path.stem)
def test_runs_of_real_footage_are_the_hosts_pictures(path: Path) -> None:
    index = dali_index(path, allow_truncated=True)
    if road_of(index, "cuda")[0] == "host":
        pytest.skip(f"takes the host's road: {road_of(index, 'cuda')[1]}")
    grid_K = pictures_of_grid(index, Fraction(25))
    run = plan_runs(index.start_picture_S, grid_K, longest_run(index))[-1]
    cut = cut_pictures(index, int(grid_K[run.start]), int(grid_K[run.stop - 1]))
    seen = pictures(np.frombuffer(cut.data, dtype=np.uint8))
    checked = [run.start, (run.start + run.stop) // 2, run.stop - 1]
    for frame, theirs in zip(checked, open_reader(path, allow_truncated=True).read(checked), strict=True):
        assert np.abs(seen[int(cut.places(grid_K[[frame]])[0])].astype(int) - theirs).mean() < 1


GRAPHS = {
    "clips, decoded": lambda options: ClipGraph(
        options, "decode", size=SIZE, dtype=torch.float16, crop=True, blur=True
    ),
    "clips, from the host": lambda options: ClipGraph(
        options, "host", size=SIZE, dtype=torch.float32, crop=True, blur=True
    ),
    "a match": lambda options: RunGraph(options, SIZE, "bt709"),
}


@pytest.mark.parametrize("name", GRAPHS)
def test_the_gpu_graphs_are_well_formed(name: str) -> None:
    """Names, types and layouts are checked when operators are called; only the device is asked for in building."""
    GRAPHS[name](GraphOptions(device=torch.device("cpu"), batch_size=4)).define().build()
    pipeline = GRAPHS[name](GraphOptions(device=torch.device("cuda", 0), batch_size=4)).define()
    if torch.cuda.is_available():
        pipeline.build()
        return
    with pytest.raises(RuntimeError, match=r"(?i)cuda|cuInit|nvml|driver"):
        pipeline.build()


def test_a_wrong_argument_would_have_been_seen() -> None:
    from dali_pipelines import graph

    options = GraphOptions(device=torch.device("cuda", 0), batch_size=4)
    with pytest.raises(Exception, match="no_such_argument"), graph.new_pipeline(options):
        graph.dali().fn.resize(graph.decoded(options), size=(8, 8), no_such_argument=1)


@pytest.mark.parametrize("matrix", ["bt601", "bt709", "bt2020"])
def test_grey_stays_grey_under_any_matrix(matrix: str) -> None:
    np.testing.assert_allclose(colour_correction(matrix) @ np.ones(3), np.ones(3))
