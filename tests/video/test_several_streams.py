"""Files with two video streams: the one that players choose is read, or the one that the user chooses."""

import logging
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from e2espot.clips.dataset import ClipDataset
from e2espot.clips.sampler import ClipSampler
from e2espot.core.errors import VideoError
from e2espot.core.label_sets import LABEL_SETS
from e2espot.review.browser_video import prepare_browser_video
from e2espot.training.data import load_games
from e2espot.video import index_cache, index_of, index_video, open_reader, probe, stream_frames
from e2espot.video.indexing import clear_index_cache
from e2espot.video.transcode import transcode
from tests.support.numbered_video import constant, numbers_in, picture

COUNT = 60


def write_two(path: Path, *, default: int) -> Path:
    """Stream 0 counts up and stream 1 down; one of them is flagged as the default, as multi-camera recorders do."""
    template = constant(Fraction(25), COUNT)
    with av.open(str(path), "w") as container:
        streams: list[Any] = []
        for number in range(2):
            stream: Any = container.add_stream("libx264", rate=25, options={"g": "10", "bf": "0"})
            stream.width, stream.height, stream.pix_fmt = *template.size, "yuv420p"
            stream.codec_context.time_base = Fraction(1, 25)
            stream.disposition = int(number == default)
            streams.append(stream)
        for position in range(COUNT):
            for stream, number in zip(streams, (position, 1000 - position), strict=True):
                image = av.VideoFrame.from_ndarray(picture(number), "rgb24")
                image.pts, image.time_base = position, Fraction(1, 25)
                container.mux(stream.encode(image))
        for stream in streams:
            container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
@pytest.mark.parametrize("default", [0, 1])
def test_reader_and_transcode_take_the_stream_that_players_choose(
    default: int, suffix: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write_two(tmp_path / f"two{suffix}", default=default)
    with av.open(str(path)) as container:
        assert [bool(int(stream.disposition) & 1) for stream in container.streams.video] == [default == 0, default == 1]
    wanted = [1000 - number if default else number for number in range(COUNT)]
    with caplog.at_level(logging.WARNING):
        assert index_video(path).stream_index == default
    assert f"holds 2 video streams; stream {default} is read, not {1 - default}" in caplog.text
    assert numbers_in(open_reader(path).read(range(COUNT))) == wanted
    assert numbers_in(open_reader(path, reader="decord").read([50, 3])) == [wanted[50], wanted[3]]
    assert transcode(path, tmp_path / "new.mp4") == COUNT
    assert numbers_in(open_reader(tmp_path / "new.mp4").read(range(COUNT))) == wanted


@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".ts"])
@pytest.mark.parametrize("number", [0, 1])
def test_video_stream_chooses_the_stream_for_every_reader_and_for_transcode(
    number: int, suffix: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write_two(tmp_path / f"two{suffix}", default=1 - number)
    wanted = [1000 - position if number else position for position in range(COUNT)]
    with caplog.at_level(logging.WARNING):
        assert probe(path, video_stream=number).num_frames == COUNT
        assert numbers_in(open_reader(path, video_stream=number).read(range(COUNT))) == wanted
        backwards = list(range(COUNT))[::-7]
        assert numbers_in(open_reader(path, video_stream=number).read(backwards)) == [wanted[k] for k in backwards]
        assert numbers_in(open_reader(path, reader="decord", video_stream=number).read([50, 3])) == [
            wanted[50],
            wanted[3],
        ]
        chunks = stream_frames(path, video_stream=number, chunk_len=25)
        assert numbers_in(np.concatenate([chunk.frames_THWC for chunk in chunks])) == wanted
        assert transcode(path, tmp_path / "new.mp4", video_stream=number) == COUNT
    assert numbers_in(open_reader(tmp_path / "new.mp4").read(range(COUNT))) == wanted
    assert caplog.text == ""  # the user has chosen, so there is nothing to say


def test_video_stream_that_does_not_exist_is_refused_with_a_list_of_those_that_do(tmp_path: Path) -> None:
    path = write_two(tmp_path / "two.mkv", default=0)
    streams = "holds 2 video streams: 0: 160x96 h264, 25.00 fps; 1: 160x96 h264, 25.00 fps; give one of these numbers"
    for number in (2, -1):
        for read in (probe, open_reader):
            with pytest.raises(
                VideoError, match=f"two.mkv: video_stream is {number}, and the file {streams}"
            ) as caught:
                read(path, video_stream=number)
            assert caught.value.option == "video_stream"
        with pytest.raises(VideoError, match=streams):
            transcode(path, tmp_path / "new.mp4", video_stream=number)
    assert not (tmp_path / "new.mp4").exists()


def test_index_cache_holds_one_entry_for_each_stream(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("E2ESPOT_INDEX_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(index_cache, "_MIN_PACKETS", 1)
    path = write_two(tmp_path / "two.mkv", default=1)
    for number, index in ((None, 1), (0, 0), (1, 1)):
        clear_index_cache()
        assert index_of(path, video_stream=number).stream_index == index
    for number, index in ((None, 1), (0, 0), (1, 1)):
        clear_index_cache()
        status = path.stat()
        cached = index_cache.load(path, status.st_size, status.st_mtime_ns, number)
        assert cached is not None
        assert cached.stream_index == index


def test_training_clips_and_validation_read_the_stream_that_was_chosen(tmp_path: Path) -> None:
    game = tmp_path / "league" / "game"
    game.mkdir(parents=True)
    write_two(game / "224p.mp4", default=0)
    (game / "Labels-ball.json").write_text('{"annotations": []}')
    (tmp_path / "splits.json").write_text('{"train": ["league/game"], "valid": ["league/game"]}')
    labels = LABEL_SETS["ball-2"]
    (loaded,) = load_games(tmp_path, "train", labels, Fraction(25), video_stream=1)
    (video,) = loaded.training_videos(labels)
    assert (video.video_stream, loaded.game.videos[0].video_stream) == (1, 1)
    sampler = ClipSampler(videos=[video.labelled], clip_len=8, num_clips=1, seed=0)
    dataset = ClipDataset([video], sampler, fps=Fraction(25), size=(160, 96), label_radius=1)
    clip = sampler.clip(0, 0)
    inside = [t for t in range(8) if 0 <= clip.start + t < COUNT]
    assert numbers_in(dataset[0, 0].frames[inside]) == [1000 - (clip.start + t) for t in inside]


@pytest.mark.parametrize("number", [0, 1, None])
def test_review_serves_only_the_stream_that_was_scored(number: int | None, tmp_path: Path) -> None:
    path = write_two(tmp_path / "two.mp4", default=1)
    served = prepare_browser_video(path, tmp_path / "cache", video_stream=number)
    with av.open(str(served.files[0].path)) as container:
        assert len(container.streams.video) == 1
    wanted = [1000 - position if number != 0 else position for position in range(COUNT)]
    assert numbers_in(open_reader(served.files[0].path).read(range(COUNT))) == wanted
