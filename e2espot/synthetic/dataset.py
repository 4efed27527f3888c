"""A dataset of rendered games in SoccerNet's ball layout."""

from __future__ import annotations

import json
import multiprocessing
from pathlib import Path

from e2espot.core.errors import ConfigurationError
from e2espot.formats.filenames import SPLITS_FILE
from e2espot.synthetic.match import is_complete, render_game
from e2espot.synthetic.specs import ENGINE, DatasetSpec, GameSpec


def render_dataset(
    out: Path | str, spec: DatasetSpec | None = None, *, jobs: int = 2, progress: bool = False
) -> dict[str, list[str]]:
    """Render a dataset; games that exist already are not rendered again.

    Args:
        out: Folder for ``rendered/<season>/<game>`` and ``splits.json``.
        spec: Which games; None for the defaults.
        jobs: Processes.
        progress: Show a bar on stderr.

    Returns:
        The splits, as written.

    Raises:
        ConfigurationError: a value of ``spec`` is out of range, or OpenCV is missing.
    """
    try:
        import cv2  # noqa: F401
    except ImportError as error:
        raise ConfigurationError('rendering needs OpenCV; pip install "e2espot[render]"') from error
    from tqdm import tqdm

    out, spec = Path(out), spec or DatasetSpec()
    games, splits = spec.plan()
    if spec.world == ENGINE:
        from e2espot.synthetic.engine.game import load_engine

        load_engine()
    out.mkdir(parents=True, exist_ok=True)
    todo = [(game, out) for game in games if not is_complete(game, out)]
    total = sum(game.frames for game, _ in todo)
    with tqdm(total=total, unit="frame", disable=not progress or not todo) as bar:
        # The engine draws the pictures of one match in a process.
        games_each = 1 if spec.world == ENGINE else None
        workers = max(1, min(jobs, len(todo)))
        if not todo or (workers == 1 and games_each is None):
            for game, _ in todo:
                render_game(game, out, bar.update)
        else:
            with multiprocessing.get_context("spawn").Pool(workers, maxtasksperchild=games_each) as pool:
                for frames in pool.imap_unordered(_render_one, todo):
                    bar.update(frames)
    (out / SPLITS_FILE).write_text(json.dumps(splits, indent=1) + "\n")
    return splits


def _render_one(job: tuple[GameSpec, Path]) -> int:
    import cv2

    cv2.setNumThreads(1)
    render_game(*job)
    return job[0].frames
