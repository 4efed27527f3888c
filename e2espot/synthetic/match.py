"""Games on disk: a simulated match's video, labels and tracks, and a data set of several."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from e2espot.core.errors import ConfigurationError
from e2espot.core.timeline import game_time, position_ms_of_frame
from e2espot.synthetic.formation import team_of
from e2espot.synthetic.play import Action, Play, simulate

if TYPE_CHECKING:
    from collections.abc import Callable

    from e2espot.synthetic.paint import Stage

SIZES = {"224p": (398, 224), "720p": (1280, 720)}
"""Width and height by ``--resolution``."""
RENDERER_VERSION = 3
"""Raised when the same parameters give another picture, so that a rerun paints again."""
LABEL_FILE = "Labels-ball.json"
_MOST_GAMES, _MOST_MINUTES = 100_000, 1_000


@dataclass(frozen=True, kw_only=True)
class GameSpec:
    """All that fixes one game's files."""

    name: str
    """Folder relative to the data set, ``rendered/<season>/<game>``."""
    seed: int
    index: int
    frames: int
    density: float
    resolution: str
    version: int = RENDERER_VERSION


def plan_games(
    *,
    games: int,
    minutes: float,
    seed: int,
    test_minutes: float | None,
    density: float,
    resolution: str,
    valid_minutes: float | None = None,
) -> tuple[list[GameSpec], dict[str, list[str]]]:
    """Decide every game and the splits: last is test, the one before valid, fewer than three all train."""
    own = {"valid": valid_minutes, "test": test_minutes}
    if not 1 <= games <= _MOST_GAMES or not 0 <= seed < 2**63:
        raise ConfigurationError(
            f"games is {games}, seed {seed}; give 1 to {_MOST_GAMES} games, and a seed of at least 0 and below 2^63"
        )
    if not all(0 < told <= _MOST_MINUTES for told in (minutes, *own.values()) if told is not None):
        raise ConfigurationError(f"minutes must be above zero and at most {_MOST_MINUTES}")
    if not 0.1 <= density <= 4:
        raise ConfigurationError(f"density is {density}; it must lie between 0.1 and 4")
    if resolution not in SIZES:
        raise ConfigurationError(f"resolution is {resolution!r}; known: {', '.join(SIZES)}")
    specs = []
    for index in range(games):
        split = {games - 2: "valid", games - 1: "test"}.get(index, "train") if games >= 3 else "train"
        length = own.get(split) or minutes
        name = f"rendered/season-{seed}/game-{index + 1:03d}"
        frames = max(2, round(length * 1500))
        specs.append(GameSpec(name=name, seed=seed, index=index, frames=frames, density=density, resolution=resolution))
    names = [spec.name for spec in specs]
    if games < 3:
        return specs, {"train": names, "valid": [], "test": []}
    return specs, {"train": names[:-2], "valid": names[-2:-1], "test": names[-1:]}


def simulate_game(spec: GameSpec) -> Play:
    """The play of one game; independent of how it is painted."""
    rng = np.random.default_rng([spec.seed, spec.index, 0])
    return simulate(rng, frames=spec.frames, density=spec.density)


def build_stage(spec: GameSpec, play: Play) -> Stage:
    """Everything needed to paint ``play``."""
    from e2espot.synthetic.camera import follow
    from e2espot.synthetic.figures import cast
    from e2espot.synthetic.look import draw_look
    from e2espot.synthetic.paint import Stage, grain_bank, limb_colours
    from e2espot.synthetic.panorama import paint_panorama

    rng = np.random.default_rng([spec.seed, spec.index, 1])
    size = SIZES[spec.resolution]
    look = draw_look(rng)
    shots = follow(rng, play, look, size)
    return Stage(
        play=play,
        people=cast(play),
        look=look,
        shots=shots,
        panorama=paint_panorama(rng, look, float(np.median(shots.focal_T)) * 1.1),
        colours=limb_colours(look),
        grain=grain_bank(rng, look, size),
        size=size,
    )


def labels(spec: GameSpec, actions: tuple[Action, ...], shown_T: np.ndarray) -> str:
    """SoccerNet's Labels-ball.json, as text; ``shown_T`` is bool, false during a cut-away or replay."""
    annotations = []
    for action in actions:
        position = position_ms_of_frame(action.frame)
        annotations.append(
            {
                "gameTime": game_time(position),
                "label": action.label,
                "position": str(position),
                "team": ("left", "right")[team_of(action.player)],
                "visibility": "visible" if shown_T[action.frame] else "not shown",
            }
        )
    body: dict[str, Any] = {"UrlLocal": spec.name, "UrlYoutube": "", "halftime": "", "annotations": annotations}
    return json.dumps(body, indent=1) + "\n"


def render_game(spec: GameSpec, out: Path, tick: Callable[[int], object] | None = None) -> None:
    """Write one game under ``out``, or nothing: it is built beside its place and renamed into it.

    Args:
        spec: what to render.
        out: root of the data set.
        tick: called with the number of frames painted since the last call.
    """
    from e2espot.synthetic import paint
    from e2espot.synthetic.camera import LIVE
    from e2espot.synthetic.encode import write_video

    play = simulate_game(spec)
    stage = build_stage(spec, play)
    place = out / spec.name
    half_done = place.with_name(f".{place.name}.{os.getpid()}.part")
    half_done.mkdir(parents=True, exist_ok=True)
    try:
        pictures = (paint.paint(stage, picture) for picture in range(spec.frames))
        write_video(half_done / f"{spec.resolution}.mp4", pictures, stage.look, stage.size, tick)
        ball_xy, ball_visible = paint.ball_track(stage)
        np.savez_compressed(
            half_done / "tracks.npz",
            ball_xy=ball_xy,
            ball_visible=ball_visible,
            players_xy=paint.players_track(stage),
        )
        (half_done / LABEL_FILE).write_text(labels(spec, play.actions, stage.shots.kind_T == LIVE))
        (half_done / "render.json").write_text(json.dumps(asdict(spec), indent=1) + "\n")
        if place.exists():
            shutil.rmtree(place)
        half_done.rename(place)
    finally:
        shutil.rmtree(half_done, ignore_errors=True)


def is_complete(spec: GameSpec, out: Path) -> bool:
    """Whether the game is there already, rendered from the same parameters."""
    try:
        found = json.loads((out / spec.name / "render.json").read_text())
    except (OSError, ValueError, RecursionError):
        return False
    return bool(found == asdict(spec))


def _render_one(job: tuple[GameSpec, Path]) -> int:
    import cv2

    cv2.setNumThreads(1)
    render_game(*job)
    return job[0].frames


def render_dataset(
    out: Path | str,
    *,
    games: int = 6,
    minutes: float = 2.0,
    seed: int = 0,
    valid_minutes: float | None = None,
    test_minutes: float | None = None,
    density: float = 1.0,
    resolution: str = "224p",
    jobs: int = 2,
    progress: bool = False,
) -> dict[str, list[str]]:
    """Render a data set in SoccerNet's ball layout; games already there are left alone.

    Args:
        out: folder for ``rendered/<season>/<game>`` and ``splits.json``.
        games: number of games.
        minutes: length of each.
        seed: fixes everything; the same seed gives the same bytes of labels, and of video (one OpenCV, one x264).
        valid_minutes: length of the valid game, ``minutes`` when None.
        test_minutes: length of the test game, ``minutes`` when None.
        density: multiplies the pace of events.
        resolution: ``224p`` or ``720p``.
        jobs: processes.
        progress: show a bar on stderr.

    Returns:
        The splits, as written.

    Raises:
        ConfigurationError: a parameter out of range, or OpenCV missing.
    """
    try:
        import cv2  # noqa: F401
    except ImportError as error:
        raise ConfigurationError("rendering needs OpenCV; install it with: pip install -e '.[render]'") from error
    from tqdm import tqdm

    out = Path(out)
    specs, splits = plan_games(
        games=games,
        minutes=minutes,
        seed=seed,
        valid_minutes=valid_minutes,
        test_minutes=test_minutes,
        density=density,
        resolution=resolution,
    )
    out.mkdir(parents=True, exist_ok=True)
    todo = [(spec, out) for spec in specs if not is_complete(spec, out)]
    total = sum(spec.frames for spec, _ in todo)
    with tqdm(total=total, unit="frame", disable=not progress or not todo) as bar:
        if jobs <= 1 or len(todo) <= 1:
            for spec, _ in todo:
                render_game(spec, out, bar.update)
        else:
            with multiprocessing.get_context("spawn").Pool(min(jobs, len(todo))) as pool:
                for frames in pool.imap_unordered(_render_one, todo):
                    bar.update(frames)
    (out / "splits.json").write_text(json.dumps(splits, indent=1) + "\n")
    return splits
