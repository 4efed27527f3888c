"""A match small enough to train on within a test, and a spotter small enough to run."""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from e2espot.core.events import Event
from e2espot.formats.soccernet import write_labels
from e2espot.models.spotter import Spotter, SpotterSpec
from e2espot.models.weights.checkpoint import save_spotter

TOY_SPEC = SpotterSpec(
    feature_arch="small_gsm", temporal_arch="gru", classes=("PASS",), clip_len=16, fps="12.5", width=96, height=64
)


def write_spotter(file: Path, spec: SpotterSpec = TOY_SPEC) -> Path:
    """Write an untrained spotter for the pictures of this dataset."""
    save_spotter(file, Spotter(spec).state_dict(), spec)
    return file


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Files of a game."""

    videos: tuple[str, ...] = ("224p.mp4",)
    """Names of the videos, one per half."""
    labels: str = "Labels-ball.json"
    """Name of the label file."""
    classes: tuple[str, ...] = ("PASS",)
    """Classes of the events."""
    teams: tuple[str, ...] = ("",)
    """Teams of the events."""


def write_game(
    folder: Path, seed: int, num_frames: int = 150, codec: str = "libx264", layout: Layout | None = None
) -> None:
    """Write a video of a bright dot that moves, and labels where it turns, of each class in turn."""
    layout = layout or Layout()
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    events: list[Event] = []
    for half, name in enumerate(layout.videos, start=1):
        position, velocity = np.array([32.0, 32.0]), np.array([1.0, 0.5])
        with av.open(str(folder / name), "w") as container:
            stream = container.add_stream(codec, rate=25)
            stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
            for k in range(num_frames):
                if k % 25 == 20:
                    label, team = (names[len(events) % len(names)] for names in (layout.classes, layout.teams))
                    events.append(Event(frame=k, label=label, half=half, team=team))
                    velocity = rng.uniform(-1.5, 1.5, 2)
                position = (position + velocity) % (90, 60)
                picture = np.full((64, 96, 3), 90, np.uint8)
                x, y = position.astype(int)
                picture[y : y + 4, x : x + 4] = 250
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            container.mux(stream.encode())
    write_labels(folder / layout.labels, url_local=folder.name, events=events, fps=Fraction(25))
