"""A match small enough to train on within a test."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from e2espot.events import Event
from e2espot.formats.soccernet import write_labels


def write_game(folder: Path, seed: int, num_frames: int = 150, codec: str = "libx264") -> None:
    """A bright dot that moves; where it turns is a PASS."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    events, place, speed = [], np.array([32.0, 32.0]), np.array([1.0, 0.5])
    with av.open(str(folder / "224p.mp4"), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for k in range(num_frames):
            if k % 25 == 20:
                events.append(Event(frame=k, label="PASS"))
                speed = rng.uniform(-1.5, 1.5, 2)
            place = (place + speed) % (90, 60)
            picture = np.full((64, 96, 3), 90, np.uint8)
            x, y = place.astype(int)
            picture[y : y + 4, x : x + 4] = 250
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    write_labels(folder / "Labels-ball.json", url_local=folder.name, events=events, fps=Fraction(25))
