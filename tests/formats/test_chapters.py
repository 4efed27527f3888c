"""Chapters of one recording are recognised by the names that cameras and discs give them."""

from pathlib import Path

from e2espot.formats.chapters import recordings_in_chapters


def test_chapters_are_of_one_folder_kind_and_recording_in_order() -> None:
    names = [
        *("GX020012.MP4", "GX010012.MP4", "GX010013.MP4", "GH010012.MP4", "b/GX030012.MP4"),
        *("VTS_01_2.VOB", "VTS_01_0.VOB", "vts_01_1.vob", "VTS_02_1.VOB", "match_1.mp4", "match_2.mp4"),
    ]
    recordings = [[path.as_posix() for path in chapters] for chapters in recordings_in_chapters(map(Path, names))]
    assert recordings == [["GX010012.MP4", "GX020012.MP4"], ["vts_01_1.vob", "VTS_01_2.VOB"]]
