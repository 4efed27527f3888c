from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

cv2 = pytest.importorskip("cv2", reason="pictures need OpenCV: pip install -e '.[render]'")

from e2espot.core.events import Event
from e2espot.core.label_sets import LabelSet
from e2espot.core.scores import Scores
from e2espot.studies.demo_pictures import draw_strips, draw_timeline, pair_events


def test_pair_events_returns_every_label_and_prediction_once() -> None:
    labels = [Event(frame=100, label="PASS"), Event(frame=110, label="PASS"), Event(frame=300, label="DRIVE")]
    predictions = [
        Event(frame=104, label="PASS", confidence=0.4),
        Event(frame=101, label="PASS", confidence=0.9),
        Event(frame=102, label="DRIVE", confidence=0.8),
        Event(frame=500, label="PASS", confidence=0.7),
    ]
    paired_events = [(paired.kind, paired.event.frame) for paired in pair_events(labels, predictions, 12)]
    assert paired_events == [
        ("hit", 101),
        ("false positive", 102),
        ("false positive", 500),
        ("hit", 104),
        ("miss", 300),
    ]


def test_timeline_draws_scores_and_labels_at_their_time(tmp_path: Path) -> None:
    scores_TK = np.zeros((25 * 90, 1), np.float32)
    scores_TK[25 * 30] = 1
    scores = Scores(scores_TK=scores_TK, label_set=LabelSet(("PASS",)), fps=Fraction(25))
    draw_timeline(scores, [Event(frame=25 * 75, label="PASS")], tmp_path / "timeline.png")
    picture = cv2.imread(str(tmp_path / "timeline.png"))
    assert picture.shape == (2 * 90 + 30, 1500, 3)
    marked = (picture != 255).any(axis=2)
    assert marked[48:100, 745:756].any()  # half past the first minute
    assert not marked[60:100, 300:700].any()
    assert marked[124:136, 373:378].any(axis=1).all()  # a quarter into the second


def test_strip_centres_the_frame_shown_at_the_event(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "v.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for k in range(50):
            grey = np.full((64, 96, 3), 230 if k == 21 else 20, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(grey, format="rgb24")))
        container.mux(stream.encode())
    # Frame 10 at 12.5 frames a second lasts from 20 to 22 at 25: its middle is shown by frame 21.
    paired_events = pair_events([], [Event(frame=10, label="PASS", confidence=0.5)], 12)
    draw_strips(tmp_path / "v.mp4", paired_events, 12.5, tmp_path / "strip.png")
    picture = cv2.imread(str(tmp_path / "strip.png"))
    assert picture.shape == (224 + 24, 5 * 398, 3)
    brightness = [picture[60:200, 398 * k + 40 : 398 * k + 360].mean() for k in range(5)]
    assert np.argmax(brightness) == 2
    assert sorted(brightness)[-2] < 60
