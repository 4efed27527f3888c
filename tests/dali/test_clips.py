"""Clips by DALI are the clips of the host's readers: same order, frames, labels and changes."""

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
from e2espot.clips.augmentation_params import Augmentation, ClipChange, draw_change
from e2espot.clips.dataset import ClipDataset, load_clips
from e2espot.clips.device_batch import ReadyBatch, make_ready
from e2espot.core.errors import ConfigurationError, VideoError
from e2espot.core.pixels import IMAGENET_MEAN, IMAGENET_STD
from e2espot.video.stream_copy import Cut
from tests.support import numbered_video as numbered
from tests.support.dali_videos import FORMATS, VP, dataset

CPU = torch.device("cpu")


def plain(epoch: int, indexes: tuple[int, ...]) -> list[ClipChange]:
    return [draw_change(np.random.default_rng(0), None) for _ in indexes]


def changed(how: Augmentation) -> Any:
    return lambda epoch, indexes: [draw_change(np.random.default_rng((epoch, index)), how) for index in indexes]


def by_dali(data: ClipDataset, changes: Any = plain, how: Augmentation | None = None, **told: Any) -> list[ReadyBatch]:
    clips = DaliClips(
        data,
        changes,
        options=GraphOptions(device=CPU, batch_size=4, num_threads=1),
        dtype=told.pop("dtype", torch.float32),
        augmentation=how,
    )
    return list(clips.epoch(told.pop("epoch", 0), batch_size=4, num_workers=0, **told))


def by_host(data: ClipDataset, changes: Any = plain, epoch: int = 0) -> list[ReadyBatch]:
    batches = load_clips(data, epoch=epoch, batch_size=4, num_workers=0)
    return [make_ready(batch, slice(None), changes(epoch, batch.indexes), CPU) for batch in batches]


def levels(frames_BTCHW: torch.Tensor) -> torch.Tensor:
    """Back to 0..255, THWC."""
    scale, shift = torch.tensor(IMAGENET_STD), torch.tensor(IMAGENET_MEAN)
    return (frames_BTCHW.movedim(2, -1) * scale + shift) * 255


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("numbered files")  # with a blank: DALI's own file lists break on one
    return {
        name: numbered.write(folder / name, numbered.constant(Fraction(25), 130, **more))
        for name, more in FORMATS.items()
    }


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("fps", ["25", "12.5"])
def test_every_frame_of_an_epoch_is_the_hosts(files: dict[str, Path], name: str, fps: str) -> None:
    data = dataset([files[name]], fps=fps)
    starts = {data.sampler.clip(0, index).start for index in range(24)}
    assert min(starts) < 0
    assert max(starts) + 12 > data.videos[0].labelled.num_frames  # both ends are hung over
    for ours, theirs in zip(by_dali(data), by_host(data), strict=True):
        assert ours.indexes == theirs.indexes
        for field in ("targets_BT", "valid_BT", "ball_BT2"):
            torch.testing.assert_close(getattr(ours, field), getattr(theirs, field), equal_nan=True)
        assert ours.frames_BTCHW.shape == theirs.frames_BTCHW.shape
        assert ours.frames_BTCHW.stride() == theirs.frames_BTCHW.stride()
        assert (ours.frames_BTCHW[~ours.valid_BT] == 0).all()
        mine, other = levels(ours.frames_BTCHW), levels(theirs.frames_BTCHW)
        for b, index in enumerate(ours.indexes):
            clip = data.sampler.clip(0, index)
            for t in torch.nonzero(ours.valid_BT[b]).flatten().tolist():
                wanted = (clip.start + t) * round(25 / float(Fraction(fps))) + (fps == "12.5")
                assert numbered.number_in(mine[b, t].numpy()) == wanted
                assert numbered.number_in(other[b, t].numpy()) == wanted
        assert (mine - other).abs()[ours.valid_BT].mean() <= 2


@pytest.mark.parametrize(
    "how",
    [
        Augmentation(flip=0.5, colour=1.0),
        Augmentation(flip=0.5, colour=0.0, crop=0.6),
        Augmentation(flip=0.0, colour=0.0, blur=1.0),
    ],
    ids=["colour", "crop", "blur"],
)
def test_changes_are_the_hosts(files: dict[str, Path], how: Augmentation) -> None:
    data, changes = dataset([files["vp9"]]), changed(how)
    assert any(change.flip for change in changes(0, tuple(range(24)))) == (how.flip > 0)
    batches = zip(by_dali(data, changes, how), by_dali(data), by_host(data, changes), by_host(data), strict=True)
    for ours, ours_before, theirs, theirs_before in batches:
        valid_BT = ours.valid_BT
        mine = (levels(ours.frames_BTCHW) - levels(ours_before.frames_BTCHW))[valid_BT]
        other = (levels(theirs.frames_BTCHW) - levels(theirs_before.frames_BTCHW))[valid_BT]
        assert other.abs().mean() > 0.5  # there is something to agree on
        assert (mine - other).abs().mean() < 0.3 * other.abs().mean()


def test_an_epoch_taken_up_again_has_the_same_batches_left(files: dict[str, Path]) -> None:
    data = dataset([files["vp9"], files["vp8"]])
    whole, rest = by_dali(data, epoch=1), by_dali(data, epoch=1, first_step=1)
    assert len(rest) == len(whole) - 1
    for one, other in zip(whole[1:], rest, strict=True):
        assert one.indexes == other.indexes
        assert torch.equal(one.frames_BTCHW, other.frames_BTCHW)


def test_an_epoch_left_early_leaves_nothing_behind(files: dict[str, Path]) -> None:
    data = dataset([files["vp9"]])
    options = GraphOptions(device=CPU, batch_size=4, num_threads=1)
    clips = DaliClips(data, plain, options=options, dtype=torch.float32, augmentation=None)
    next(clips.epoch(0, batch_size=4, num_workers=0))
    after = next(clips.epoch(1, batch_size=4, num_workers=0))
    assert torch.equal(after.frames_BTCHW, by_dali(data, epoch=1)[0].frames_BTCHW)


def test_half_precision_is_handed_over_as_such(files: dict[str, Path]) -> None:
    for dtype in (torch.float16, torch.bfloat16):
        (first, *_), (exact, *_) = (by_dali(dataset([files["vp9"]]), dtype=kind) for kind in (dtype, torch.float32))
        assert first.frames_BTCHW.dtype == dtype
        assert (first.frames_BTCHW.float() - exact.frames_BTCHW).abs().max() < 0.02


def test_a_turned_video_is_decoded_by_the_host(tmp_path: Path) -> None:
    video = numbered.constant(Fraction(25), 60, codec="libvpx-vp9", suffix=".mp4", options=VP, turn_degrees=180)
    data = dataset([numbered.write(tmp_path / "turned", video)])
    for ours, theirs in zip(by_dali(data), by_host(data), strict=True):
        assert (levels(ours.frames_BTCHW) - levels(theirs.frames_BTCHW)).abs().max() < 0.01


def test_a_clip_that_does_not_decode_is_named_and_the_others_stay(
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

        def bad(presentation: Any, first: int, last: int) -> Any:
            good = cut(presentation, first, last)
            if presentation.path.name == "copy.mkv":
                return type(good)(data=b"not a container" * 9, ranks_N=good.ranks_N)
            return good

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, "cut_pictures", bad)
            given = list(made.epoch(0, batch_size=4, num_workers=0))
    assert len(given) == len(clean)
    assert any("copy.mkv" in record.message for record in caplog.records)
    for ours, theirs in zip(given, clean, strict=True):
        assert torch.equal(ours.valid_BT, theirs.valid_BT)
        away = (levels(ours.frames_BTCHW) - levels(theirs.frames_BTCHW)).abs()
        assert away[ours.valid_BT].mean() <= 2  # PyAV stood in, frame for frame


def test_a_clip_that_nobody_can_decode_counts_for_nothing(
    files: dict[str, Path], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from dali_pipelines import clips as module

    def unreadable(presentation: Any, first: int, last: int) -> Any:
        return Cut(data=b"not a container" * 9, ranks_N=np.arange(first, last + 1))

    def refuse(*_: Any) -> Any:
        raise VideoError("the file is damaged there")

    monkeypatch.setattr(module, "cut_pictures", unreadable)
    monkeypatch.setattr(module.MaterialDataset, "host_material", refuse)
    for batch in by_dali(dataset([files["vp9"]], num_clips=4)):
        assert not batch.valid_BT.any()
        assert (batch.frames_BTCHW == 0).all()
    assert any("left out" in record.message for record in caplog.records)


def test_h264_on_the_cpu_is_refused_in_one_line(tmp_path: Path) -> None:
    path = numbered.write(tmp_path / "plain", numbered.constant(Fraction(25), 60))
    with pytest.raises(ConfigurationError, match=r"does not decode h264.*--reader decord") as caught:
        by_dali(dataset([path]))
    assert "\n" not in str(caught.value)
    assert json.dumps(str(path))[1:-1] in str(caught.value)
