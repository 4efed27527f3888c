"""What was done to a video's pictures is stored with its results, and nothing where nothing was done."""

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from e2espot.formats.game import Game
from e2espot.inference.job import Job, predict_video, single_video
from e2espot.inference.options import InferenceOptions
from e2espot.inference.results import BatchResults
from e2espot.models.spotter import Spotter, SpotterSpec
from e2espot.sources.remote import default_cache
from e2espot.suppression.calibration import Calibration
from tests.support.numbered_video import picture
from tests.support.prepared_videos import SIZE, barred, encode, interlaced

AUTO = InferenceOptions(adapt="none")


@pytest.fixture(scope="module")
def spotter() -> Spotter:
    spec = SpotterSpec(feature_arch="small", temporal_arch="", classes=("PASS",), clip_len=16, width=64, height=48)
    return Spotter(spec, pretrained=False).eval()


def results_of(path: Path, spotter: Spotter, out: Path, options: InferenceOptions) -> dict[str, object]:
    video = single_video(path)
    game = Game(name=video.game, folder=path.parent, videos=(video,), labels_path=None)
    batch = BatchResults(games={video.game: game}, out=out, fps=Fraction(25))
    job = Job(spotters=(spotter,), calibration=Calibration(), options=options, cache=default_cache())
    written = batch.add(predict_video(job, video))
    assert written is not None
    content: dict[str, object] = json.loads(written[0].read_text())
    return content


def test_results_state_how_pictures_were_prepared(tmp_path: Path, spotter: Spotter) -> None:
    woven = interlaced(tmp_path / "woven.mp4", 40)
    boxed = barred(tmp_path / "boxed.mp4", (80, 0, 80, 0), 60)
    plain = encode(tmp_path / "plain.mp4", [picture(number, SIZE) for number in range(40)])
    off = replace(AUTO, deinterlace="off", crop_bars="off", tone_map="off")
    expected = {
        woven: {"half": "1", "file": "woven.mp4", "deinterlaced": "top field first"},
        boxed: {"half": "1", "file": "boxed.mp4", "cropped_to": "320:240:80:0"},
    }
    for path, row in expected.items():
        assert results_of(path, spotter, tmp_path / "auto", AUTO)["prepared"] == [row]
        assert "prepared" not in results_of(path, spotter, tmp_path / "off", off)
    assert "prepared" not in results_of(plain, spotter, tmp_path / "auto", AUTO)
    files = [(tmp_path / name / "plain" / "results_spotting.json") for name in ("auto", "off")]
    results_of(plain, spotter, tmp_path / "off", off)
    assert files[0].read_bytes() == files[1].read_bytes()


def test_scores_are_those_of_the_same_video_without_bars(tmp_path: Path, spotter: Spotter) -> None:
    from e2espot.inference.predict import spot_video

    boxed = barred(tmp_path / "boxed.mp4", (0, 60, 0, 60), 60)
    plain = encode(tmp_path / "plain.mp4", [picture(number, SIZE) for number in range(60)])
    scores = [spot_video(spotter, path, AUTO).scores_TK for path in (boxed, plain)]
    assert np.abs(scores[0] - scores[1]).max() < 0.02


def test_each_file_of_a_match_is_prepared_on_its_own(tmp_path: Path, spotter: Spotter) -> None:
    from e2espot.video import open_reader, stream_frames
    from tests.support.numbered_video import numbers_in

    interlaced(tmp_path / "a.mp4", 40)
    barred(tmp_path / "b.mp4", (0, 60, 0, 60), 60)
    both = Path(f"{tmp_path}/a.mp4+b.mp4")
    streamed_THWC = np.concatenate([chunk.frames_THWC for chunk in stream_frames(both, size=SIZE)])
    assert numbers_in(streamed_THWC) == [*range(40), *range(60)]
    with open_reader(both, size=SIZE) as reader:
        assert np.array_equal(reader.read([0, 39, 40, 99]), streamed_THWC[[0, 39, 40, 99]])
    assert results_of(both, spotter, tmp_path / "out", AUTO)["prepared"] == [
        {"half": "1", "file": "a.mp4", "deinterlaced": "top field first"},
        {"half": "1", "file": "b.mp4", "cropped_to": "320:240:0:60"},
    ]
