"""Clips by DALI equal those of the host's backends: same order, frames, labels and augmentations."""

import json
import logging
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dali_pipelines.graph import GraphOptions
from dali_pipelines.iterators import DaliClips
from e2espot.clips.augmentation_params import Augmentation, AugmentationParams, sample_augmentation
from e2espot.clips.dataset import ClipDataset, load_clips
from e2espot.clips.device_batch import DeviceBatch, to_device
from e2espot.core.errors import ConfigurationError, VideoError
from e2espot.core.pixels import IMAGENET_MEAN, IMAGENET_STD
from e2espot.video.stream_copy import Cut
from tests.support.dali_videos import FORMATS, VP, dataset
from tests.support.numbered_video import constant, number_in, write

CPU = torch.device("cpu")


def plain(epoch: int, indexes: tuple[int, ...]) -> list[AugmentationParams]:
    return [sample_augmentation(np.random.default_rng(0), None) for _ in indexes]


def changed(how: Augmentation) -> Any:
    return lambda epoch, indexes: [sample_augmentation(np.random.default_rng((epoch, index)), how) for index in indexes]


def by_dali(data: ClipDataset, changes: Any = plain, how: Augmentation | None = None, **more: Any) -> list[DeviceBatch]:
    clips = DaliClips(
        data,
        changes,
        options=GraphOptions(device=CPU, batch_size=4, num_threads=1),
        dtype=more.pop("dtype", torch.float32),
        augmentation=how,
    )
    return list(clips.epoch(more.pop("epoch", 0), batch_size=4, num_workers=0, **more))


def by_host(data: ClipDataset, changes: Any = plain, epoch: int = 0) -> list[DeviceBatch]:
    batches = load_clips(data, epoch=epoch, batch_size=4, num_workers=0)
    return [to_device(batch, slice(None), changes(epoch, batch.indexes), CPU) for batch in batches]


def levels(frames_BTCHW: torch.Tensor) -> torch.Tensor:
    """Back to 0..255, THWC."""
    scale, shift = torch.tensor(IMAGENET_STD), torch.tensor(IMAGENET_MEAN)
    return (frames_BTCHW.movedim(2, -1) * scale + shift) * 255


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("numbered files")  # with a blank, on which DALI's own file lists break
    return {name: write(folder / name, constant(Fraction(25), 130, **more)) for name, more in FORMATS.items()}


def test_clips_of_a_match_in_several_files_equal_those_of_the_host(files: dict[str, Path]) -> None:
    data = dataset([Path(f"{files['vp9']}+{files['vp8']}")])
    wanted = [*range(130), *range(130)]
    assert data.videos[0].labelled.num_frames == len(wanted)
    starts = {data.sampler.clip(0, index).start for index in range(24)}
    assert any(start < 130 < start + 12 for start in starts)  # a clip reaches over the join
    assert any(start > 130 for start in starts)
    for batch in by_dali(data):
        shown = levels(batch.frames_BTCHW)
        for b, index in enumerate(batch.indexes):
            start = data.sampler.clip(0, index).start
            for t in torch.nonzero(batch.targets.valid_BT[b]).flatten().tolist():
                assert number_in(shown[b, t].numpy()) == wanted[start + t]


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("fps", ["25", "12.5"])
def test_epoch_equals_that_of_the_host(files: dict[str, Path], name: str, fps: str) -> None:
    data = dataset([files[name]], fps=fps)
    starts = {data.sampler.clip(0, index).start for index in range(24)}
    assert min(starts) < 0
    assert max(starts) + 12 > data.videos[0].labelled.num_frames  # clips reach over both ends of the video
    for ours, theirs in zip(by_dali(data), by_host(data), strict=True):
        assert ours.indexes == theirs.indexes
        for field in ("class_BT", "second_BT", "offset_BT", "team_BT", "ball_BT2", "joint_B", "valid_BT"):
            one, other = getattr(ours.targets, field), getattr(theirs.targets, field)
            torch.testing.assert_close(one, other, equal_nan=True)
        assert ours.frames_BTCHW.shape == theirs.frames_BTCHW.shape
        assert ours.frames_BTCHW.stride() == theirs.frames_BTCHW.stride()
        assert (ours.frames_BTCHW[~ours.targets.valid_BT] == 0).all()
        mine, other = levels(ours.frames_BTCHW), levels(theirs.frames_BTCHW)
        for b, index in enumerate(ours.indexes):
            clip = data.sampler.clip(0, index)
            for t in torch.nonzero(ours.targets.valid_BT[b]).flatten().tolist():
                wanted = (clip.start + t) * round(25 / float(Fraction(fps))) + (fps == "12.5")
                assert number_in(mine[b, t].numpy()) == wanted
                assert number_in(other[b, t].numpy()) == wanted
        assert (mine - other).abs()[ours.targets.valid_BT].mean() <= 2


@pytest.mark.parametrize(
    "how",
    [
        Augmentation(flip=0.5, colour=1.0),
        Augmentation(flip=0.5, colour=0.0, crop=0.6),
        Augmentation(flip=0.0, colour=0.0, blur=1.0),
    ],
    ids=["colour", "crop", "blur"],
)
def test_augmentations_equal_those_of_the_host(files: dict[str, Path], how: Augmentation) -> None:
    data, changes = dataset([files["vp9"]]), changed(how)
    assert any(change.flip for change in changes(0, tuple(range(24)))) == (how.flip > 0)
    batches = zip(by_dali(data, changes, how), by_dali(data), by_host(data, changes), by_host(data), strict=True)
    for ours, ours_before, theirs, theirs_before in batches:
        valid_BT = ours.targets.valid_BT
        mine = (levels(ours.frames_BTCHW) - levels(ours_before.frames_BTCHW))[valid_BT]
        other = (levels(theirs.frames_BTCHW) - levels(theirs_before.frames_BTCHW))[valid_BT]
        assert other.abs().mean() > 0.5  # there is something to agree on
        assert (mine - other).abs().mean() < 0.3 * other.abs().mean()


def test_resumed_epoch_equals_the_rest_of_a_whole_one(files: dict[str, Path]) -> None:
    data = dataset([files["vp9"], files["vp8"]])
    whole, rest = by_dali(data, epoch=1), by_dali(data, epoch=1, first_step=1)
    assert len(rest) == len(whole) - 1
    for one, other in zip(whole[1:], rest, strict=True):
        assert one.indexes == other.indexes
        assert torch.equal(one.frames_BTCHW, other.frames_BTCHW)


def test_epoch_after_an_abandoned_one_is_unaffected(files: dict[str, Path]) -> None:
    data = dataset([files["vp9"]])
    options = GraphOptions(device=CPU, batch_size=4, num_threads=1)
    clips = DaliClips(data, plain, options=options, dtype=torch.float32, augmentation=None)
    next(clips.epoch(0, batch_size=4, num_workers=0))
    after = next(clips.epoch(1, batch_size=4, num_workers=0))
    assert torch.equal(after.frames_BTCHW, by_dali(data, epoch=1)[0].frames_BTCHW)


def test_frames_have_the_number_format_asked_for(files: dict[str, Path]) -> None:
    for dtype in (torch.float16, torch.bfloat16):
        (first, *_), (exact, *_) = (by_dali(dataset([files["vp9"]]), dtype=kind) for kind in (dtype, torch.float32))
        assert first.frames_BTCHW.dtype == dtype
        assert (first.frames_BTCHW.float() - exact.frames_BTCHW).abs().max() < 0.02


def test_rotated_video_takes_the_host_route(tmp_path: Path) -> None:
    video = constant(Fraction(25), 60, codec="libvpx-vp9", suffix=".mp4", options=VP, rotation_degrees=180)
    data = dataset([write(tmp_path / "turned", video)])
    for ours, theirs in zip(by_dali(data), by_host(data), strict=True):
        assert (levels(ours.frames_BTCHW) - levels(theirs.frames_BTCHW)).abs().max() < 0.01


def test_clip_that_dali_refuses_is_named_and_decoded_by_pyav(
    files: dict[str, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clips = dataset([files["vp9"], files["vp8"]])
    clean = by_dali(clips)
    with caplog.at_level(logging.WARNING):
        (tmp_path / "copy.mkv").write_bytes(files["vp9"].read_bytes())
        hurt = dataset([tmp_path / "copy.mkv", files["vp8"]])
        made = DaliClips(
            hurt,
            plain,
            options=GraphOptions(device=CPU, batch_size=4, num_threads=1),
            dtype=torch.float32,
            augmentation=None,
        )
        from dali_pipelines import clips as module

        cut = module.cut_pictures

        def corrupted(index: Any, first: int, last: int, packets: Any) -> Any:
            good = cut(index, first, last, packets)
            if index.path.name == "copy.mkv":
                return type(good)(data=b"not a container" * 9, ranks_N=good.ranks_N)
            return good

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, "cut_pictures", corrupted)
            given = list(made.epoch(0, batch_size=4, num_workers=0))
    assert len(given) == len(clean)
    assert any("copy.mkv" in record.message for record in caplog.records)
    for ours, theirs in zip(given, clean, strict=True):
        assert torch.equal(ours.targets.valid_BT, theirs.targets.valid_BT)
        away = (levels(ours.frames_BTCHW) - levels(theirs.frames_BTCHW)).abs()
        assert away[ours.targets.valid_BT].mean() <= 2  # PyAV decodes it instead, frame for frame


def test_clip_that_no_backend_decodes_is_invalid(
    files: dict[str, Path], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from dali_pipelines import clips as module

    def unreadable(index: Any, first: int, last: int, packets: Any) -> Any:
        return Cut(data=b"not a container" * 9, ranks_N=np.arange(first, last + 1))

    def refuse(*_: Any) -> Any:
        raise VideoError("the file is damaged there")

    monkeypatch.setattr(module, "cut_pictures", unreadable)
    monkeypatch.setattr(module.EncodedClipDataset, "decode_on_host", refuse)
    for batch in by_dali(dataset([files["vp9"]], num_clips=4)):
        assert not batch.targets.valid_BT.any()
        assert (batch.frames_BTCHW == 0).all()
    assert any("left out" in record.message for record in caplog.records)


def test_h264_on_the_cpu_backend_is_refused_in_one_line(tmp_path: Path) -> None:
    path = write(tmp_path / "plain", constant(Fraction(25), 60))
    with pytest.raises(ConfigurationError, match=r"does not decode h264.*choose decord or auto") as caught:
        by_dali(dataset([path]))
    assert caught.value.option == "reader"
    assert "\n" not in str(caught.value)
    assert json.dumps(str(path))[1:-1] in str(caught.value)
