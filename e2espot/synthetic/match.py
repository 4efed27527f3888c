"""A game on disk: video, labels and tracks of a simulated match."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from e2espot.core.timeline import position_ms_of_frame
from e2espot.formats.filenames import BALL_LABEL_FILE, OTHER_LABEL_FILE
from e2espot.formats.soccernet_json import dump_document, label_document, make_row
from e2espot.synthetic.actions import LABELLED, Action, Play
from e2espot.synthetic.formation import team_of
from e2espot.synthetic.play import simulate
from e2espot.synthetic.specs import ENGINE, PLAIN, SIZES, TELEVISION, GameSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from e2espot.synthetic.engine.stage import EngineStage
    from e2espot.synthetic.paint import Stage


def simulate_game(spec: GameSpec) -> Play:
    """Simulate the play of one game; it does not depend on the resolution or the look."""
    if spec.world == ENGINE:
        from e2espot.synthetic.engine.play import play_engine

        return play_engine(spec)
    rng = np.random.default_rng([spec.seed, spec.index, 0])
    return simulate(rng, frames=spec.frames, density=spec.density, attacks=spec.world == TELEVISION)


def build_stage(spec: GameSpec, play: Play) -> Stage | EngineStage:
    """Prepare everything that painting ``play`` needs."""
    if spec.world == ENGINE:
        from e2espot.synthetic.engine.stage import build_engine_stage

        return build_engine_stage(spec, play)
    from e2espot.synthetic.camera import follow
    from e2espot.synthetic.figures import cast
    from e2espot.synthetic.look import sample_look
    from e2espot.synthetic.paint import Stage, limb_colours
    from e2espot.synthetic.panorama import paint_panorama
    from e2espot.synthetic.signal import grain_bank

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
    from e2espot.synthetic.paint import Stage, television_colours
    from e2espot.synthetic.signal import grain_bank
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
    from e2espot.synthetic.camera import LIVE
    from e2espot.synthetic.encode import write_video

    stage = build_stage(spec, simulate_game(spec))
    folder = out / spec.name
    half_done = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    half_done.mkdir(parents=True, exist_ok=True)
    try:
        write_video(half_done / f"{spec.resolution}.mp4", stage.pictures(), stage.look, stage.video_size, tick)
        ball_xy, ball_visible = stage.ball_track()
        np.savez_compressed(
            half_done / "tracks.npz",
            ball_xy=ball_xy,
            ball_visible=ball_visible,
            players_xy=stage.players_track(),
        )
        for name, text in label_files(spec, stage.play.actions, stage.shots.kind_T == LIVE).items():
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
    # Games of earlier versions do not state their world, which is the plain one, nor that every frame is drawn.
    earlier = {"world": PLAIN, "picture_step": 1}
    return isinstance(rendered_with, dict) and {**earlier, **rendered_with} == asdict(spec)
