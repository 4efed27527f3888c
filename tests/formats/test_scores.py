"""Files of scores: what is written is read back exactly, and anything else is refused in one line."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from e2espot.core.errors import AnnotationError
from e2espot.core.label_sets import LabelSet
from e2espot.core.scores import Scores
from e2espot.formats.scores import read_scores, write_scores

LABELS = LabelSet(("PASS", "Fußball"))


def stored_fields(file: Path) -> dict[str, Any]:
    with np.load(file) as stored:
        return dict(stored)


@pytest.fixture
def written(tmp_path: Path) -> dict[str, Any]:
    """Fields of a complete file."""
    scores_TK = np.random.default_rng(0).random((7, 2), dtype=np.float32)
    right_T = np.linspace(0, 1, 7, dtype=np.float32)
    scores = Scores(scores_TK=scores_TK, label_set=LABELS, fps=Fraction(30000, 1001), right_T=right_T)
    write_scores(tmp_path / "scores.npz", scores)
    return stored_fields(tmp_path / "scores.npz")


def test_read_scores_returns_what_write_scores_wrote(tmp_path: Path, written: dict[str, Any]) -> None:
    scores = read_scores(tmp_path / "scores.npz")
    assert np.array_equal(scores.scores_TK, written["scores_TK"])
    assert scores.scores_TK.dtype == np.float32
    assert np.array_equal(scores.right_T, np.linspace(0, 1, 7, dtype=np.float32))
    assert (scores.label_set, scores.fps, scores.coverage) == (LABELS, Fraction(30000, 1001), None)
    write_scores(tmp_path / "again.npz", scores)
    again = stored_fields(tmp_path / "again.npz")
    assert {name: array.tolist() for name, array in again.items()} == {
        name: array.tolist() for name, array in written.items()
    }


def test_file_of_scores_without_teams_and_gaps_has_neither_field(tmp_path: Path) -> None:
    write_scores(tmp_path / "x.npz", Scores(scores_TK=np.zeros((3, 2), np.float32), label_set=LABELS))
    fields = stored_fields(tmp_path / "x.npz")
    assert "right_T" not in fields and "promised_s" not in fields
    assert fields["valid_T"].tolist() == [True] * 3
    assert read_scores(tmp_path / "x.npz").right_T is None


@pytest.mark.parametrize("name", ["scores_TK", "classes", "fps"])
def test_read_scores_refuses_a_missing_field(tmp_path: Path, written: dict[str, Any], name: str) -> None:
    del written[name]
    np.savez(tmp_path / "bad.npz", **written)
    with pytest.raises(AnnotationError, match=rf"bad\.npz: not a file of per-frame scores \('{name}"):
        read_scores(tmp_path / "bad.npz")


@pytest.mark.parametrize(
    "change",
    [
        {"scores_TK": np.zeros((7, 3), np.float32)},
        {"scores_TK": np.zeros((7, 2), np.int64)},
        {"scores_TK": np.full((7, 2), np.nan)},
        {"scores_TK": np.full((7, 2), 1.5)},
        {"scores_TK": np.full((7, 2), -0.1)},
        {"scores_TK": np.zeros(7)},
        {"classes": np.array(["PASS", "PASS"])},
        {"classes": np.array([1, 2])},
        {"classes": np.array("PASS")},
        {"fps": "0"},
        {"fps": "1/0"},
        {"fps": "9" * 50},
        {"right_T": np.zeros(6)},
        {"right_T": np.full(7, 2.0)},
        {"promised_s": "soon"},
        {"promised_s": "1/0"},
        {"promised_s": "9" * 30},
        {"promised_s": "", "valid_T": np.ones(6, bool)},
        {"promised_s": "", "valid_T": np.ones(7)},
    ],
    ids=lambda change: "-".join(f"{name}={np.asarray(value).dtype}" for name, value in change.items()),
)
def test_read_scores_refuses_arrays_that_do_not_fit_in_one_line(
    tmp_path: Path, written: dict[str, Any], change: dict[str, Any]
) -> None:
    np.savez(tmp_path / "bad.npz", **{**written, **change})
    with pytest.raises(AnnotationError, match=r"bad\.npz: not a file of per-frame scores") as caught:
        read_scores(tmp_path / "bad.npz")
    assert len(str(caught.value).splitlines()) == 1


def test_read_scores_refuses_a_missing_file_and_another_kind(tmp_path: Path) -> None:
    (tmp_path / "text.npz").write_text("scores")
    for name in ("missing.npz", "text.npz"):
        with pytest.raises(AnnotationError, match="not a file of per-frame scores"):
            read_scores(tmp_path / name)
