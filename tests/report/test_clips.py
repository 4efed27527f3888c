"""Clips show the event at the time that their list states, with its audio; numbers drawn into pictures prove it."""

import csv
import errno
import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from e2espot.cli.main import dispatch
from e2espot.core.errors import ConfigurationError, E2ESpotError
from e2espot.report.clip_plan import merge_stretches
from e2espot.video import index_video, open_reader
from e2espot.video.clip_files import Stretch, picture_at
from tests.support.mp4_boxes import set_matrix
from tests.support.numbered_video import constant, number_in, turn_by_message, write

RATE = 48_000
LOUD_FROM_S = 6
CLOCKS = ("00-00-02.020", "00-00-09.900", "00-00-10.500", "00-00-17.060")
EVENTS = (("PASS", 2_020, 0.9), ("SHOT", 3_100, 0.4), ("PASS", 7_060, 0.8), ("PASS", 60_000, 0.9))


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """10 s with a key picture every second, open GOPs, B-frames, and audio that is silent up to second 6."""
    folder = tmp_path_factory.mktemp("clips")
    options = {"g": "25", "bf": "2", "x264-params": "keyint=25:min-keyint=25:scenecut=0:open-gop=1"}
    silent = write(folder / "silent", constant(Fraction(25), 250, options=options))
    target = folder / "match.mp4"
    with av.open(str(silent)) as source, av.open(str(target), "w") as output:
        pictures = output.add_stream_from_template(source.streams.video[0])
        audio: Any = output.add_stream("aac", rate=RATE, layout="mono")
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = pictures
                output.mux(packet)
        samples = np.where(np.arange(10 * RATE) < LOUD_FROM_S * RATE, 0, np.sin(np.arange(10 * RATE) / 10))
        frame = av.AudioFrame.from_ndarray(samples[None].astype(np.float32), format="fltp", layout="mono")
        frame.rate, frame.pts, frame.time_base = RATE, 0, Fraction(1, RATE)
        output.mux(audio.encode(frame))
        output.mux(audio.encode(None))
    return target


@pytest.fixture
def results(tmp_path: Path) -> Path:
    rows = [
        {"gameTime": f"1 - 00:{ms // 1000:02d}", "label": label, "position": str(ms), "half": "1", "confidence": str(c)}
        for label, ms, c in EVENTS
    ]
    path = tmp_path / "out" / "match" / "results_spotting.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"UrlLocal": "match", "predictions": rows}))
    return path


def clips(*words: object) -> None:
    dispatch(["clips", *map(str, words)])


def rows(folder: Path) -> list[dict[str, Any]]:
    document = json.loads((folder / "clips.json").read_text())
    assert document["complete"]
    with (folder / "clips.csv").open() as table:
        assert [row["file"] for row in csv.DictReader(table)] == [row["file"] for row in document["clips"]]
    return document["clips"]  # type: ignore[no-any-return]


def numbers(path: Path) -> list[int]:
    with av.open(str(path)) as container:
        return [number_in(picture.to_ndarray(format="rgb24")) for picture in container.decode(video=0)]


def check(folder: Path, source: Path) -> None:
    """Every clip decodes without a gap, and has the picture of each event where the list says."""
    index = index_video(source)
    for row in rows(folder):
        shown = numbers(folder / row["file"])
        clip = index_video(folder / row["file"])
        assert shown[picture_at(clip, row["event_in_file_ms"])] == picture_at(index, row["position_ms"])
        begins, ends = picture_at(index, row["begins_ms"]), picture_at(index, row["ends_ms"] - 1)
        part = shown[shown.index(begins) :][: ends - begins + 1]
        assert part == list(range(begins, ends + 1))


@pytest.mark.parametrize("more", [(), ("--exact",)], ids=["copied", "encoded"])
def test_the_picture_of_the_event_is_where_the_list_says(
    results: Path, video: Path, tmp_path: Path, more: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "clips"
    clips(tmp_path / "out", "-v", video, "-o", folder, "--before", 1.3, "--after", 1, *more)
    assert [row["file"] for row in rows(folder)] == [
        "1_00-00-02.020_PASS.mp4",
        "1_00-00-03.100_SHOT.mp4",
        "1_00-00-07.060_PASS.mp4",
    ]
    check(folder, video)
    assert [row["begins_ms"] for row in rows(folder)] == ([720, 1800, 5760] if more else [0, 1000, 5000])
    assert "3 clips cut -> " in capsys.readouterr().out
    with av.open(str(folder / "1_00-00-07.060_PASS.mp4")) as container:
        levels = [
            (float(frame.pts * frame.time_base), float(np.abs(frame.to_ndarray()).max()))
            for frame in container.decode(audio=0)
        ]
    starts = min(time_s for time_s, level in levels if level > 0.1)
    # To within two packets of 1024 samples.
    assert abs(starts - (LOUD_FROM_S - rows(folder)[2]["begins_ms"] / 1000)) < 2048 / RATE


@pytest.mark.parametrize("turned", ["by a message", "mirrored"])
def test_encoded_clips_are_turned_as_their_source_is_shown(turned: str, results: Path, tmp_path: Path) -> None:
    video = write(tmp_path / "match", constant(Fraction(25), 100, options={"g": "25"}))
    if turned == "mirrored":
        set_matrix(video, (-1, 0, 0, 1))
    else:
        video = turn_by_message(video, tmp_path / "phone.mp4")
    clips(tmp_path / "out", "-v", video, "-o", tmp_path / "clips", "--before", 0.5, "--after", 0.5, "--exact")
    for row in rows(tmp_path / "clips"):
        begins = picture_at(index_video(video), row["begins_ms"])
        with open_reader(video) as source, open_reader(tmp_path / "clips" / row["file"]) as clip:
            pictures = clip.read(range(clip.info.num_frames))
            wanted = source.read(range(begins, begins + len(pictures))).astype(int)
        assert pictures.shape == wanted.shape and np.abs(pictures - wanted).mean() < 2


def test_what_no_container_of_clips_holds_is_encoded(results: Path, tmp_path: Path) -> None:
    video = write(tmp_path / "match", constant(Fraction(25), 100, codec="wmv2", suffix=".wmv", options={"b": "2M"}))
    clips(tmp_path / "out", "-v", video, "-o", tmp_path / "clips", "--before", 0.5, "--after", 0.5)
    assert [row["file"][-8:] for row in rows(tmp_path / "clips")] == ["PASS.mp4", "SHOT.mp4"]
    check(tmp_path / "clips", video)


@pytest.mark.parametrize("more", [(), ("--exact",)])
@pytest.mark.parametrize("form", [".ts", ".ts from within a group on", ".vob"])
def test_clips_are_cut_from_transport_and_program_streams(form: str, more: tuple[str, ...], tmp_path: Path) -> None:
    """A seek leads to a later packet in the one, and to wrong times in the other."""
    (tmp_path / "match.csv").write_text("time,label\n0.1,PASS\n1.5,PASS\n3.3,PASS\n4.1,PASS\n4.7,PASS\n")
    codec = {"codec": "mpeg2video", "options": {"g": "12", "bf": "0"}} if form == ".vob" else {"options": {"g": "24"}}
    video = write(tmp_path / "match", constant(Fraction(25), 250, suffix=form.split()[0], **codec))
    if "within" in form:
        data = video.read_bytes()
        video.write_bytes(data[len(data) // 20 // 188 * 188 :])
    with open_reader(video, size=(160, 96)) as reader:
        first = number_in(reader.read([0])[0])
    clips(tmp_path / "match.csv", "-v", video, "-o", tmp_path / "c", "--before", 1, "--after", 0.5, *more)
    for row in rows(tmp_path / "c"):
        shown = numbers(tmp_path / "c" / row["file"])
        assert shown == list(range(shown[0], shown[-1] + 1))
        assert shown[row["event_in_file_ms"] // 40] == first + row["position_ms"] // 40


@pytest.mark.parametrize("more", [(), ("--exact",)], ids=["copied", "encoded"])
def test_a_reel_shows_overlapping_clips_once(results: Path, video: Path, tmp_path: Path, more: tuple[str, ...]) -> None:
    clips(results, "-v", video, "-o", tmp_path / "c", "--before", 0.5, "--after", 1, "--reel", *more)
    check(tmp_path / "c", video)
    assert {row["file"] for row in rows(tmp_path / "c")} == {"1_reel.mp4"}
    shown = numbers(tmp_path / "c" / "1_reel.mp4")
    assert shown == sorted(set(shown))
    if more:
        assert shown == [*range(38, 103), *range(164, 202)]


@pytest.mark.parametrize("more", [(), ("--exact",), ("--reel",)], ids=["copied", "encoded", "reel"])
def test_clips_of_a_match_in_several_files(
    video: Path, tmp_path: Path, more: tuple[str, ...], caplog: pytest.LogCaptureFixture
) -> None:
    second = tmp_path / "next.mp4"
    second.write_bytes(video.read_bytes())
    # The first file lasts 10 s: at 10.5 s the second one has run for half a second.
    times = [2020, 9900, 10_500, 17_060, 60_000]
    labels = tmp_path / "match.csv"
    labels.write_text("time,label\n" + "".join(f"{ms / 1000},PASS\n" for ms in times))
    clips(labels, "-v", f"{video}+{second}", "-o", tmp_path / "c", "--before", 1, "--after", 0.5, *more)
    listed = rows(tmp_path / "c")
    assert [row["position_ms"] for row in listed] == times[:4]
    index = index_video(video)
    for row in listed:
        starts_ms = 10_000 if row["position_ms"] >= 10_000 else 0
        shown = numbers(tmp_path / "c" / row["file"])
        clip = index_video(tmp_path / "c" / row["file"])
        assert shown[picture_at(clip, row["event_in_file_ms"])] == picture_at(index, row["position_ms"] - starts_ms)
        assert starts_ms <= row["begins_ms"] <= row["position_ms"] < row["ends_ms"] <= starts_ms + 10_000
    names = ["1_reel_part1.mp4", "1_reel_part2.mp4"] if "--reel" in more else [f"1_{t}_PASS.mp4" for t in CLOCKS]
    assert sorted({row["file"] for row in listed}) == names
    messages = " ".join(caplog.messages)
    assert "1 event after its end left out" in messages
    assert "2 clips cut off where the match goes on in another file" in messages


def test_clips_are_chosen_resumed_and_not_overwritten(
    results: Path, video: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "c"
    command = (results, "-v", video, "-o", folder, "--classes", "PASS", "--before", 1)
    clips(*command)
    first, second = (folder / row["file"] for row in rows(folder))
    before = first.stat().st_mtime_ns
    with pytest.raises(ConfigurationError, match=r"clips\.json exists; choose another folder"):
        clips(*command)
    second.unlink()
    capsys.readouterr()
    clips(*command, "--resume")
    assert "1 clip cut, 1 of 2 there already" in capsys.readouterr().out
    assert second.exists()
    assert first.stat().st_mtime_ns == before
    with pytest.raises(ConfigurationError, match="is of other events, videos or settings"):
        clips(*command, "--resume", "--after", 2)
    clips(*command, "--overwrite", "--min_confidence", 0.85)
    assert [row["confidence"] for row in rows(folder)] == [0.9]


def test_a_file_in_place_of_the_folder_is_named_before_a_clip_is_cut(
    results: Path, video: Path, tmp_path: Path
) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ConfigurationError, match=r"notes\.txt is a file; name a folder for the results"):
        clips(results, "-v", video, "-o", tmp_path / "notes.txt")


def test_a_full_disk_is_named_and_leaves_no_part(
    results: Path, video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill(*_: object) -> None:
        av.error.err_check(-errno.ENOSPC, "part")

    monkeypatch.setattr("e2espot.video.clip_files._copy", fill)
    with pytest.raises(E2ESpotError, match=r"PASS\.mp4: cannot be written \(No space left on device\)"):
        clips(results, "-v", video, "-o", tmp_path / "c")
    assert not list((tmp_path / "c").glob(".*")), "no file that is half-written"


def test_events_are_read_from_tables_and_unusable_input_is_named(video: Path, tmp_path: Path) -> None:
    table = tmp_path / "events.csv"
    table.write_text("time,label,half\n2.02,HIGH PASS,1\n3.0,PASS,2\n")
    with pytest.raises(E2ESpotError, match="events of half 2, and 1 video; name one video for each half"):
        clips(table, "-v", video, "-o", tmp_path / "c")
    clips(table, "-v", video, video, "-o", tmp_path / "c", "--before", 0, "--after", 0, "--exact")
    assert [row["file"] for row in rows(tmp_path / "c")] == ["1_00-00-02.020_HIGH_PASS.mp4", "2_00-00-03.000_PASS.mp4"]
    assert numbers(tmp_path / "c" / "2_00-00-03.000_PASS.mp4") == [75]
    with pytest.raises(ConfigurationError, match="before is -1"):
        clips(table, "-v", video, "--before", -1)
    with pytest.raises(ConfigurationError, match="its format is not known by its name"):
        clips(video, "-v", video)


def test_stretches_that_touch_are_one() -> None:
    given = [Stretch(first=a, last=b) for a, b in ((13, 20), (0, 9), (5, 12), (30, 40))]
    assert merge_stretches(given) == (Stretch(first=0, last=20), Stretch(first=30, last=40))


def test_clips_of_an_interrupted_overwrite_are_not_taken_for_those_of_the_new_settings(
    video: Path, results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Clips before and after have the same names; the second run is interrupted at its first clip."""
    out = tmp_path / "clips"
    command = (results, "-v", video, "-o", out, "--exact", "--before", 1)
    clips(*command, "--after", 0)

    def interrupt(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("e2espot.report.cut_clips.write_clip", interrupt)
        with pytest.raises(KeyboardInterrupt):
            clips(*command, "--after", 2, "--overwrite")
    clips(*command, "--after", 2, "--resume")
    check(out, video)
    for row in rows(out):
        assert len(numbers(out / row["file"])) > 50, "of the first settings, which show one second"


def test_clips_refuse_resume_together_with_overwrite(video: Path, results: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="give one of the two"):
        clips(results, "-v", video, "-o", tmp_path / "clips", "--resume", "--overwrite")
    assert not (tmp_path / "clips").exists()
