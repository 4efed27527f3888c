"""Videos whose pictures need preparing: two fields in one picture, HDR, black bars. Each picture shows its number."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from tests.support.numbered_video import picture

SIZE = (320, 240)
BAND = slice(52, 108)
"""Lines of a moving pattern, between the blocks' middles that ``number_in`` looks at."""
_STEP = 6


def moment(number: int, half: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    """RGB of picture ``number`` at the time of its first (0) or second (1) field: stripes move across a band."""
    image = picture(number, size)
    columns = (np.arange(size[0]) + _STEP * (2 * number + half)) // 20 % 2
    image[BAND] = np.where(columns, 200, 60).astype(np.uint8)[None, :, None]
    return image


def woven(number: int, *, bottom_first: bool = False) -> np.ndarray:
    """Both fields of a picture: even lines of the one moment, odd lines of the other."""
    image = moment(number, int(bottom_first))
    image[1::2] = moment(number, int(not bottom_first))[1::2]
    return image


def encode(
    path: Path,
    pictures: list[np.ndarray],
    *,
    codec: str = "libx264",
    options: dict[str, str] | None = None,
    pixel_format: str = "yuv420p",
    interlaced_chroma: bool = False,
    rotation_degrees: int = 0,
    **tags: int,
) -> Path:
    """Encode RGB pictures at 25 a second; ``tags`` are fields of the codec context."""
    height, width = pictures[0].shape[:2]
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = width, height, pixel_format
        stream.codec_context.thread_count = 1
        if rotation_degrees:
            stream.set_display_rotation(rotation_degrees)
        for tag, value in tags.items():
            setattr(stream.codec_context, tag, value)
        defaults = {"preset": "veryfast", "crf": "12", "g": "10"} if codec == "libx264" else {}
        stream.options = {**defaults, **(options or {})}
        for number, image in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(image, "rgb24")
            if interlaced_chroma:  # chroma of each field from its own lines
                frame = _yuv_by_fields(image)
            frame.pts, frame.time_base = number, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def _yuv_by_fields(image: np.ndarray) -> Any:
    """4:2:0 whose chroma lines belong to the fields in turn, as in interlaced video."""
    fields = [
        av.VideoFrame.from_ndarray(np.ascontiguousarray(image[parity::2]), "rgb24").reformat(format="yuv420p")
        for parity in (0, 1)
    ]
    planes = [field.to_ndarray() for field in fields]
    height, width = image.shape[:2]
    # The array of a 4:2:0 picture: all of Y, then U and V in half the lines of half the width, two to a row.
    joined = np.empty((height * 3 // 2, width), dtype=np.uint8)
    for parity, plane in enumerate(planes):
        joined[:height][parity::2] = plane[: height // 2]
        for which in (0, 1):
            lines = height // 2 + height // 8 * which
            chroma = plane[lines : lines + height // 8].reshape(height // 4, width // 2)
            target = joined[height + height // 4 * which : height + height // 4 * (which + 1)]
            target.reshape(height // 2, width // 2)[parity::2] = chroma
    return av.VideoFrame.from_ndarray(joined, "yuv420p")


def interlaced(path: Path, count: int = 40, *, order: str = "top", flagged: bool = True, **more: Any) -> Path:
    """``count`` interlaced pictures; ``flagged``: whether the stream is tagged as such."""
    pictures = [woven(number, bottom_first=order == "bottom") for number in range(count)]
    flags = {"flags": "+ildct+ilme", "x264-params": "tff=1" if order == "top" else "bff=1"} if flagged else {}
    return encode(path, pictures, options=flags, interlaced_chroma=True, **more)


def barred(path: Path, bars: tuple[int, int, int, int], count: int = 40, **more: Any) -> Path:
    """``count`` numbered pictures within black bars of (left, top, right, bottom) pixels."""
    left, top, right, bottom = bars
    pictures = [np.pad(picture(number, SIZE), ((top, bottom), (left, right), (0, 0))) for number in range(count)]
    return encode(path, pictures, **more)


def patches_10_bit(path: Path, codes_N3: np.ndarray, transfer: int, primaries: int = 9) -> Path:
    """Patches of 40 pixels in a row with 10-bit Y, Cb, Cr codes, lossless HEVC tagged BT.2020."""
    count, side = len(codes_N3), 40
    frame = av.VideoFrame(count * side, 2 * side, "yuv420p10le")
    for plane, codes in zip(frame.planes, codes_N3.T, strict=True):
        row = np.repeat(codes.astype("<u2"), plane.width // count)
        padded = np.zeros((plane.height, plane.line_size // 2), dtype="<u2")
        padded[:, : plane.width] = row
        plane.update(padded.tobytes())
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx265", rate=25)
        stream.width, stream.height, stream.pix_fmt = frame.width, frame.height, "yuv420p10le"
        context = stream.codec_context
        context.colorspace, context.color_range, context.color_primaries, context.color_trc = 9, 1, primaries, transfer
        stream.options = {"preset": "ultrafast", "x265-params": "lossless=1:log-level=none:pools=none:frame-threads=1"}
        for number in range(8):
            frame.pts, frame.time_base = number, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path
