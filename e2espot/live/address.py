"""What a user may name as the source of a stream, and how FFmpeg opens each kind."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from e2espot.core.errors import ConfigurationError
from e2espot.sources.remote import redact

Kind = Literal["network", "download", "pipe", "device", "growing", "file"]

_NETWORK = ("rtsp", "rtsps", "rtmp", "rtmps", "udp", "rtp", "tcp")
_DOWNLOAD = ("http", "https", "hls")
_LISTENING = ("rtmp", "rtsp", "tcp", "http")
PIPED = {
    "srt": "ffmpeg -i srt://... -c copy -f mpegts - | e2espot live RUN -",
    "ndi": "ffmpeg -f libndi_newtek -i NAME -c:v libx264 -preset ultrafast -f mpegts - | e2espot live RUN -",
    "dash": "ffmpeg -i https://.../manifest.mpd -c copy -f mpegts - | e2espot live RUN -",
}
"""Protocols that PyAV's wheels lack, and how to read them all the same."""


@dataclass(frozen=True, kw_only=True)
class Address:
    """One source."""

    text: str
    """As FFmpeg takes it."""
    kind: Kind
    """network: may come back after a break. download: http, which ends. pipe: standard input. device: a camera.
    growing: a file that is still written. file: played at its own pace."""
    format: str | None = None
    """FFmpeg's name of the input format; None to detect it."""
    options: dict[str, str] = field(default_factory=dict)
    """FFmpeg's options."""

    @property
    def name(self) -> str:
        """For messages, without passwords."""
        return "standard input" if self.kind == "pipe" else redact(self.text)

    @property
    def listens(self) -> bool:
        """Whether a sender connects to this machine."""
        return "listen" in self.options or "rtsp_flags" in self.options

    @property
    def returns(self) -> bool:
        """Whether it is opened again after it ended or broke off."""
        return self.kind == "network"


def parse_address(source: str, *, listen: bool = False, follow: bool = False, replay: bool = False) -> Address:
    """The source that a user names.

    Args:
        source: A URL, ``-`` for standard input, a device, or a file.
        listen: Wait for a sender that connects to this machine.
        follow: A file that another program is still writing.
        replay: A complete file, at its own pace.

    Raises:
        ConfigurationError: an unknown protocol, a file that does not exist, or options that contradict it.
    """
    if sum((listen, follow, replay)) > 1:
        raise ConfigurationError("listen, follow and replay exclude each other; choose one")
    if source == "-":
        _refuse(listen or follow or replay, source, "standard input is read as it comes")
        return Address(text="pipe:0", kind="pipe", options={"probesize": "1000000"})
    scheme = source.split("://")[0].lower() if "://" in source else ""
    if scheme:
        return _of_url(source, scheme, listen=listen, is_file=follow or replay)
    _refuse(listen, source, "listen needs a URL such as rtmp://0.0.0.0:1935/live/match")
    path = Path(source)
    if not path.exists():
        raise ConfigurationError(f"{source}: no such file or device; name a URL, a file, /dev/video0, or - for a pipe")
    if path.is_char_device():
        _refuse(follow or replay, source, "a device is read as it comes")
        return Address(text=source, kind="device", format="v4l2")
    if path.is_dir():
        raise ConfigurationError(f"{source}: a folder; name a file or a URL")
    if follow:
        return Address(text=os.fspath(path), kind="growing", options={"follow": "1"})
    if replay:
        return Address(text=os.fspath(path), kind="file")
    raise ConfigurationError(
        f"{source}: a file; say whether another program is still writing it (follow=True), or whether it is to be "
        "played at its own pace (replay=True)",
        option="replay",
    )


def _of_url(source: str, scheme: str, *, listen: bool, is_file: bool) -> Address:
    _refuse(is_file, source, "follow and replay are for files")
    if scheme in PIPED:
        raise ConfigurationError(f"{scheme} is not built in; pipe it: {PIPED[scheme]}")
    if scheme not in (*_NETWORK, *_DOWNLOAD):
        known = ", ".join((*_NETWORK, *_DOWNLOAD[:2]))
        raise ConfigurationError(f"{redact(source)}: no protocol {scheme!r}; choose from {known}, or - for a pipe")
    try:
        _ = urlsplit(source).port
    except ValueError:
        _refuse(True, source, "its port is none; ports are numbers from 1 to 65535")
    _refuse(listen and scheme not in _LISTENING, source, f"only {', '.join(_LISTENING)} can listen")
    # A short analysis: what follows the first second is not needed to know the codec, and RTMP would wait 5 s.
    options = {"analyzeduration": "1000000", "probesize": "1000000"}
    if scheme in ("rtsp", "rtsps"):
        options["rtsp_transport"] = "tcp"  # over UDP, lost packets damage pictures without a sign
    if scheme in ("udp", "rtp"):
        # The buffer takes the packets that arrive while this process is busy; more than it holds is no reason to end.
        options |= {"fifo_size": "28000", "overrun_nonfatal": "1", "buffer_size": "2000000"}
    if scheme in ("http", "https"):
        options["live_start_index"] = "-1"  # of HLS: the newest segment, not three back
    if listen:
        options |= {"rtsp_flags": "listen"} if scheme == "rtsp" else {"listen": "1"}
    kind: Kind = "network" if scheme in _NETWORK or listen else "download"
    return Address(text=source, kind=kind, options=options)


def _refuse(is_wrong: bool, source: str, reason: str) -> None:
    if is_wrong:
        raise ConfigurationError(f"{redact(source)}: {reason}")
