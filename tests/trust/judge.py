"""Judges one file after another, in a process of its own: does the library show what PyAV decodes in order?

Reads paths from standard input, answers each with one line of JSON.
"""

import json
import logging
import math
import resource
import sys
import time
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np

from e2espot.benchmarks.memory import peak_mb
from e2espot.errors import VideoError
from e2espot.video import open_reader, probe, stream_frames
from e2espot.video.reader import forget_indexes

FPS, SIZE, MOST = Fraction(25), (48, 32), 400
Picture = tuple[Fraction, np.ndarray]


def in_order(path: Path) -> tuple[list[Picture], str]:
    """Time and thumbnail of each picture PyAV decodes, damaged packets passed over; the first error."""
    pictures: list[Picture] = []
    problem = by_count = ""
    try:
        with av.open(str(path), metadata_errors="replace") as container:
            stream: Any = container.streams.video[0]
            stream.codec_context.thread_count = 1
            by_count = container.format.name == "avi"
            packets = container.demux(stream)
            while len(pictures) <= 8 * MOST:
                packet = next(packets, None)
                if packet is None:
                    break
                try:
                    found = packet.decode()
                except av.error.FFmpegError as error:
                    problem = problem or f"decoding: {error}"
                    continue
                for frame in found:
                    if frame.pts is None:
                        problem = problem or "a picture without a time"
                        continue
                    small = frame.reformat(*SIZE, format="rgb24", interpolation="BILINEAR", threads=1).to_ndarray()
                    pictures.append((frame.pts * frame.time_base, np.rot90(small, round(frame.rotation / 90))))
    except (av.error.FFmpegError, OSError, ValueError, IndexError, AttributeError) as error:
        problem = problem or f"opening: {error}"
    if any(after <= before for (before, _), (after, _) in pairwise(pictures)):
        problem = problem or "times that do not grow"
        times = sorted(at_s for at_s, _ in pictures)
        if by_count:  # AVI gives pictures the times of their packets: in order they are the same times, sorted
            pictures = [(at_s, small) for at_s, (_, small) in zip(times, pictures, strict=True)]
        pictures.sort(key=lambda picture: picture[0])
    return pictures, problem or ("" if pictures else "no pictures")


def shown_by(pictures: list[Picture], fps: Fraction) -> list[np.ndarray]:
    """What stands in each grid frame: the rule of ``e2espot.timeline``, in as many words."""
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


def ours(path: Path, *, child: bool, allow_truncated: bool) -> np.ndarray:
    info = probe(path, FPS, allow_truncated=allow_truncated)
    size = SIZE[::-1] if info.rotation_degrees in (90, 270) else SIZE
    stop, more = min(info.num_frames, MOST), {"allow_truncated": allow_truncated}
    chunks = stream_frames(path, fps=FPS, size=size, in_process=not child, stop=stop, **more)
    frames = np.concatenate([chunk.frames_THWC for chunk in chunks])
    return frames


def random_reads(path: Path, frames: np.ndarray, *, allow_truncated: bool) -> str:
    """As training reads: anywhere. Names a frame that looks another way then."""
    size = (frames.shape[2], frames.shape[1])
    with open_reader(path, fps=FPS, size=size, allow_truncated=allow_truncated) as reader:
        for place in (len(frames) // 2, len(frames) - 1, 0):
            if not np.array_equal(reader.read([place])[0], frames[place]):
                return f"frame {place} of {len(frames)} differs when it is read at random"
    return ""


def verdict(path: Path, *, child: bool) -> dict[str, Any]:
    """What the library does with a file, and whether that is right."""
    begun = time.monotonic()
    told = _judged(path, child=child, allow_truncated=False)
    spent_s = time.monotonic() - begun
    if told["verdict"].startswith("refused") and "--allow_truncated" in told["why"]:
        more = _judged(path, child=child, allow_truncated=True)
        if not more["verdict"].startswith("refused"):
            told = {**more, "verdict": f"{more['verdict']}, with --allow_truncated"}
    return {**told, "spent_s": spent_s}


def _judged(path: Path, *, child: bool, allow_truncated: bool) -> dict[str, Any]:
    forget_indexes()
    warned: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: warned.append(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger("e2espot").addHandler(handler)
    refusal = otherwise = ""
    try:
        frames = ours(path, child=child, allow_truncated=allow_truncated)
        otherwise = random_reads(path, frames, allow_truncated=allow_truncated)
    except VideoError as error:
        refusal = str(error)
    except Exception as error:
        return {"verdict": "wrong", "why": f"{type(error).__name__}: {error}"}
    finally:
        logging.getLogger("e2espot").removeHandler(handler)
    pictures, problem = in_order(path)
    if refusal:
        clear = "\n" not in refusal and str(path) in refusal
        kind = ("refused" if problem else "refused though readable") if clear else "wrong"
        return {"verdict": kind, "why": refusal}
    if not pictures:
        return {"verdict": "wrong", "why": f"read, where PyAV gives nothing ({problem})"}
    shown = shown_by(pictures, FPS)
    count = min(len(shown), len(frames))
    far = [k for k in range(count) if np.abs(frames[k].astype(int) - shown[k]).mean() > 1]
    right = len(shown) == len(frames) and not far
    if allow_truncated:
        # We stop before the packet that is cut through; PyAV shows it in part, and what was to come before it.
        right = len(frames) <= len(shown) + 1 and not [k for k in far if k < count - 4]
    if len(pictures) == 1 and not far:  # whose length the header tells, and PyAV's pictures do not
        right = True
    if not right:
        why = f"{len(frames)} frames, {len(shown)} expected, {len(far)} differ, first {far[:1]}; {problem or 'reads'}"
        return {"verdict": f"different, {'warned' if warned else 'silent'}", "why": why}
    if otherwise:
        return {"verdict": "same in order only", "why": f"{otherwise}; PyAV: {problem or 'reads'}"}
    return {"verdict": "same", "why": problem}


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (6 << 30, 6 << 30))
    logging.disable(logging.NOTSET)
    av.logging.set_level(None)
    for line in sys.stdin:
        told = json.loads(line)
        answer = verdict(Path(told["path"]), child=told["child"])
        answer["peak_mb"] = round(peak_mb())
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
