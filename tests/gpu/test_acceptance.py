"""What to run first on a machine with CUDA: FAIL_WITHOUT_CUDA=1 python -m pytest tests/gpu."""

import json
import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from e2espot.clips.dataset import ClipDataset, TrainingVideo, load_clips
from e2espot.clips.device_batch import to_device
from e2espot.clips.sampler import ClipSampler, LabelledVideo
from e2espot.video import index_of, open_reader, probe
from e2espot.video.stream_copy import cut_pictures
from tests.support import numbered_video
from tests.support.tiny_dataset import write_game

pytestmark = pytest.mark.gpu
ROOT = Path(__file__).parents[2]
GPU = torch.device("cuda", 0)
H264: dict[str, Any] = {"options": {"g": "250", "bf": "2"}}
KINDS: dict[str, dict[str, Any]] = {
    "small-mp4": {"size": (398, 224), "suffix": ".mp4", **H264},
    "small-mkv": {"size": (398, 224), "suffix": ".mkv", **H264},
    "aligned-mp4": {"size": (400, 224), "suffix": ".mp4", **H264},
    "720p-mp4": {"size": (1280, 720), "suffix": ".mp4", **H264},
    "bt709-mp4": {"size": (398, 224), "suffix": ".mp4", "colour": (1, 1), **H264},
    "full-range-mp4": {"size": (398, 224), "suffix": ".mp4", "colour": (5, 2), **H264},
    "hevc-mp4": {
        "size": (398, 224),
        "suffix": ".mp4",
        "codec": "libx265",
        "options": {"x265-params": "log-level=none"},
    },
    "vp9-mkv": {"size": (398, 224), "suffix": ".mkv", "codec": "libvpx-vp9", "options": {"deadline": "realtime"}},
}
COUNT = 400


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("gpu")
    return {
        name: numbered_video.write(folder / name, numbered_video.constant(Fraction(25), COUNT, **kind))
        for name, kind in KINDS.items()
    }


def dataset(path: Path, num_clips: int, size: tuple[int, int] = (398, 224)) -> ClipDataset:
    count = probe(path).num_frames
    labelled = LabelledVideo(num_frames=count, event_frames=(1, count - 2), event_targets=(1, 2))
    video = TrainingVideo(path=path, labelled=labelled)
    sampler = ClipSampler(videos=[labelled], clip_len=50, num_clips=num_clips, seed=1)
    return ClipDataset([video], sampler, fps=Fraction(25), size=size, label_radius=1)


def plain(epoch: int, indexes: tuple[int, ...]) -> list[Any]:
    from e2espot.clips.augmentation_params import sample_augmentation

    return [sample_augmentation(np.random.default_rng(0), None) for _ in indexes]


def dali_clips(data: ClipDataset, dtype: torch.dtype = torch.float16, num_threads: int = 4) -> Any:
    from dali_pipelines.graph import GraphOptions
    from dali_pipelines.iterators import DaliClips

    options = GraphOptions(device=GPU, batch_size=4, num_threads=num_threads)
    return DaliClips(data, plain, options=options, dtype=dtype, augmentation=None)


def levels(frames_BTCHW: torch.Tensor) -> torch.Tensor:
    from e2espot.core.pixels import IMAGENET_MEAN, IMAGENET_STD

    scale, shift = torch.tensor(IMAGENET_STD), torch.tensor(IMAGENET_MEAN)
    return (frames_BTCHW.float().cpu().movedim(2, -1) * scale + shift) * 255


@pytest.mark.parametrize("name", KINDS)
def test_clips_by_dali_are_exact_and_near_those_of_the_host(files: dict[str, Path], name: str) -> None:
    data = dataset(files[name], 200)
    host = load_clips(data, epoch=0, batch_size=4, num_workers=0)
    for ours, theirs in zip(dali_clips(data).epoch(0, batch_size=4, num_workers=0), host, strict=True):
        assert ours.frames_BTCHW.device.type == "cuda"
        assert (ours.frames_BTCHW[~ours.targets.valid_BT] == 0).all()
        frames = levels(ours.frames_BTCHW)
        for b, index in enumerate(ours.indexes):
            clip = data.sampler.clip(0, index)
            for t in torch.nonzero(theirs.targets.valid_BT[b]).flatten().tolist():
                assert numbered_video.number_in(frames[b, t].numpy()) == clip.start + t
        other = levels(to_device(theirs, slice(None), plain(0, ours.indexes), torch.device("cpu")).frames_BTCHW)
        assert (frames - other).abs()[theirs.targets.valid_BT].mean() <= 2


@pytest.mark.parametrize("name", KINDS)
def test_match_stream_gives_every_frame_once(files: dict[str, Path], name: str) -> None:
    from dali_pipelines.graph import GraphOptions
    from dali_pipelines.stream import MatchStream

    stream = MatchStream(path=files[name], size=(398, 224), options=GraphOptions(device=GPU, batch_size=4))
    frames = torch.cat(list(stream.chunks()))
    assert frames.device.type == "cuda"
    assert numbered_video.numbers_in(frames.cpu().numpy()) == list(range(COUNT))
    host = open_reader(files[name], size=(398, 224)).read(range(0, COUNT, 40))
    assert np.abs(frames[::40].cpu().numpy().astype(int) - host).mean() <= 2


@pytest.mark.parametrize("name", ["small-mp4", "720p-mp4"])
def test_match_stream_equals_dalis_own_reader(files: dict[str, Path], name: str, tmp_path: Path) -> None:
    from dali_pipelines.colour import SourceColours, swscale_node
    from dali_pipelines.graph import GraphOptions, dali, new_pipeline
    from dali_pipelines.stream import MatchStream

    size = KINDS[name]["size"]
    colours = SourceColours(size=size, matrix="bt601", full_range=False, is_tagged_full=True)
    tagged = tmp_path / "tagged.mkv"
    tagged.write_bytes(cut_pictures(index_of(files[name]), 0, COUNT - 1, tag_full_range=True).data)
    with new_pipeline(GraphOptions(device=GPU, batch_size=1)) as pipeline:
        video = dali().fn.experimental.readers.video(
            device="gpu", filenames=[str(tagged)], sequence_length=50, random_shuffle=False
        )
        pipeline.set_outputs(swscale_node(video, colours, size))
    pipeline.build()
    (theirs,) = pipeline.run()
    ours = torch.cat(
        list(MatchStream(path=files[name], size=size, options=GraphOptions(device=GPU, batch_size=2)).chunks())
    )
    assert (ours[:50] == torch.utils.dlpack.from_dlpack(theirs[0])).all()


@settings(max_examples=20, deadline=None)
@given(first_step=st.integers(0, 7))
def test_resumed_epoch_has_the_remaining_batches(files: dict[str, Path], first_step: int) -> None:
    clips = dali_clips(dataset(files["small-mp4"], 32))
    whole = [batch.indexes for batch in clips.epoch(2, batch_size=4, num_workers=0)]
    rest = [batch.indexes for batch in clips.epoch(2, batch_size=4, num_workers=0, first_step=first_step)]
    assert rest == whole[first_step:]


@pytest.mark.parametrize("name", ["small-mp4", "aligned-mp4"])
def test_gpu_memory_does_not_grow_with_clips(files: dict[str, Path], name: str) -> None:
    """NVDEC sessions whose width is not a multiple of 16 are reported to accumulate."""
    used = []
    clips = dali_clips(dataset(files[name], 600))
    for turn, _ in enumerate(clips.epoch(0, batch_size=4, num_workers=2)):
        if turn in (25, 75, 149):
            torch.cuda.synchronize()
            free, total = torch.cuda.mem_get_info()
            used.append((total - free) >> 20)
    assert used[-1] - used[0] < 1024, f"{used} MiB: `e2espot transcode --decode_friendly` scales to multiples of 16"


@pytest.mark.parametrize("arch", ["rny002_gsm", "small_gsm"])
def test_cuda_graph_scores_equal_those_without(arch: str) -> None:
    from e2espot.inference.options import InferenceOptions
    from e2espot.inference.predict import score_frames
    from e2espot.models import Spotter, SpotterSpec

    torch.manual_seed(0)
    spec = SpotterSpec(feature_arch=arch, temporal_arch="gru", classes=("PASS", "DRIVE"))
    spotter = Spotter(spec).eval().to(GPU)
    frames = torch.randint(0, 256, (700, 224, 398, 3), dtype=torch.uint8)
    eager, recorded = (
        score_frames(spotter, frames.split(64), 700, InferenceOptions(cuda_graphs=graphs)) for graphs in (False, True)
    )
    np.testing.assert_allclose(eager, recorded, atol=2e-3)


def test_train_and_infer_commands_with_reader_dali(tmp_path: Path) -> None:
    for seed, name in enumerate("ab"):
        write_game(tmp_path / "data" / "toy" / name, seed)
    (tmp_path / "data" / "splits.json").write_text(
        json.dumps({"train": ["toy/a"], "valid": ["toy/b"], "test": ["toy/b"]})
    )
    small = ["--size", "96x64", "--clip_len", "16", "--epoch_clips", "8", "--num_epochs", "2"]
    for words in (
        ["train", tmp_path / "data", "-s", tmp_path / "run", "--recipe", "laptop-fast", "--reader", "dali", *small],
        ["infer", tmp_path / "run", tmp_path / "data", "-s", "test", "-o", tmp_path / "out", "--reader", "dali"],
    ):
        command = [sys.executable, str(ROOT / "tools" / f"{words[0]}.py"), *map(str, words[1:])]
        done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
        assert done.returncode == 0, done.stderr
        assert "reader dali" in done.stderr


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two GPUs")
def test_train_on_two_gpus(tmp_path: Path) -> None:
    for seed, name in enumerate("ab"):
        write_game(tmp_path / "data" / "toy" / name, seed)
    (tmp_path / "data" / "splits.json").write_text(json.dumps({"train": ["toy/a"], "valid": ["toy/b"], "test": []}))
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2", str(ROOT / "tools" / "train.py")]
    command += [str(tmp_path / "data"), "-s", str(tmp_path / "run"), "--recipe", "laptop-fast", "--size", "96x64"]
    command += ["--clip_len", "16", "--epoch_clips", "8", "--num_epochs", "2"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False, env=os.environ)
    assert done.returncode == 0, done.stderr
