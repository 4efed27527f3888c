"""Compares the frames of the library with those of PyAV, file by file, in a process of its own.

Reads requests from standard input, answers each with one line of JSON.
"""

import json
import logging
import math
import resource
import sys
import time
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np

from e2espot.benchmarks.memory import peak_mb
from e2espot.core.errors import VideoError
from e2espot.video import open_reader, probe, stream_frames
from e2espot.video.indexing import clear_index_cache

FPS, SIZE, MOST = Fraction(25), (48, 32), 400
Picture = tuple[Fraction, np.ndarray]


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What PyAV decodes of a file, packet by packet; damaged packets are skipped."""

    pictures: list[Picture]
    """Time and thumbnail of each picture, by time."""
    error: str
    """The first error, or that there are no pictures."""
    oddity: str
    """What is wrong with the times of the pictures; PyAV does not report it."""
    short: str
    """What the header declares and the file does not hold, as far as PyAV reports both."""

    @property
    def kind(self) -> str:
        """The worst of these."""
        return "error" if self.error else "short" if self.short else "odd times" if self.oddity else "clean"

    @property
    def problem(self) -> str:
        return self.error or self.oddity


def in_order(path: Path) -> Reading:
    pictures: list[Picture] = []
    faults = {"error": "", "oddity": "", "short": ""}
    by_count = False
    try:
        with av.open(str(path), metadata_errors="replace") as container:
            by_count = container.format.name == "avi"
            decode_all(container, pictures, faults)
    except (av.error.FFmpegError, OSError, ValueError, IndexError, AttributeError) as raised:
        faults["error"] = faults["error"] or f"opening: {raised}"
    if any(after <= before for (before, _), (after, _) in pairwise(pictures)):
        faults["oddity"] = faults["oddity"] or "times that do not grow"
        times = sorted(at_s for at_s, _ in pictures)
        if by_count:  # AVI gives pictures the times of their packets: in order they are the same times, sorted
            pictures = [(at_s, small) for at_s, (_, small) in zip(times, pictures, strict=True)]
        pictures.sort(key=lambda picture: picture[0])
    if not pictures:
        faults["error"] = faults["error"] or "no pictures"
    return Reading(pictures=pictures, **faults)


def decode_all(container: Any, pictures: list[Picture], faults: dict[str, str]) -> None:
    stream: Any = container.streams.video[0]
    stream.codec_context.thread_count = 1
    num_packets, end_s = 0, Fraction(0)
    for packet in container.demux(stream):
        num_packets += bool(packet.size)
        if packet.pts is not None:
            end_s = max(end_s, (packet.pts + (packet.duration or 0)) * packet.time_base)
        try:
            decoded = packet.decode()
        except av.error.FFmpegError as raised:
            faults["error"] = faults["error"] or f"decoding: {raised}"
            continue
        for frame in decoded:
            if frame.pts is None:
                faults["oddity"] = faults["oddity"] or "a picture without a time"
                continue
            small = frame.reformat(*SIZE, format="rgb24", interpolation="BILINEAR", threads=1).to_ndarray()
            pictures.append((frame.pts * frame.time_base, np.rot90(small, round(frame.rotation / 90))))
        if len(pictures) > 8 * MOST:
            return
    faults["short"] = missing(container, stream, num_packets, end_s)


def missing(container: Any, stream: Any, num_packets: int, end_s: Fraction) -> str:
    """What the header declares and the packets lack; for other containers FFmpeg only guesses the duration."""
    if stream.frames > num_packets:
        return f"{num_packets} of {stream.frames} packets"
    declared_s = Fraction(0)
    if container.format.name.startswith("mov"):
        declared_s = (stream.duration or 0) * stream.time_base
    elif container.format.name.startswith(("matroska", "avi")):
        declared_s = Fraction(container.duration or 0, 1_000_000)
    return f"{float(end_s):.2f} of {float(declared_s):.2f} s" if declared_s - end_s > Fraction(1, 50) else ""


def shown_by(pictures: list[Picture], fps: Fraction) -> list[np.ndarray]:
    """Picture of each grid frame, by the definition in ``e2espot.core.timeline``."""
    times = [at_s - pictures[0][0] for at_s, _ in pictures]
    steps = sorted(after - before for before, after in pairwise(times))
    middle = len(steps) // 2
    end = times[-1] + (((steps[middle] + steps[~middle]) / 2) if steps else 1 / fps)
    shown, at = [], 0
    for k in range(min(MOST, math.ceil(end * fps) + 1)):
        middle_s = (k + Fraction(1, 2)) / fps
        if middle_s < end:
            while at + 1 < len(times) and times[at + 1] <= middle_s:
                at += 1
            shown.append(pictures[at][1])
    return shown


def library_frames(path: Path, *, child: bool, allow_truncated: bool) -> np.ndarray:
    info = probe(path, FPS, allow_truncated=allow_truncated)
    size = SIZE[::-1] if info.rotation_degrees in (90, 270) else SIZE
    stop, options = min(info.num_frames, MOST), {"allow_truncated": allow_truncated}
    chunks = stream_frames(path, fps=FPS, size=size, in_process=not child, stop=stop, **options)
    frames = np.concatenate([chunk.frames_THWC for chunk in chunks])
    return frames


def random_reads(path: Path, frames: np.ndarray, *, allow_truncated: bool) -> tuple[str, bool]:
    """Read at random, as training does: a frame that differs then, and whether training is warned about it."""
    difference = "", False
    size = (frames.shape[2], frames.shape[1])
    with open_reader(path, fps=FPS, size=size, allow_truncated=allow_truncated) as reader:
        for frame in (len(frames) // 2, len(frames) - 1, 0):
            same = np.array_equal(reader.read([frame])[0], frames[frame])
            warned = not reader.is_reliable([frame])[0]
            if not same and (not warned or not difference[0]):
                difference = f"frame {frame} of {len(frames)} differs when read at random", warned
                if not warned:
                    break
    return difference


def verdict(path: Path, *, child: bool) -> dict[str, Any]:
    """What the library does with a file, and whether that is correct."""
    start_s = time.monotonic()
    result = _compare(path, child=child, allow_truncated=False)
    spent_s = time.monotonic() - start_s
    if result["verdict"].startswith("refused") and result.pop("option") == "allow_truncated":
        truncated = _compare(path, child=child, allow_truncated=True)
        if not truncated["verdict"].startswith("refused"):
            result = {**truncated, "verdict": f"{truncated['verdict']}, with allow_truncated", "why": result["why"]}
    return {**result, "spent_s": spent_s}


def _compare(path: Path, *, child: bool, allow_truncated: bool) -> dict[str, Any]:
    clear_index_cache()
    warned: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: warned.append(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger("e2espot").addHandler(handler)
    refusal, option, otherwise = "", None, ("", False)
    frames = np.empty(0)
    try:
        frames = library_frames(path, child=child, allow_truncated=allow_truncated)
        otherwise = random_reads(path, frames, allow_truncated=allow_truncated)
    except VideoError as error:
        refusal, option = str(error), error.option
    except Exception as error:
        return {"verdict": "wrong", "why": f"{type(error).__name__}: {error}"}
    finally:
        logging.getLogger("e2espot").removeHandler(handler)
    reading = in_order(path)
    result = _verdict(path, frames, reading, refusal, otherwise, warned, allow_truncated)
    return {**result, "pyav": reading.kind, "option": option}


def _verdict(
    path: Path,
    frames: np.ndarray,
    reading: Reading,
    refusal: str,
    otherwise: tuple[str, bool],
    warned: list[str],
    allow_truncated: bool,
) -> dict[str, Any]:
    pictures, problem = reading.pictures, reading.problem
    if refusal:
        clear = "\n" not in refusal and str(path) in refusal
        return {"verdict": "refused" if clear else "wrong", "why": refusal}
    if not pictures:
        return {"verdict": "wrong", "why": f"read, where PyAV gives nothing ({problem})"}
    shown = shown_by(pictures, FPS)
    count = min(len(shown), len(frames))
    far = [k for k in range(count) if np.abs(frames[k].astype(int) - shown[k]).mean() > 1]
    right = len(shown) == len(frames) and not far
    if allow_truncated:
        # The library stops before the incomplete packet; PyAV decodes a part of it, and pictures shown before it.
        right = len(frames) <= len(shown) + 1 and not [k for k in far if k < count - 4]
    if len(pictures) == 1 and not far:  # its duration is in the header only
        right = True
    if not right:
        why = f"{len(frames)} frames, {len(shown)} expected, {len(far)} differ, first {far[:1]}; {problem or 'reads'}"
        return {"verdict": f"different, {'warned' if warned else 'silent'}", "why": why}
    what, warned_of = otherwise
    if what:
        kind = "same, training is warned" if warned_of else "same in order only"
        return {"verdict": kind, "why": f"{what}; PyAV: {problem or 'reads'}"}
    return {"verdict": "same", "why": problem}


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (6 << 30, 6 << 30))
    logging.disable(logging.NOTSET)
    av.logging.set_level(None)
    for line in sys.stdin:
        request = json.loads(line)
        answer = verdict(Path(request["path"]), child=request["child"])
        answer["peak_mb"] = round(peak_mb())
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
