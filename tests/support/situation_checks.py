"""What a reader makes of a file, by the numbers in its pictures: in order and at random, at two rates and two sizes."""

from __future__ import annotations

import io
import logging
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import torch

from dali_pipelines.graph import GraphOptions
from dali_pipelines.iterators import DaliClips
from dali_pipelines.routes import is_decodable
from dali_pipelines.stream import MatchStream
from e2espot.clips.augmentation_params import AugmentationParams, sample_augmentation
from e2espot.core.errors import ConfigurationError, E2ESpotError
from e2espot.core.picture_options import PictureOptions
from e2espot.core.pixels import IMAGENET_MEAN, IMAGENET_STD
from e2espot.video import indexes_of, open_reader, pictures_of_grid, stream_frames
from e2espot.video.full_range import can_be_tagged
from e2espot.video.index import VideoIndex, closed_gops_only, frames_of_file
from e2espot.video.reader import GridReader
from e2espot.video.stream_copy import cut_pictures
from e2espot.video.transcode import transcode
from tests.support.budget import LONG, sized
from tests.support.dali_videos import dataset
from tests.support.numbered_video import expected, number_in, numbers_in
from tests.support.situations import Reader, Situation

RATES = (Fraction(25), Fraction(25, 2))
SIZES = ((96, 64), None) if LONG else ((96, 64),)
"""A network's size, and the full one."""
CLIP_LEN = 8
NUM_CLIPS = sized(3, 6)
_OPTIONS = GraphOptions(device=torch.device("cpu"), batch_size=2, num_threads=1)


class WrongPicturesError(AssertionError):
    """A reader showed another picture than a player, without a message."""


def outcome_of(reader: Reader, situation: Situation, path: Path, folder: Path) -> str:
    """``right``, ``by PyAV``, ``refused: ...``, ``not applicable: ...`` or ``wrong: ...``.

    Args:
        reader: All but ``review``, which needs a browser.
        situation: What the file is.
        path: The file.
        folder: Where new files may be written.
    """
    wanted = {fps: expected(list(situation.times_s), list(situation.numbers), fps) for fps in RATES}
    records = _Records()
    logger = logging.getLogger("e2espot")
    logger.addHandler(records)
    try:
        if reader == "transcode":
            transcode(path, folder / "transcoded.mp4")
            path, reader = folder / "transcoded.mp4", "auto"
        is_by_pyav = {"auto": _auto, "decord": _decord, "dali_cpu": _dali_cpu, "dali_copies": _dali_copies}[reader](
            path, wanted
        )
    except ConfigurationError as error:
        if "CPU backend does not decode" in str(error):
            return f"not applicable: {error}"
        return _refusal(error)
    except E2ESpotError as error:
        return _refusal(error)
    except WrongPicturesError as error:
        return f"wrong: {error}"
    finally:
        logger.removeHandler(records)
    return "by PyAV" if is_by_pyav or records.fell_back else "right"


def _refusal(error: E2ESpotError) -> str:
    return f"wrong: an error of several lines: {error}" if "\n" in str(error) else f"refused: {error}"


class _Records(logging.Handler):
    """Notes whether a reader reported that PyAV reads in its place."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.fell_back = False

    def emit(self, record: logging.LogRecord) -> None:
        self.fell_back |= "read by PyAV instead" in record.getMessage()


def _compare(shown: list[int], wanted: list[int], what: str) -> None:
    if shown != wanted:
        bad = [k for k, (one, other) in enumerate(zip(shown, wanted, strict=False)) if one != other]
        first = f"frame {bad[0]} shows {shown[bad[0]]}, not {wanted[bad[0]]}" if bad else "as far as both go, right"
        raise WrongPicturesError(f"{what}: {len(shown)} frames of {len(wanted)}, {len(bad)} wrong: {first}")


def _clip_starts(num_frames: int) -> list[int]:
    starts: list[int] = np.random.default_rng(0).integers(0, max(1, num_frames - CLIP_LEN), NUM_CLIPS).tolist()
    return starts


def _compare_reader(reader: GridReader, wanted: list[int], what: str) -> None:
    for start in _clip_starts(len(wanted)):
        clip = range(start, min(start + CLIP_LEN, len(wanted)))
        _compare(numbers_in(reader.read(clip)), [wanted[k] for k in clip], f"{what}, clip at {start}")
    _compare(numbers_in(reader.read(range(reader.info.num_frames))), wanted, f"{what}, in order")


def _auto(path: Path, wanted: dict[Fraction, list[int]]) -> bool:
    for fps in RATES:
        for size in SIZES:
            with open_reader(path, fps=fps, size=size) as reader:
                _compare_reader(reader, wanted[fps], f"{float(fps)} fps")
    chunks = [chunk.frames_THWC for chunk in stream_frames(path, fps=RATES[1], size=SIZES[0], chunk_len=20)]
    _compare(numbers_in(np.concatenate(chunks)), wanted[RATES[1]], f"{float(RATES[1])} fps, streamed")
    return False


def _decord(path: Path, wanted: dict[Fraction, list[int]]) -> bool:
    for fps in RATES:
        for size in SIZES:
            with open_reader(path, fps=fps, size=size, reader="decord") as reader:
                _compare_reader(reader, wanted[fps], f"{float(fps)} fps")
    return False


def _dali_cpu(path: Path, wanted: dict[Fraction, list[int]]) -> bool:
    is_by_pyav = not is_decodable(path, "cpu", pictures=PictureOptions())
    if is_by_pyav and LONG:
        _auto(path, wanted)  # else checked for ``auto`` only
    with open_reader(path) as reader:
        full_size = reader.info.width, reader.info.height
    for fps in RATES:
        for size in [size or full_size for size in SIZES]:
            if not is_by_pyav:
                chunks = list(MatchStream(path=path, size=size, options=_OPTIONS, fps=fps, chunk_len=20).chunks())
                _compare(numbers_in(torch.cat(chunks).numpy()), wanted[fps], f"{float(fps)} fps")
            if LONG:
                _compare_clips(path, wanted[fps], fps, size)
    return is_by_pyav


def _compare_clips(path: Path, wanted: list[int], fps: Fraction, size: tuple[int, int]) -> None:
    """Compare training clips by DALI, without augmentation."""
    data = dataset([path], clip_len=CLIP_LEN, num_clips=NUM_CLIPS, fps=str(float(fps)), size=size)

    def as_they_are(epoch: int, indexes: tuple[int, ...]) -> list[AugmentationParams]:
        return [sample_augmentation(np.random.default_rng(0), None) for _ in indexes]

    clips = DaliClips(data, as_they_are, options=_OPTIONS, dtype=torch.float32, augmentation=None)
    scale, shift = torch.tensor(IMAGENET_STD), torch.tensor(IMAGENET_MEAN)
    num_compared = 0
    for batch in clips.epoch(0, batch_size=2, num_workers=0):
        frames_BTHWC = (batch.frames_BTCHW.movedim(2, -1) * scale + shift) * 255
        for b, clip in enumerate(batch.indexes):
            start = data.sampler.clip(0, clip).start
            inside_T = torch.nonzero(batch.targets.valid_BT[b]).flatten().tolist()
            shown = [number_in(frames_BTHWC[b, t].numpy()) for t in inside_T]
            _compare(shown, [wanted[start + t] for t in inside_T], f"{float(fps)} fps, training clip at {start}")
            num_compared += len(shown)
    if num_compared < CLIP_LEN:
        raise WrongPicturesError(f"{float(fps)} fps: {num_compared} frames of the training clips are valid")


def _dali_copies(path: Path, wanted: dict[Fraction, list[int]]) -> bool:
    if not is_decodable(path, "cuda", pictures=PictureOptions()):
        return not (LONG and _auto(path, wanted))  # what PyAV makes of it is checked for ``auto``
    for fps in RATES:
        num_frames = 0
        for index in (closed_gops_only(index) for index in indexes_of(path)):
            frames = frames_of_file(index, fps)
            _compare_copies(index, wanted[fps][frames.start : frames.stop], fps)
            num_frames += len(frames)
        if num_frames != len(wanted[fps]):
            raise WrongPicturesError(f"{float(fps)} fps: {num_frames} frames, not {len(wanted[fps])}")
    return False


def _compare_copies(index: VideoIndex, wanted: list[int], fps: Fraction) -> None:
    """Compare what PyAV decodes of the containers that NVDEC would receive: in order, and at random."""
    pictures_K = pictures_of_grid(index, fps)
    in_order = range(0, len(pictures_K), CLIP_LEN) if LONG else [0]
    for start in [*in_order, *_clip_starts(len(pictures_K))]:
        pictures_T = pictures_K[start : start + CLIP_LEN]
        tagged = can_be_tagged(index)  # as DALI gets them
        cut = cut_pictures(index, int(pictures_T[0]), int(pictures_T[-1]), tag_full_range=tagged)
        with av.open(io.BytesIO(cut.data)) as container:
            shown = [number_in(picture.to_ndarray(format="rgb24")) for picture in container.decode(video=0)]
        numbers = [shown[position] for position in cut.positions_of(pictures_T)]
        _compare(numbers, wanted[start : start + CLIP_LEN], f"{float(fps)} fps, copy at {start}")
