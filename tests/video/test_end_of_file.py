"""The end of a file is decoded when it is wanted, and a file that breaks off there is refused before it is used."""

from fractions import Fraction
from pathlib import Path

import pytest

from e2espot.clips.dataset import ClipDataset, TrainingVideo
from e2espot.clips.sampler import ClipSpec, LabelledVideo
from e2espot.core.errors import VideoError
from e2espot.video import index_of, open_reader, probe, require_readable, stream_frames
from e2espot.video.indexing import clear_index_cache
from tests.support.numbered_video import HEIGHT, WIDTH, constant, numbers_in, overwrite_packets, write

OPTIONS = {"g": "50", "bf": "0", "x264-params": "scenecut=0"}


@pytest.fixture
def broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """1,200 pictures by the container, the last 30 of which are not there."""
    monkeypatch.setenv("E2ESPOT_INDEX_CACHE", str(tmp_path / "cache"))
    video = constant(Fraction(25), 1200, options=OPTIONS)
    return overwrite_packets(write(tmp_path / "broken", video), slice(-30, None), 0xFF)


def test_index_of_leaves_the_end_to_its_readers(tmp_path: Path, decoded: list[int]) -> None:
    path = write(tmp_path / "video", constant(Fraction(25), 200, options=OPTIONS))
    assert probe(path).num_frames == 200
    with open_reader(path) as reader:
        assert not decoded
        assert numbers_in(reader.read(range(100, 120))) == list(range(100, 120))
        assert max(decoded) < 125
        assert numbers_in(reader.read([199])) == [199]
        num_decoded = len(decoded)
    with open_reader(path) as reader:
        assert numbers_in(reader.read([199])) == [199]
    assert len(decoded) - num_decoded <= 52, "the end is proven once, then only read"


def test_reader_gives_all_but_the_end_of_a_broken_file(broken: Path) -> None:
    assert probe(broken).num_frames == 1200
    with open_reader(broken) as reader:
        assert numbers_in(reader.read(range(1100, 1150))) == list(range(1100, 1150))
        with pytest.raises(VideoError, match=r"breaks off after 46.8 s") as caught:
            reader.read([1155])
    assert caught.value.option == "allow_truncated"


@pytest.mark.parametrize("in_process", [True, False])
def test_stream_frames_refuses_a_broken_end_before_the_first_frame(broken: Path, in_process: bool) -> None:
    with pytest.raises(VideoError, match="breaks off"):
        next(stream_frames(broken, in_process=in_process))


def test_index_of_remembers_that_a_file_breaks_off(broken: Path, decoded: list[int]) -> None:
    with pytest.raises(VideoError, match="breaks off"):
        require_readable(index_of(broken))
    assert decoded
    decoded.clear()
    for _ in range(2):
        with pytest.raises(VideoError, match="breaks off"):
            index_of(broken)
        clear_index_cache()  # as in the next process
    assert not decoded


def test_allow_truncated_reads_a_broken_file_up_to_its_end(broken: Path) -> None:
    info = probe(broken, allow_truncated=True)
    assert (info.num_frames, info.truncated) == (1170, True)
    with open_reader(broken, allow_truncated=True) as reader:
        assert numbers_in(reader.read([1169])) == [1169]
    with pytest.raises(VideoError, match="breaks off"):
        probe(broken)


def test_last_picture_that_does_not_decode_is_held(tmp_path: Path) -> None:
    path = write(tmp_path / "video", constant(Fraction(25), 200, options=OPTIONS))
    overwrite_packets(path, slice(-1, None), 0xFF)
    assert probe(path).num_frames == probe(path, allow_truncated=True).num_frames == 200
    frames = [number for chunk in stream_frames(path) for number in numbers_in(chunk.frames_THWC)]
    assert frames == [*range(199), 198]
    with open_reader(path) as reader:
        assert numbers_in(reader.read([199])) == [198]
        assert not reader.is_reliable([199])[0]


class OneClip:
    """A sampler with one clip."""

    num_clips = 1

    def __init__(self, start: int) -> None:
        self._start = start

    def clip(self, epoch: int, index: int) -> ClipSpec:
        return ClipSpec(video=0, start=self._start, length=16)


def test_clip_of_a_broken_end_is_refused(broken: Path) -> None:
    labelled = LabelledVideo(num_frames=probe(broken).num_frames, event_frames=(35,), event_targets=(1,))
    for start in (1000, 1134, 1150):
        clips = ClipDataset(
            [TrainingVideo(path=broken, labelled=labelled)],
            OneClip(start),
            fps=Fraction(25),
            size=(WIDTH, HEIGHT),
            label_radius=1,
        )
        if start < 1150:
            assert numbers_in(clips[0, 0].frames) == list(range(start, start + 16))
        else:
            with pytest.raises(VideoError, match="breaks off"):
                clips[0, 0]
