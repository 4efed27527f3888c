"""Moving all labels of a half keeps their order, milliseconds and fields, and is one change."""

import json
from pathlib import Path
from typing import Any

import pytest

from e2espot.core.errors import AnnotationError
from e2espot.core.timeline import MAX_DURATION_MS, game_time
from e2espot.review.label_store import LabelStore
from e2espot.review.moving import parse_move
from e2espot.review.state import ChangeOrigin

POSITIONS = (1003, 1003, 20_000, 20_041, 60_000)


def store(folder: Path, **top: Any) -> LabelStore:
    rows = [
        {"gameTime": game_time(ms, half), "label": label, "position": str(ms), "note": number}
        for half in (1, 2)
        for number, (ms, label) in enumerate(zip(POSITIONS, "BACAB", strict=True))
    ]
    (folder / "Labels-ball.json").write_text(json.dumps({**top, "annotations": rows}))
    return LabelStore(folder / "Labels-ball.json")


def origin(revision: int) -> ChangeOrigin:
    return ChangeOrigin(tab="t", op=f"move {revision}", name="move", seen=revision)


def positions(folder: Path) -> list[tuple[str, int, int]]:
    rows = json.loads((folder / "Labels-ball.json").read_text())["annotations"]
    return [(row["gameTime"], int(row["position"]), row["note"]) for row in rows]


def test_labels_of_one_half_move_in_order_and_undo_is_one_step(tmp_path: Path) -> None:
    labels = store(tmp_path)
    before = positions(tmp_path)
    # The first go back, the others go on.
    labels.move_labels(2, parse_move("-0.7", "3/2"), 2500, origin(labels.revision))
    after = positions(tmp_path)
    assert after[:5] == before[:5]
    assert [ms for _, ms, _ in after[5:]] == [804, 804, 29_300, 29_362, 89_300]
    assert [note for _, _, note in after[5:]] == [0, 1, 2, 3, 4]
    assert after[-1][0] == "2 - 01:29"
    labels.undo("t", "undo")
    assert positions(tmp_path) == before
    labels.close()


def test_labels_outside_the_video_are_refused(tmp_path: Path) -> None:
    labels = store(tmp_path)
    for shift in ("-1.1", "41"):
        with pytest.raises(AnnotationError, match=r"[12] labels? would be outside the video"):
            labels.move_labels(1, parse_move(shift, "1"), 2500, origin(labels.revision))
    with pytest.raises(AnnotationError, match="no label to move"):
        labels.move_labels(3, parse_move("1", "1"), 2500, origin(labels.revision))
    labels.close()


def test_annotated_and_unsure_stretches_move_with_their_labels(tmp_path: Path) -> None:
    def stretches(*pairs: tuple[int, int]) -> list[dict[str, int]]:
        return [{"from": start, "to": stop} for start, stop in pairs]

    top = {
        "annotated": [
            {"half": "1", "stretches": stretches((500, 30_000), (50_000, MAX_DURATION_MS))},
            {"half": "2", "stretches": stretches((0, 9000))},
        ],
        "unsure": [{"half": "1", "stretches": stretches((20_000, 21_000))}],
    }
    labels = store(tmp_path, **top)
    labels.move_labels(1, parse_move("-1", "1"), 2500, origin(labels.revision))
    content = json.loads((tmp_path / "Labels-ball.json").read_text())
    assert content["annotated"] == [
        {"half": "1", "stretches": stretches((0, 29_000), (49_000, MAX_DURATION_MS))},
        {"half": "2", "stretches": stretches((0, 9000))},
    ]
    assert content["unsure"] == [{"half": "1", "stretches": stretches((19_000, 20_000))}]
    labels.undo("t", "undo")
    content = json.loads((tmp_path / "Labels-ball.json").read_text())
    assert {name: content[name] for name in top} == top
    labels.close()


@pytest.mark.parametrize(("shift", "rate"), [("x", "1"), ("1,2", "1"), ("1", "0"), ("1", "1/0")])
def test_values_of_another_form_are_refused(shift: str, rate: str) -> None:
    with pytest.raises(AnnotationError, match="give"):
        parse_move(shift, rate)
