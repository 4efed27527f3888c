"""Games on disk: video, labels and tracks of a simulated match, and datasets of several."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from e2espot.core.errors import ConfigurationError
from e2espot.core.timeline import position_ms_of_frame
from e2espot.formats.filenames import BALL_LABEL_FILE, OTHER_LABEL_FILE, SPLITS_FILE
from e2espot.formats.soccernet_json import dump_document, label_document, make_row
from e2espot.synthetic.actions import LABELLED, Action, Play
from e2espot.synthetic.formation import team_of
from e2espot.synthetic.play import simulate

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from e2espot.synthetic.paint import Stage

SIZES = {"224p": (398, 224), "720p": (1280, 720)}
"""Resolution -> (width, height)."""
RENDERER_VERSION = 5
"""Incremented when the same parameters give other files, so that a rerun writes them again."""
PLAIN, TELEVISION, MIXED = WORLDS = ("plain", "tv", "mixed")
"""How matches look: a plain pitch with few colours, the variety of television pictures, or every fourth game plain."""
_MOST_GAMES, _MOST_MINUTES = 100_000, 1_000


@dataclass(frozen=True, kw_only=True)
class GameSpec:
    """Parameters that determine the files of one game."""

    name: str
    """Folder relative to the dataset, ``rendered/<season>/<game>``."""
    seed: int
    """Seed of the dataset."""
    index: int
    """Number of the game within the dataset, from 0."""
    frames: int
    """Length at 25 frames per second."""
    density: float
    """Multiplies the pace of events."""
    resolution: str
    """Key of ``SIZES``."""
    version: int = RENDERER_VERSION
    """Version of the renderer."""
    world: str = PLAIN
    """``plain`` or ``tv``."""


def plan_games(
    *,
    games: int,
    minutes: float,
    seed: int,
    test_minutes: float | None,
    density: float,
    resolution: str,
    valid_minutes: float | None = None,
    world: str = PLAIN,
) -> tuple[list[GameSpec], dict[str, list[str]]]:
    """Parameters of every game, and the splits: the last is test, the one before valid; fewer than three are train.

    Raises:
        ConfigurationError: a parameter is out of range.
    """
    minutes_of = {"valid": valid_minutes, "test": test_minutes}
    if not 1 <= games <= _MOST_GAMES or not 0 <= seed < 2**63:
        raise ConfigurationError(
            f"games is {games}, seed {seed}; give 1 to {_MOST_GAMES} games, and a seed of at least 0 and below 2^63"
        )
    if not all(0 < value <= _MOST_MINUTES for value in (minutes, *minutes_of.values()) if value is not None):
        raise ConfigurationError(f"minutes must be above zero and at most {_MOST_MINUTES}")
    if not 0.1 <= density <= 4:
        raise ConfigurationError(f"density is {density}; give 0.1 to 4", option="density")
    if resolution not in SIZES:
        raise ConfigurationError(f"resolution is {resolution!r}; choose from {', '.join(SIZES)}", option="resolution")
    if world not in WORLDS:
        raise ConfigurationError(f"world is {world!r}; choose from {', '.join(WORLDS)}", option="world")
    specs = []
    for index in range(games):
        split = {games - 2: "valid", games - 1: "test"}.get(index, "train") if games >= 3 else "train"
        length = minutes_of.get(split) or minutes
        name = f"rendered/season-{seed}/game-{index + 1:03d}"
        frames = max(2, round(length * 1500))
        specs.append(
            GameSpec(
                name=name,
                seed=seed,
                index=index,
                frames=frames,
                density=density,
                resolution=resolution,
                world=(PLAIN if index % 4 == 3 else TELEVISION) if world == MIXED else world,
            )
        )
    names = [spec.name for spec in specs]
    if games < 3:
        return specs, {"train": names, "valid": [], "test": []}
    return specs, {"train": names[:-2], "valid": names[-2:-1], "test": names[-1:]}


def simulate_game(spec: GameSpec) -> Play:
    """Simulate the play of one game; it does not depend on the resolution or the look."""
    rng = np.random.default_rng([spec.seed, spec.index, 0])
    return simulate(rng, frames=spec.frames, density=spec.density, attacks=spec.world == TELEVISION)


def build_stage(spec: GameSpec, play: Play) -> Stage:
    """Prepare everything that painting ``play`` needs."""
    from e2espot.synthetic.camera import follow
    from e2espot.synthetic.figures import cast
    from e2espot.synthetic.look import sample_look
    from e2espot.synthetic.paint import Stage, grain_bank, limb_colours
    from e2espot.synthetic.panorama import paint_panorama

    if spec.world == TELEVISION:
        return _television_stage(spec, play)
    rng = np.random.default_rng([spec.seed, spec.index, 1])
    size = SIZES[spec.resolution]
    look = sample_look(rng)
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
        video_size=size,
    )


def _television_stage(spec: GameSpec, play: Play) -> Stage:
    """The stage of a televised match: painted larger than the video, and scaled down."""
    from e2espot.synthetic.boards import sample_surroundings
    from e2espot.synthetic.broadcast import sample_television
    from e2espot.synthetic.camera import follow
    from e2espot.synthetic.figures import cast
    from e2espot.synthetic.graphics import sample_graphics
    from e2espot.synthetic.paint import Stage, grain_bank, television_colours
    from e2espot.synthetic.stadium import paint_stadium

    rng = np.random.default_rng([spec.seed, spec.index, 2])
    look = sample_television(rng)
    television = look.television
    assert television is not None
    video_size = SIZES[spec.resolution]
    # 1.5 times 224p; 720p is painted as it is.
    times = television.oversampling if video_size[1] < 448 else 1.0
    size = (round(video_size[0] * times), round(video_size[1] * times))
    shots = follow(rng, play, look, size).repeated(television.repeat_every)
    return Stage(
        play=play,
        people=cast(play, assistants=True),
        look=look,
        shots=shots,
        panorama=paint_stadium(rng, look, television, float(np.median(shots.focal_T)) * 1.1),
        colours=television_colours(look, television),
        grain=grain_bank(rng, look, video_size),
        size=size,
        video_size=video_size,
        around=sample_surroundings(rng),
        graphics=sample_graphics(rng, video_size, spec.frames / 25),
    )


def label_files(spec: GameSpec, actions: tuple[Action, ...], shown_T: np.ndarray) -> dict[str, str]:
    """Name -> text of the label files in SoccerNet's form: passes and drives, and whatever else happens.

    The others look like passes and are none; as hard negatives they teach the difference.

    Args:
        spec: The game.
        actions: What happens.
        shown_T: bool; false during a cut-away or replay.
    """
    ball = [action for action in actions if action.label in LABELLED]
    other = [action for action in actions if action.label not in LABELLED]
    texts = {BALL_LABEL_FILE: _label_text(spec, ball, shown_T)}
    return texts | ({OTHER_LABEL_FILE: _label_text(spec, other, shown_T)} if other else {})


def _label_text(spec: GameSpec, actions: Sequence[Action], shown_T: np.ndarray) -> str:
    rows = [
        make_row(
            "label",
            half=1,
            position_ms=position_ms_of_frame(action.frame),
            label=action.label,
            team=("left", "right")[team_of(action.player)],
            visibility="visible" if shown_T[action.frame] else "not shown",
        )
        for action in actions
    ]
    return dump_document(label_document(spec.name, rows)).decode() + "\n"


def render_game(spec: GameSpec, out: Path, tick: Callable[[int], object] | None = None) -> None:
    """Write one game under ``out``, all or nothing: it is built in a temporary folder next to it and renamed.

    Args:
        spec: what to render.
        out: root of the dataset.
        tick: called with the number of frames painted since the last call.
    """
    from e2espot.synthetic import paint
    from e2espot.synthetic.camera import LIVE
    from e2espot.synthetic.encode import write_video

    play = simulate_game(spec)
    stage = build_stage(spec, play)
    folder = out / spec.name
    half_done = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    half_done.mkdir(parents=True, exist_ok=True)
    try:
        pictures = (paint.paint(stage, picture) for picture in range(spec.frames))
        write_video(half_done / f"{spec.resolution}.mp4", pictures, stage.look, stage.video_size, tick)
        ball_xy, ball_visible = paint.ball_track(stage)
        np.savez_compressed(
            half_done / "tracks.npz",
            ball_xy=ball_xy,
            ball_visible=ball_visible,
            players_xy=paint.players_track(stage),
        )
        for name, text in label_files(spec, play.actions, stage.shots.kind_T == LIVE).items():
            (half_done / name).write_text(text)
        (half_done / "render.json").write_text(json.dumps(asdict(spec), indent=1) + "\n")
        if folder.exists():
            shutil.rmtree(folder)
        half_done.rename(folder)
    finally:
        shutil.rmtree(half_done, ignore_errors=True)


def is_complete(spec: GameSpec, out: Path) -> bool:
    """Whether the game exists and has been rendered with the same parameters."""
    try:
        rendered_with = json.loads((out / spec.name / "render.json").read_text())
    except (OSError, ValueError, RecursionError):
        return False
    # Games of earlier versions do not state their world: it is the plain one.
    return isinstance(rendered_with, dict) and {"world": PLAIN, **rendered_with} == asdict(spec)


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
    world: str = PLAIN,
) -> dict[str, list[str]]:
    """Render a dataset in SoccerNet's ball layout; games that exist already are not rendered again.

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
        world: ``plain``, ``tv`` for the variety of television pictures, or ``mixed``: every fourth game is plain.

    Returns:
        The splits, as written.

    Raises:
        ConfigurationError: a parameter out of range, or OpenCV missing.
    """
    try:
        import cv2  # noqa: F401
    except ImportError as error:
        raise ConfigurationError('rendering needs OpenCV; pip install "e2espot[render]"') from error
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
        world=world,
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
    (out / SPLITS_FILE).write_text(json.dumps(splits, indent=1) + "\n")
    return splits
