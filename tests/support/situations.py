"""What cameras, recorders and downloads write: how to make each kind of file, and what each reader must do with it.

The table in docs/video.md is made of this registry: ``python -m tests.support.situations`` prints it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

from tests.support import situation_files as files
from tests.support.numbered_video import Video, constant

Reader = Literal["auto", "decord", "dali_cpu", "dali_copies", "review", "transcode"]
"""A way from the file to a picture; ``dali_copies`` are the containers that NVDEC would receive, decoded by PyAV."""
Outcome = Literal["right", "by PyAV", "refused", "not applicable"]
"""``by PyAV``: right, read by PyAV in place of the reader asked for, with the reason in the log. ``refused``: an error
of one line."""

READERS: dict[Reader, str] = {
    "auto": "`auto` on a CPU",
    "decord": "`decord`",
    "dali_cpu": "`dali` on a CPU",
    "dali_copies": "`dali` on a GPU",
    "review": "`review`",
    "transcode": "`transcode`",
}
"""Their titles in the table."""

COUNT = 60
"""Pictures of most files."""
_H264_ONLY_ON_GPUS: dict[Reader, Outcome] = {"dali_cpu": "not applicable"}
"""DALI's CPU backend decodes VP8, VP9 and MJPEG only."""


@dataclass(frozen=True, kw_only=True)
class Situation:
    """A kind of file."""

    name: str
    """What it is, as the table says it."""
    make: Callable[[Path], Path]
    """Writes it into a folder."""
    times_s: tuple[Fraction, ...]
    """When each picture that a player shows begins."""
    numbers: tuple[int, ...]
    """The number that each of them shows."""
    outcomes: Mapping[Reader, Outcome] = field(default_factory=dict)
    """What each reader does; ``right`` for those that are not named."""

    def outcome(self, reader: Reader) -> Outcome:
        """What ``reader`` must do."""
        return self.outcomes.get(reader, "right")


def _situation(
    name: str,
    make: Callable[[Path], Path],
    *,
    times_s: tuple[Fraction, ...] | None = None,
    numbers: tuple[int, ...] | None = None,
    **outcomes: Outcome,
) -> Situation:
    """A situation of ``COUNT`` pictures at 25 a second, unless times and numbers are given."""
    numbers = numbers or tuple(range(len(times_s or range(COUNT))))
    times_s = times_s or tuple(Fraction(k, 25) for k in range(len(numbers)))
    return Situation(name=name, make=make, times_s=times_s, numbers=numbers, outcomes=outcomes)  # type: ignore[arg-type]


def _video(name: str, video: Video, **outcomes: Outcome) -> Situation:
    """A situation that is just an encoded video."""
    times_s = tuple(stamp * video.time_base for stamp in video.stamps)
    return _situation(name, files.writer(video), times_s=times_s, **outcomes)


def _plain(**more: Any) -> Video:
    return constant(Fraction(25), COUNT, **more)


_X265 = {"x265-params": "log-level=none:keyint=12:bframes=3"}
_VPX = {"deadline": "realtime", "cpu-used": "8", "g": "20"}
_AV1 = {"preset": "8", "g": "20", "crf": "15", "svtav1-params": "lp=1"}
_LAGGED = {"deadline": "good", "cpu-used": "5", "auto-alt-ref": "1", "lag-in-frames": "16", "g": "30"}
_UNEVEN = tuple(k * 40 + (k * 7 % 13) - (k % 5) * 3 for k in range(COUNT))
_DROPPED = tuple(k for k in range(COUNT) if k not in (10, 11, 12, 40))
_GPU_ONLY: dict[str, Outcome] = {"dali_cpu": "not applicable"}
_PYAV_ONLY: dict[str, Outcome] = {"decord": "refused", "dali_cpu": "not applicable", "dali_copies": "by PyAV"}
_REFUSED: dict[str, Any] = dict.fromkeys(
    ("auto", "decord", "dali_cpu", "dali_copies", "review", "transcode"), "refused"
)

SITUATIONS = (
    _video("H.264, 25 pictures a second, MP4", _plain(options={"g": "12"}), **_GPU_ONLY),
    _video("29.97 pictures a second", constant(Fraction(30000, 1001), COUNT), **_GPU_ONLY),
    _video("50 pictures a second", constant(Fraction(50), 2 * COUNT), **_GPU_ONLY),
    _video("variable rate", Video(stamps=_UNEVEN, time_base=Fraction(1, 1000)), **_GPU_ONLY),
    _video(
        "B-pyramid, Matroska",
        _plain(suffix=".mkv", options={"g": "20", "bf": "3", "x264-params": "b-pyramid=normal:b-adapt=0"}),
        **_GPU_ONLY,
    ),
    _video(
        "open groups of pictures",
        _plain(options={"g": "12", "bf": "2", "x264-params": "open-gop=1:b-adapt=0:scenecut=0"}),
        **_GPU_ONLY,
    ),
    _situation("first picture late", files.shifted(_plain(), Fraction(5, 2)), **_GPU_ONLY),
    _situation(
        "an edit list hides the start",
        files.shifted(_plain(options={"g": "60", "bf": "0"}), Fraction(-10, 25)),
        numbers=tuple(range(10, COUNT)),
        **_GPU_ONLY,
    ),
    _situation(
        "an edit list with two entries",
        files.several_edits,
        numbers=tuple(number for start, end in files.EDITS for number in range(start, end)),
        decord="by PyAV",
        dali_cpu="not applicable",
        dali_copies="by PyAV",
    ),
    _situation(
        "two sample descriptions",
        files.two_descriptions,
        decord="by PyAV",
        dali_cpu="not applicable",
        dali_copies="by PyAV",
    ),
    _situation("transport stream", files.writer(_plain(suffix=".ts", options={"g": "12"})), **_GPU_ONLY),
    _situation(
        "fragmented MP4",
        files.writer(_plain(container_options={"movflags": "frag_keyframe+empty_moov"}, options={"g": "12"})),
        **_GPU_ONLY,
    ),
    _video("a long gap between two pictures", Video(**files.GAP), **_GPU_ONLY),
    _situation("two pictures with one time stamp", files.doubled_stamp, **files.DOUBLED, **_GPU_ONLY),
    _situation(
        "the clock goes back in the middle",
        files.joined_clock,
        numbers=files.JOINED_NUMBERS,
        **_REFUSED | {"transcode": "right"},
    ),
    _situation(
        "ends before its header declares",
        files.truncated(_plain(suffix=".mkv", options={"g": "12"})),
        **_REFUSED,
    ),
    _situation(
        "MP4 without a header, still being written",
        files.truncated(_plain(options={"g": "12"})),
        **_REFUSED,
    ),
    _situation("rotated by 90 degrees", files.rotated, dali_cpu="not applicable", dali_copies="by PyAV"),
    _situation("mirrored (front camera)", files.mirrored, dali_cpu="not applicable", dali_copies="by PyAV"),
    _situation("cover picture as stream 0", files.cover_picture_first(_plain()), **_GPU_ONLY),
    _situation("two video tracks", files.two_tracks, **_GPU_ONLY),
    _situation("two programmes in a transport stream", files.two_programmes, **_GPU_ONLY),
    _situation(
        "a transport stream that lacks packets",
        files.lost_packets,
        numbers=tuple(k for k in range(COUNT) if k != files.LOST),
        times_s=tuple(Fraction(k, 25) for k in range(COUNT) if k != files.LOST),
        **_GPU_ONLY,
    ),
    _situation("a match in two files", files.two_files, transcode="refused", **_GPU_ONLY),
    _video(
        "AVI with B-frames",
        _plain(suffix=".avi", options={"g": "12", "bf": "2"}),
        decord="by PyAV",
        dali_cpu="not applicable",
        dali_copies="by PyAV",
    ),
    _video("AVI", _plain(suffix=".avi", options={"g": "12", "bf": "0"}), **_GPU_ONLY),
    _video(
        "AVI with dropped pictures",
        Video(stamps=_DROPPED, time_base=Fraction(1, 25), suffix=".avi", options={"g": "12", "bf": "0"}),
        decord="by PyAV",
        dali_cpu="not applicable",
        dali_copies="by PyAV",
    ),
    _situation(
        "B-frames with times of decoding",
        files.stored_times,
        decord="by PyAV",
        dali_cpu="not applicable",
        dali_copies="by PyAV",
    ),
    _situation("H.264 without a container", files.raw_stream, **_REFUSED | {"transcode": "right"}),
    _situation(
        "field pictures (1080i)",
        files.field_pictures,
        dali_cpu="not applicable",
        dali_copies="by PyAV",
    ),
    _situation(
        "field pictures, two in a packet",
        files.fields_together,
        dali_cpu="not applicable",
        dali_copies="by PyAV",
    ),
    _situation(
        "interlaced (1080i50)",
        files.woven_fields,
        decord="by PyAV",
        dali_cpu="not applicable",
        dali_copies="by PyAV",
    ),
    _video("progressive, flagged as interlaced", _plain(options={"g": "12", "x264-params": "tff=1"}), **_GPU_ONLY),
    *(
        _video(
            f"HDR ({name}), HEVC in 10 bits",
            _plain(
                codec="libx265",
                pixel_format="yuv420p10le",
                options={
                    "x265-params": f"{_X265['x265-params']}:colorprim=bt2020:transfer={transfer}:colormatrix=bt2020nc"
                },
            ),
            decord="by PyAV",
            dali_cpu="not applicable",
            dali_copies="by PyAV",
        )
        for name, transfer in (("PQ", "smpte2084"), ("HLG", "arib-std-b67"))
    ),
    _situation("black bars, VP9", files.bars, decord="by PyAV"),
    _video("H.264 in 4:4:4", _plain(suffix=".mkv", pixel_format="yuv444p", options={"g": "12"}), **_PYAV_ONLY),
    _video("HEVC", _plain(codec="libx265", options=_X265), decord="refused", **_GPU_ONLY),
    _video(
        "HEVC in 10 bits",
        _plain(codec="libx265", pixel_format="yuv420p10le", options=_X265),
        decord="refused",
        dali_cpu="not applicable",
    ),
    _video("VP9", _plain(codec="libvpx-vp9", suffix=".webm", options=_VPX)),
    _video("VP9 with hidden pictures", _plain(codec="libvpx-vp9", suffix=".webm", options=_LAGGED)),
    _situation(
        "VP9 that shows pictures again",
        files.shown_again,
        numbers=files.SHOWN_AGAIN,
        dali_copies="by PyAV",
    ),
    _situation(
        "VP9 whose size changes",
        files.size_change,
        decord="by PyAV",
        dali_cpu="by PyAV",
        dali_copies="by PyAV",
    ),
    _video("VP8", _plain(codec="libvpx", suffix=".webm", options=_VPX)),
    _situation(
        "VP8 with hidden pictures",
        files.hidden_vp8,
        decord="by PyAV",
        dali_cpu="by PyAV",
        dali_copies="by PyAV",
    ),
    _video("AV1", _plain(codec="libsvtav1", options=_AV1),
           decord="refused", dali_cpu="not applicable", dali_copies="by PyAV"),
    _video("AV1, Matroska", _plain(codec="libsvtav1", suffix=".mkv", options=_AV1),
           decord="refused", dali_cpu="not applicable", dali_copies="by PyAV"),
    _video("MPEG-4", _plain(codec="mpeg4", options={"g": "12", "bf": "2"}), **_PYAV_ONLY),
    _video("MPEG-2, transport stream", _plain(codec="mpeg2video", suffix=".ts", options={"g": "12", "bf": "2"}),
           **_PYAV_ONLY),
    _video("MJPEG", _plain(codec="mjpeg", suffix=".mkv", pixel_format="yuvj420p", options={"qscale": "2"}),
           decord="refused"),
)  # fmt: skip
"""All of them, in the order of the table."""


def table() -> str:
    """The table of docs/video.md: a row a situation, a column a reader."""
    rows = [["situation", *READERS.values()], ["---"] * (len(READERS) + 1)]
    rows += [[situation.name, *(situation.outcome(reader) for reader in READERS)] for situation in SITUATIONS]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


if __name__ == "__main__":
    sys.stdout.write(table() + "\n")
