"""Labels of CVAT: tags of frames, as its format "CVAT for images 1.1" has them.

::

    <image id="187" name="frame_000187"><tag label="PASS"/></image>     frame 187 of the video, whatever the task's step

Tags of one class on frames that follow each other are one event, at the first of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from xml.etree import ElementTree

from e2espot.core.errors import AnnotationError
from e2espot.core.timeline import position_ms_of_frame
from e2espot.files.xml_root import read_xml
from e2espot.formats.annotated_paths import annotation_set_of, make_event, sources_ending_in
from e2espot.formats.interchange import Annotation, AnnotationSet, DroppedFields

_Tag = tuple[int, str, Mapping[str, str]]
"""Frame, label and attributes."""


def is_cvat(root: ElementTree.Element) -> bool:
    """Whether an XML file is an export of CVAT."""
    return root.tag == "annotations" and root.find("meta") is not None


def read_cvat(source: Path, fps: Fraction | None, dropped: DroppedFields) -> AnnotationSet:
    """Read one export, or every ``.xml`` file of a folder.

    Args:
        source: File or folder.
        fps: Rate of the video, which the export does not state; None if it is not known.
        dropped: Counts what is left out: boxes and other shapes, and tags that go on.

    Raises:
        AnnotationError: not such an export, of images, without a tag or without a rate; names file and frame.
    """
    events_of: dict[str, list[Annotation]] = {}
    for path in sources_ending_in(source, ".xml"):
        root = read_xml(path, "export the task again")
        if not is_cvat(root):
            raise AnnotationError(f"{path}: no export of CVAT; expected <annotations> with <meta>")
        if root.findtext("meta/task/mode") == "annotation":
            raise AnnotationError(f"{path}: a task of images, which have no times; make one of the video")
        tags_of = _tags(root, path)
        if not any(tags_of.values()):
            raise AnnotationError(
                f"{path}: no tag of a frame, which is an event; export as 'CVAT for images 1.1', as the format for "
                "videos has no tags"
            )
        if fps is None:
            raise AnnotationError(
                f"{path}: CVAT exports frames without their rate; state it when it is converted, that of the video: "
                "fps=25"
            )
        shapes = sum(entry.tag not in ("tag", "attribute", "image") for entry in root.iterfind("image/*"))
        dropped.add("box or other shape of CVAT", shapes + len(root.findall("track")))
        for video, tags in tags_of.items():
            events = events_of.setdefault(video, [])
            events += _events(tags, fps, dropped, str(path))
    return annotation_set_of(events_of, source)


def _tags(root: ElementTree.Element, path: Path) -> dict[str, list[_Tag]]:
    """Tags by the names of their videos."""
    tags_of: dict[str, list[_Tag]] = {}
    of_task = {task.findtext("id", ""): task for task in root.iterfind("meta/project/tasks/task")}
    for image in root.iterfind("image"):
        task = of_task.get(image.get("task_id", ""))
        name = _video(root, path) if task is None else task.findtext("source") or task.findtext("name") or path.stem
        tags = tags_of.setdefault(name, [])
        number = image.get("id", "")
        if not number.isascii() or not number.isdigit() or len(number) > 12:
            raise AnnotationError(f"{path}: id of an image is {number!r:.40}; expected the number of a frame")
        for tag in image.iterfind("tag"):
            attributes = {entry.get("name", ""): (entry.text or "").strip() for entry in tag.iterfind("attribute")}
            tags.append((int(number), tag.get("label", ""), attributes))
    return tags_of


def _video(root: ElementTree.Element, path: Path) -> str:
    """Name of the video of a task or a job; without one, that of the task."""
    paths = ("meta/source", "meta/task/source", "meta/job/source", "meta/task/name")
    return next(filter(None, (root.findtext(tag_path, "").strip() for tag_path in paths)), path.stem)


def _events(tags: list[_Tag], fps: Fraction, dropped: DroppedFields, context: str) -> Iterator[Annotation]:
    last_frame_of: dict[str, int] = {}
    for frame, label, attributes in sorted(tags, key=lambda tag: tag[0]):
        goes_on = frame - last_frame_of.get(label, -2) == 1
        last_frame_of[label] = frame
        if goes_on:
            dropped.add("tag of CVAT on the frame after one of its class (one event)")
            continue
        yield make_event(label, position_ms_of_frame(frame, fps), attributes, f"{context}: frame {frame}")
