"""Markers of Final Cut Pro and other editors, as FCPXML has them: an event each, at its time in the video.

::

    <asset id="r2" start="3600s" src="file:///derby.mp4"/>
    <asset-clip ref="r2" offset="10s" start="3605s"><marker start="3612s" value="PASS"/></asset-clip>      12 s of derby

A marker counts on the clock of its clip, so where the clip is on the time line of the editor does not matter.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from urllib.parse import unquote, urlsplit
from xml.etree import ElementTree

from e2espot.core.errors import AnnotationError
from e2espot.files.xml_root import read_xml
from e2espot.formats.annotated_paths import annotation_set_of, make_event, sources_ending_in
from e2espot.formats.interchange import Annotation, AnnotationSet, DroppedFields

_TIME = re.compile(r"(-?\d{1,18})(?:/(\d{1,18})|\.(\d{1,9}))?s")
_MARKERS = ("marker", "chapter-marker")


def read_fcpxml(source: Path, dropped: DroppedFields) -> AnnotationSet:
    """Read one file, or every ``.fcpxml`` file of a folder; of ``.fcpxmld``, which is a folder, the file in it.

    Args:
        source: File or folder.
        dropped: Counts what is left out: markers of what is no clip of one video, or plays at another speed.

    Raises:
        AnnotationError: not such a file, or a marker without a time or a name; names file and marker.
    """
    events_of: dict[str, list[Annotation]] = {}
    for path in sources_ending_in(source, ".fcpxml"):
        root = read_xml(path, "export it again")
        if root.tag != "fcpxml":
            raise AnnotationError(f"{path}: no FCPXML, whose root is <fcpxml>; it is <{root.tag:.40}>")
        assets = {asset.get("id", ""): asset for asset in root.iterfind("resources/asset")}
        number = 0
        for clip in root.iter():
            markers = [child for child in clip if child.tag in _MARKERS]
            for marker in markers:
                number += 1
                context = f"{path}: marker {number}"
                position = _position(clip, marker, assets, context)
                if isinstance(position, str):
                    dropped.add(position)
                    continue
                asset, seconds = position
                note = {"note": marker.get("note", "")}
                event = make_event(marker.get("value", ""), int(1000 * seconds), note, context)
                events_of.setdefault(_name(asset), []).append(event)
        if not number:
            raise AnnotationError(f"{path}: no marker in it; a marker is an event, and its name the label")
    return annotation_set_of(events_of, source)


def _position(
    clip: ElementTree.Element, marker: ElementTree.Element, assets: Mapping[str, ElementTree.Element], context: str
) -> tuple[ElementTree.Element, Fraction] | str:
    """The video of a marker and seconds in it; or why it has none."""
    if clip.find("timeMap") is not None or _changes_rate(clip):
        return "marker of a clip that plays at another speed"
    asset, seconds = assets.get(clip.get("ref", "")), _seconds(marker.get("start", "0s"), context)
    if clip.tag == "clip":
        # The clock of a clip is its own: its video begins at `offset` on it.
        inner = next((child for child in clip if child.tag == "video" and not child.get("lane")), None)
        asset = None if inner is None else assets.get(inner.get("ref", ""))
        if inner is not None and asset is not None:
            begins = inner.get("start", asset.get("start", "0s"))
            seconds += _seconds(begins, context) - _seconds(inner.get("offset", "0s"), context)
    elif clip.tag not in ("asset-clip", "video", "audio"):
        asset = None
    if asset is None:
        return "marker of what is no clip of one video (a gap, a title, a compound or multicam clip)"
    return asset, seconds - _seconds(asset.get("start", "0s"), context)


def _changes_rate(clip: ElementTree.Element) -> bool:
    conform = clip.find("conform-rate")
    return conform is not None and conform.get("scaleEnabled") != "0"


def _seconds(text: str, context: str) -> Fraction:
    """``3600s``, ``1001/30000s`` or ``0.5s``."""
    match = _TIME.fullmatch(text)
    if match is None or (match[2] is not None and not int(match[2])):
        raise AnnotationError(f"{context}: a time is {text!r:.40}; expected one such as 1001/30000s")
    if match[3] is not None:
        return Fraction(text[:-1])
    return Fraction(int(match[1]), int(match[2] or 1))


def _name(asset: ElementTree.Element) -> str:
    """Path of the file of an asset, else its name."""
    media = asset.find("media-rep")
    address = asset.get("src", "" if media is None else media.get("src", ""))
    return unquote(urlsplit(address).path) or asset.get("name", asset.get("id", ""))
