"""Spot the ball actions of a stream seconds after they happen: e2espot live RUN rtsp://camera/stream."""

from __future__ import annotations

import re
import sys
import time
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from e2espot.cli.parsing import Words, parse
from e2espot.core.errors import ConfigurationError, VideoError

if TYPE_CHECKING:
    from e2espot.core.adaptation import Adaptation
    from e2espot.inference.adapt import AdaptMode
    from e2espot.inference.options import InferenceOptions
    from e2espot.live.adaptation import StreamAdapter
    from e2espot.live.address import Address
    from e2espot.live.session import LiveSession, Reader
    from e2espot.live.sinks import Sink
    from e2espot.models import Spotter

_RING_S = 10.0
"""Seconds of frames that may wait for the network."""
_FRAMES_AT_A_TIME = 16
"""Frames that the network takes at a time if nothing limits the latency."""
EXIT_LOST = 3
"""Exit status when a stream broke off and did not come back; 2 is for one that cannot be read at all."""


@dataclass(frozen=True, kw_only=True)
class Live:
    """Spot the ball actions of a stream while it is sent.

    Sources: a URL (rtsp, rtmp, udp, rtp, tcp, http with HLS), a device, a file, or - for standard input.

    Examples: e2espot live RUN rtsp://camera/stream; e2espot live RUN match.mp4 --replay; ffmpeg -i srt://... -c copy
    -f mpegts - | e2espot live RUN -
    """

    run_and_source: Annotated[Words, tyro.conf.arg(metavar="[RUN] SOURCE")]
    """Run folder or .safetensors file (by default the shipped spotter), then the source."""
    out: Annotated[Path | None, tyro.conf.arg(aliases=["-o"])] = None
    """Folder for events.jsonl and the results; by default a new one, live/YYYYMMDD-HHMMSS."""
    latency: str = "3"
    """Seconds that an event may take from its picture to its line; less costs accuracy. With none, events are those
    of e2espot infer, and come as late as these need."""
    threshold: float = 0.2
    """Smallest confidence of printed and posted events; events.jsonl and the results hold all of them."""
    listen: bool = False
    """Wait for a sender that connects to the URL, such as OBS to rtmp://0.0.0.0:1935/live/match."""
    follow: bool = False
    """The source is a file that another program is still writing."""
    replay: bool = False
    """Play a file at its own pace."""
    unpaced: bool = False
    """With --replay: as fast as it goes."""
    give_up: float = 60.0
    """Seconds without a picture after which the stream is lost; until then it is connected again."""
    video_stream: int | None = None
    """Which video stream is read, counted from 0; by default the one that players choose."""
    record: Path | None = None
    """Store the stream in this .mkv file, copied without encoding, for e2espot review."""
    webhook: str | None = None
    """Post events to this address as JSON."""
    page: int | None = None
    """Show the events on a page at this port of 127.0.0.1; 0 for a free one."""
    kickoff: str | None = None
    """Local time of the kick-off as HH:MM:SS: events get the time of the match. Or press k at the kick-off."""
    format: Literal["auto", "json", "table"] = "auto"
    """What is printed: auto prints a table on a terminal and JSON lines elsewhere."""
    device: str = "auto"
    """cpu, cuda or auto."""
    flip: bool = False
    """Average with the scores of the mirrored stream: slightly better, and twice the time."""
    adapt: Literal["auto", "none", "statistics"] = "auto"
    """Adapt the network's batch norms without labels, as e2espot infer does: to the first minute of a stream, and with
    --replay to the file before it begins. auto does so as far as it differs from the training data, statistics always
    does, none never."""


def main(arguments: list[str]) -> None:
    """Spot until the stream is over."""
    args = parse(Live, arguments, "e2espot live")
    latency_s = _check(args)
    _check_combinations(args)
    _kickoff(args)
    run, source = _split(args.run_and_source)
    from e2espot.live.address import parse_address

    address = parse_address(source, listen=args.listen, follow=args.follow, replay=args.replay)
    session = _session(args, run, address, latency_s)
    from e2espot.cli.keys import on_key

    with on_key("k", session.kick_off):
        end = session.run()
    reason = f"{address.name}: {session.reader.reason}"
    if end == "refused":
        raise VideoError(reason)
    sys.stderr.write(f"{end}: {reason}\n")
    if end == "lost":
        sys.exit(EXIT_LOST)


def _check(args: Live) -> float | None:
    """The latency in seconds; None for no limit."""
    latency_s: float | None = None
    if args.latency != "none":
        try:
            latency_s = float(args.latency)
        except ValueError:
            latency_s = -1.0
        if not 0 < latency_s <= 600:
            raise ConfigurationError(f"--latency {args.latency}: give seconds above 0 and up to 600, or none")
    if not 0 <= args.threshold <= 1:
        raise ConfigurationError(f"--threshold {args.threshold}: give a confidence from 0 to 1")
    if not 0 < args.give_up <= 86_400:
        raise ConfigurationError(f"--give_up {args.give_up}: give seconds above 0, up to 86400")
    return latency_s


def _check_combinations(args: Live) -> None:
    if args.unpaced and not args.replay:
        raise ConfigurationError("--unpaced plays a file as fast as it goes; give --replay too")
    if args.page is not None and not 0 <= args.page < 65536:
        raise ConfigurationError(f"--page {args.page}: give a number from 0 to 65535")
    if args.video_stream is not None and args.video_stream < 0:
        raise ConfigurationError(f"--video_stream {args.video_stream}: streams are counted from 0")
    if args.record is not None and args.replay:
        raise ConfigurationError("--record is for streams; a replayed file is its own recording, so leave it out")


def _kickoff(args: Live) -> float | None:
    """``--kickoff`` today, in seconds since 1970."""
    if args.kickoff is None:
        return None
    if re.fullmatch(r"([01]?\d|2[0-3]):[0-5]\d:[0-5]\d", args.kickoff) is None:
        raise ConfigurationError(f"--kickoff {args.kickoff!r}: give a time of day as HH:MM:SS")
    hours, minutes, seconds = map(int, args.kickoff.split(":"))
    return datetime.now().astimezone().replace(hour=hours, minute=minutes, second=seconds, microsecond=0).timestamp()


def _split(words: tuple[str, ...]) -> tuple[Path | None, str]:
    if len(words) not in (1, 2):
        raise ConfigurationError("name one source, after the run if you have one: e2espot live [RUN] SOURCE")
    return (Path(words[0]) if len(words) == 2 else None), words[-1]


def _session(args: Live, run: Path | None, address: Address, latency_s: float | None) -> LiveSession:
    from e2espot.core.device import parse_device, reuse_freed_memory
    from e2espot.inference.options import InferenceOptions
    from e2espot.live.latency import plan_latency
    from e2espot.live.session import LiveSession, Match
    from e2espot.live.spotter import LiveSpotter
    from e2espot.models import load_spotter
    from e2espot.models.weights.checkpoint import shipped_spotter
    from e2espot.suppression import read_calibration

    reuse_freed_memory()
    path = run or shipped_spotter()
    spotter = load_spotter(path, parse_device(args.device))
    calibration = read_calibration(path, spotter.label_set)
    spotter.check_sees_frames(path)
    options = InferenceOptions(flip=args.flip, adapt=args.adapt, video_stream=args.video_stream)
    delay_s, piece = None, _FRAMES_AT_A_TIME
    if latency_s is not None:
        look_ahead_s, delay_s, piece = plan_latency(spotter, calibration, latency_s)
        options = replace(options, look_ahead=look_ahead_s)
    spotter, adaptation, adapter = _adapted(args.adapt, address, spotter, options)
    reader = _reader(args, address, spotter, options)
    out = args.out or Path("live") / time.strftime("%Y%m%d-%H%M%S")
    return LiveSession(
        reader=reader,
        spotter=LiveSpotter(spotter, calibration, options, delay_s, adaptation=adaptation, adapter=adapter),
        fps=spotter.grid_fps,
        network_fps=spotter.fps,
        out=out,
        name=_name(args, address),
        sinks=_sinks(args),
        threshold=args.threshold,
        piece=piece,
        latency_s=None if address.kind == "file" else latency_s,
        has_wall_clock=address.kind not in ("file", "growing"),
        match=Match(kickoff_wall_s=_kickoff(args)),
        is_paced=not args.unpaced,
    )


def _adapted(
    adapt: AdaptMode, address: Address, spotter: Spotter, options: InferenceOptions
) -> tuple[Spotter, Adaptation | None, StreamAdapter | None]:
    """The spotter, how it was adapted to a file, and what adapts it to a stream."""
    from e2espot.inference.adapt import adapt_to_video
    from e2espot.live.adaptation import StreamAdapter
    from e2espot.models.norm_statistics import batch_norms

    if address.kind == "file":
        return *adapt_to_video(spotter, Path(address.text), options), None
    if adapt == "none" or not batch_norms(spotter.backbone):
        return spotter, None, None
    return spotter, None, StreamAdapter(spotter, adapt)


def _reader(args: Live, address: Address, spotter: Spotter, options: InferenceOptions) -> Reader:
    from e2espot.live.recorder import StreamRecorder
    from e2espot.live.replay import FileReplay
    from e2espot.live.stream_reader import StreamReader

    size, ring_len = (spotter.spec.width, spotter.spec.height), max(32, round(_RING_S * float(spotter.fps)))
    if address.kind == "file":
        return FileReplay(
            Path(address.text),
            fps=spotter.fps,
            size=size,
            options=options,
            ring_len=ring_len,
            is_paced=not args.unpaced,
        )
    return StreamReader(
        address,
        fps=spotter.fps,
        size=size,
        ring_len=ring_len,
        give_up_s=args.give_up,
        video_stream=args.video_stream,
        recorder=None if args.record is None else StreamRecorder(args.record),
    )


def _name(args: Live, address: Address) -> str:
    from e2espot.video.parts import stem_of

    if args.record is not None:
        return args.record.stem
    return stem_of(Path(address.text)) if address.kind in ("file", "growing") else "match"


def _sinks(args: Live) -> list[Sink]:
    from e2espot.live.sinks import Lines, Table, Webhook

    is_table = args.format == "table" or (args.format == "auto" and sys.stdout.isatty())
    sinks: list[Sink] = [Table(sys.stdout) if is_table else Lines(sys.stdout)]
    if args.webhook is not None:
        sinks.append(Webhook(args.webhook))
    if args.page is not None:
        from e2espot.live.page import LivePage

        page = LivePage(args.page)
        sys.stderr.write(f"open http://127.0.0.1:{page.port}/\n")
        sinks.append(page)
    return sinks
