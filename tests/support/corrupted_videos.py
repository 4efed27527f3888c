"""Videos with random damage from a fixed seed."""

import random
from fractions import Fraction
from pathlib import Path

from tests.support.numbered_video import Video, constant, write

_RATE = Fraction(25)
KINDS: dict[str, Video] = {
    "h264_mp4": constant(_RATE, 40, options={"g": "10"}),
    "h264_fast_mp4": constant(_RATE, 40, options={"g": "50"}, container_options={"movflags": "faststart"}),
    "h264_ntsc_mkv": constant(Fraction(30000, 1001), 40, suffix=".mkv", options={"g": "12"}),
    "h264_ts": constant(_RATE, 40, suffix=".ts", options={"g": "10", "bf": "0"}),
    "h264_fragments_mp4": constant(
        Fraction(50), 40, options={"g": "10"}, container_options={"movflags": "frag_keyframe+empty_moov"}
    ),
    "mpeg4_avi": constant(_RATE, 40, suffix=".avi", codec="mpeg4", options={"g": "10"}),
    "mpeg2_mpg": constant(_RATE, 40, suffix=".mpg", codec="mpeg2video", options={"g": "10"}),
    "vp8_webm": constant(_RATE, 40, suffix=".webm", codec="libvpx", options={"g": "10", "deadline": "realtime"}),
    "vp9_webm": constant(_RATE, 40, suffix=".webm", codec="libvpx-vp9", options={"g": "10", "deadline": "realtime"}),
    "hevc_mp4": constant(_RATE, 40, codec="libx265", options={"x265-params": "keyint=10:log-level=none"}),
    "ten_bit_mkv": constant(_RATE, 40, suffix=".mkv", pixel_format="yuv420p10le", options={"g": "10"}),
    "mjpeg_mov": constant(_RATE, 20, suffix=".mov", codec="mjpeg", pixel_format="yuvj420p"),
}


def write_undamaged(folder: Path) -> dict[str, Path]:
    """Write one undamaged file of each kind."""
    folder.mkdir(parents=True, exist_ok=True)
    return {name: write(folder / name, video) for name, video in KINDS.items()}


def damage(data: bytes, other: bytes, rng: random.Random) -> tuple[str, bytes]:
    """(what was done, the damaged bytes)."""
    how = rng.choice(("flips", "flips", "header", "cut", "hole", "splice", "swap"))
    out = bytearray(data)
    if how in ("flips", "header"):
        # Headers are at either end: the index of an MP4, the cues of a Matroska file.
        ends = [*range(min(600, len(out))), *range(max(0, len(out) - 1500), len(out))]
        positions = ends if how == "header" else range(len(out))
        for _ in range(rng.choice((1, 1, 2, 8, 64))):
            out[rng.choice(positions)] ^= 1 << rng.randrange(8)
    elif how == "cut":
        del out[rng.randrange(1, len(out)) :]
    elif how == "hole":
        first = rng.randrange(len(out))
        last = min(len(out), first + rng.randrange(1, 1 + len(out) // 4))
        out[first:last] = bytes(last - first) if rng.random() < 0.5 else b""
    elif how == "splice":
        length = rng.randrange(1, min(len(out), len(other)))
        out[:length] = other[:length]
    else:  # two ranges swap
        a, b = sorted(rng.randrange(len(out)) for _ in range(2))
        length = min(rng.randrange(1, 400), b - a, len(out) - b)
        out[a : a + length], out[b : b + length] = out[b : b + length], out[a : a + length]
    return how, bytes(out)
