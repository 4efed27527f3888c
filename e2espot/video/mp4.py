"""What FFmpeg does not give of an MP4 or MOV file: its outermost boxes, and the codecs of a track."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from e2espot.core.errors import VideoError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_FIRST_BOXES = ("ftyp", "moov", "mdat", "wide", "free", "skip", "styp")
_PATH_TO_TABLES = (b"mdia", b"minf", b"stbl")


def top_level_boxes(path: Path) -> list[str]:
    """Names of the outermost boxes of an MP4 or MOV file; empty for anything else.

    A box is 4 bytes of length, 4 of name, and its content; a length of 1 is followed by 8 bytes with the
    real one, and a length of 0 reaches to the end of the file (ISO/IEC 14496-12, section 4.2)::

        00 00 00 20 | f t y p | 24 bytes    00 00 10 00 | m o o v | 4088 bytes    -> ["ftyp", "moov"]
    """
    names: list[str] = []
    size, offset = path.stat().st_size, 0
    with path.open("rb") as file:
        while offset < size and len(names) < 64:
            file.seek(offset)
            head = file.read(16)
            length, name = int.from_bytes(head[:4], "big"), head[4:8].decode("latin-1")
            length = int.from_bytes(head[8:16], "big") if length == 1 else length or size - offset
            if length < 8 or (not names and name not in _FIRST_BOXES):
                break
            names.append(name)
            offset += length
    return names


def reject_skipped_codecs(path: Path, stream: Any) -> None:
    """Refuse a track with pictures that FFmpeg skips since they are in another codec than the first.

    Args:
        path: The file.
        stream: Its video stream, of an MP4 or MOV file.

    Raises:
        VideoError: there are such pictures.
    """
    # An edit list may leave out pictures as well, so the table is read to be certain.
    if stream.frames <= len(getattr(stream, "index_entries", ())):
        return
    codecs = entry_names(path, stream.id)
    if len(codecs) > 1:
        raise VideoError(
            f"{path}: its pictures are in several codecs ({', '.join(codecs)}), of which FFmpeg reads one; "
            "split it into one file a codec with another program"
        )


def reject_encrypted(path: Path, stream: Any) -> None:
    """Refuse a track of an MP4 or MOV file whose pictures are encrypted, which FFmpeg decodes as damaged ones.

    Raises:
        VideoError: they are.
    """
    if "encv" in entry_names(path, stream.id):  # ISO/IEC 23001-7, section 4.2
        raise VideoError(
            f"{path}: its pictures are encrypted, as streaming services protect them; name a copy that is not protected"
        )


def entry_names(path: Path, track_id: int) -> list[str]:
    """Names of the sample descriptions of a track, such as ``["avc1", "hvc1"]``, without repeats, in their order."""
    description = (_tables(path, track_id) or {}).get(b"stsd", b"")
    return list(dict.fromkeys(name.decode("latin-1") for name, _ in _boxes(description[8:])))


def sample_boxes(path: Path, track_id: int) -> dict[bytes, bytes] | None:
    """The sample tables of a track by their names; None if there are none, or samples in fragments as well."""
    return _tables(path, track_id, in_one_piece=True)


def _tables(path: Path, track_id: int, *, in_one_piece: bool = False) -> dict[bytes, bytes] | None:
    with path.open("rb") as file:
        movie = list(_boxes(_read_movie(file)))
    if in_one_piece and any(name == b"mvex" for name, _ in movie):
        return None
    for name, track in movie:
        if name != b"trak" or _track_id(track) != track_id:
            continue
        content = track
        for wanted in _PATH_TO_TABLES:
            content = next((content for name, content in _boxes(content) if name == wanted), b"")
        return dict(_boxes(content))
    return None


def _read_movie(file: Any) -> bytes:
    """Content of the box ``moov``, which holds the tables of all tracks; empty if there is none."""
    while head := file.read(8):
        length, name = int.from_bytes(head[:4], "big"), head[4:]
        head_size = 8
        if length == 1:  # the length is in 8 more bytes
            length, head_size = int.from_bytes(file.read(8), "big"), 16
        if length < head_size:  # 0: up to the end of the file
            return file.read() if name == b"moov" and length == 0 else b""
        if name == b"moov":
            return bytes(file.read(length - head_size))
        file.seek(length - head_size, 1)
    return b""


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Name and content of each box in ``data``: 4 bytes of length, 4 of name, content (ISO/IEC 14496-12, 4.2)."""
    offset = 0
    while offset + 8 <= len(data):
        length = int.from_bytes(data[offset : offset + 4], "big")
        if length < 8:
            return
        yield data[offset + 4 : offset + 8], data[offset + 8 : offset + length]
        offset += length


def _track_id(track: bytes) -> int:
    """Number of a track, from its header: after two times of 4 bytes, in version 1 of 8 (ISO/IEC 14496-12, 8.3.2)."""
    header = next((content for name, content in _boxes(track) if name == b"tkhd"), b"\0")
    offset = 20 if header[:1] == b"\x01" else 12
    return int.from_bytes(header[offset : offset + 4], "big")
