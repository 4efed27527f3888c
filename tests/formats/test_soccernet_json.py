"""SoccerNet's JSON: every reader of the package sees the same events, and what is written is read back."""

import json
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2espot.core.errors import AnnotationError
from e2espot.core.events import ScoredEvent
from e2espot.core.label_sets import LABEL_SETS
from e2espot.core.timeline import DEFAULT_FPS, HALVES, frame_of_position_ms, game_time
from e2espot.formats.filenames import BALL_LABEL_FILE, RESULTS_FILE
from e2espot.formats.soccernet import read_labels, read_predictions
from e2espot.formats.soccernet_interchange import read_soccernet
from e2espot.formats.soccernet_json import Kind, Mode, dump_document, make_row, parse_document, read_row, read_rows
from e2espot.report.dataset_summary import summarise
from e2espot.review.inputs import load_inputs
from e2espot.review.label_store import LabelStore
from e2espot.scoring import inputs
from tests.support.conversions import write_json

BALL = LABEL_SETS["ball-12"]
GAME = "league/season/game"
Found = list[tuple[int, int, str]]
"""Half, frame and label of each event."""


def labels_of_training(root: Path) -> Found:
    events = read_labels(
        root / GAME / BALL_LABEL_FILE, BALL, fps=DEFAULT_FPS, num_frames=dict.fromkeys(HALVES, 90_000)
    ).events
    return [(event.half, event.frame, event.label) for event in events]


def labels_of_conversion(root: Path) -> Found:
    return [
        (video.half, frame_of_position_ms(annotation.position_ms), annotation.label)
        for video in read_soccernet(root, predictions=False).videos
        for annotation in video.annotations
    ]


def labels_of_scoring(root: Path) -> Found:
    events = inputs.read_labels(root, [GAME]).labels[GAME]
    return [(event.half, frame_of_position_ms(event.position_ms), event.label) for event in events]


def labels_of_review(root: Path) -> Found:
    store = LabelStore(root / GAME / BALL_LABEL_FILE)
    try:
        return [(label["half"], label["frame"], label["label"]) for label in store.snapshot()["labels"]]
    finally:
        store.close()


def predictions_of_demo(root: Path) -> Found:
    events = read_predictions(root / GAME / RESULTS_FILE, fps=DEFAULT_FPS)
    return [(event.half, event.frame, event.label) for event in events]


def predictions_of_conversion(root: Path) -> Found:
    return [
        (video.half, frame_of_position_ms(annotation.position_ms), annotation.label)
        for video in read_soccernet(root, predictions=True).videos
        for annotation in video.annotations
    ]


def predictions_of_scoring(root: Path) -> Found:
    events = inputs.read_predictions(root, [GAME])[GAME]
    return [(event.half, frame_of_position_ms(event.position_ms), event.label) for event in events]


def predictions_of_review(root: Path) -> Found:
    (root / GAME / "224p.mp4").touch()
    (game,) = load_inputs(root, predictions=[root]).games
    return [(event.half, event.frame, event.label) for event in game.predictions[0]]


def labels_of_dataset(root: Path) -> Found:
    summary = summarise(root)
    broken = [line for video in summary.videos for line in video.problems if line.startswith(str(root))]
    if broken:
        raise AnnotationError(broken[0])
    return [
        (event.half, frame_of_position_ms(event.position_ms), event.label)
        for video in summary.videos
        for event in video.events
    ]


LABEL_READERS = [labels_of_training, labels_of_conversion, labels_of_scoring, labels_of_review, labels_of_dataset]
PREDICTION_READERS = [predictions_of_demo, predictions_of_conversion, predictions_of_scoring, predictions_of_review]
ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "utf-32"]


LABELS = [
    {"gameTime": "1 - 00:04", "label": "PASS", "position": "4020", "team": "left", "visibility": "visible"},
    {"gameTime": "2 - 01:09", "label": "DRIVE", "position": "69020", "team": "right", "visibility": "not shown"},
]
PREDICTIONS = [
    {"gameTime": "1 - 00:04", "label": "PASS", "position": "4020", "half": "1", "confidence": "0.5"},
    {"gameTime": "2 - 01:09", "label": "DRIVE", "position": "69020", "half": "2", "confidence": "0.25"},
]
EVENTS = [(1, 100, "PASS"), (2, 1725, "DRIVE")]


@pytest.mark.parametrize("read", LABEL_READERS)
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_every_label_reader_decodes_every_encoding_of_json(tmp_path: Path, read, encoding: str) -> None:
    path = write_json(tmp_path / GAME / BALL_LABEL_FILE, "")
    path.write_bytes(json.dumps({"note": "Müller", "annotations": LABELS}, ensure_ascii=False).encode(encoding))
    assert read(tmp_path) == EVENTS


@pytest.mark.parametrize("read", PREDICTION_READERS)
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_every_prediction_reader_decodes_every_encoding_of_json(tmp_path: Path, read, encoding: str) -> None:
    path = write_json(tmp_path / GAME / RESULTS_FILE, "")
    path.write_bytes(json.dumps({"note": "Müller", "predictions": PREDICTIONS}, ensure_ascii=False).encode(encoding))
    assert read(tmp_path) == EVENTS


@pytest.mark.parametrize("data", [b'{"annotations": "\xff"}', b"\xff\xfe\x00\xd8\x22", b"\xff\xfe{}\x00"])
@pytest.mark.parametrize("read", LABEL_READERS)
def test_every_label_reader_refuses_bytes_that_do_not_decode_in_one_line(tmp_path: Path, read, data: bytes) -> None:
    write_json(tmp_path / GAME / BALL_LABEL_FILE, "").write_bytes(data)
    with pytest.raises(AnnotationError, match=rf"{BALL_LABEL_FILE}: not ") as caught:
        read(tmp_path)
    assert "\n" not in str(caught.value)


FORMS: dict[str, Callable[[int], Any]] = {
    "integer": int,
    "float": float,
    "text": str,
    "text of a float": "{}.0".format,
    "text with spaces": " {} ".format,
    "text with a sign": "+{}".format,
}
"""Forms of a position in milliseconds that files use."""


@pytest.mark.parametrize("read", LABEL_READERS)
@pytest.mark.parametrize("form", FORMS)
def test_every_label_reader_accepts_every_form_of_a_position(tmp_path: Path, read, form: str) -> None:
    rows = [row | {"position": FORMS[form](int(row["position"]))} for row in LABELS]
    write_json(tmp_path / GAME / BALL_LABEL_FILE, {"annotations": rows})
    assert read(tmp_path) == EVENTS


@pytest.mark.parametrize("read", PREDICTION_READERS)
@pytest.mark.parametrize("form", FORMS)
def test_every_prediction_reader_accepts_every_form_of_a_position(tmp_path: Path, read, form: str) -> None:
    rows = [row | {"position": FORMS[form](int(row["position"]))} for row in PREDICTIONS]
    write_json(tmp_path / GAME / RESULTS_FILE, {"predictions": rows})
    assert read(tmp_path) == EVENTS


@pytest.mark.parametrize("read", LABEL_READERS)
def test_every_label_reader_takes_the_clock_of_a_label_without_position(tmp_path: Path, read) -> None:
    rows = [{"gameTime": row["gameTime"], "label": row["label"]} for row in LABELS]
    write_json(tmp_path / GAME / BALL_LABEL_FILE, {"annotations": rows})
    assert read(tmp_path) == [(1, 100, "PASS"), (2, 1725, "DRIVE")]


@pytest.mark.parametrize("read", LABEL_READERS)
def test_every_label_reader_takes_a_null_position_for_a_missing_one(tmp_path: Path, read) -> None:
    rows = [row | {"position": None} for row in LABELS]
    write_json(tmp_path / GAME / BALL_LABEL_FILE, {"annotations": rows})
    assert read(tmp_path) == EVENTS


@pytest.mark.parametrize("read", LABEL_READERS)
def test_every_label_reader_takes_a_clock_without_half_for_half_1(tmp_path: Path, read) -> None:
    # By its first digit, 25:09 would be of half 2.
    rows = [{"gameTime": "00:04", "label": "PASS"}, {"gameTime": "25:09", "label": "PASS"}]
    write_json(tmp_path / GAME / BALL_LABEL_FILE, {"annotations": rows})
    assert read(tmp_path) == [(1, 100, "PASS"), (1, 25 * 1509, "PASS")]


@pytest.mark.parametrize("read", LABEL_READERS)
def test_every_label_reader_reads_extra_time_and_penalties(tmp_path: Path, read) -> None:
    rows = [{"gameTime": f"{half} - 00:04", "label": "PASS"} for half in HALVES]
    write_json(tmp_path / GAME / BALL_LABEL_FILE, {"annotations": rows})
    assert read(tmp_path) == [(half, 100, "PASS") for half in HALVES]


@pytest.mark.parametrize("read", PREDICTION_READERS)
def test_every_prediction_reader_reads_extra_time_and_penalties(tmp_path: Path, read) -> None:
    rows = [PREDICTIONS[0] | {"half": str(half)} for half in HALVES]
    write_json(tmp_path / GAME / RESULTS_FILE, {"predictions": rows})
    assert read(tmp_path) == [(half, 100, "PASS") for half in HALVES]


@pytest.mark.parametrize("read", PREDICTION_READERS)
def test_every_prediction_reader_refuses_a_prediction_without_position(tmp_path: Path, read) -> None:
    rows = [{name: value for name, value in row.items() if name != "position"} for row in PREDICTIONS]
    write_json(tmp_path / GAME / RESULTS_FILE, {"predictions": rows})
    with pytest.raises(AnnotationError, match=r"predictions\[0\]: field 'position' is missing"):
        read(tmp_path)


STRICT_ONLY: list[tuple[Kind, dict[str, Any]]] = [
    ("label", {"position": 4020.5}),
    ("label", {"position": "-40"}),
    ("label", {"position": 10**12}),
    ("label", {"gameTime": "6 - 00:04"}),
    ("label", {"gameTime": "1-00:04"}),
    ("label", {"label": "two\nlines"}),
    ("prediction", {"position": 4020.5}),
    ("prediction", {"position": -40}),
    ("prediction", {"half": 6}),
    ("prediction", {"confidence": "nan"}),
]
BOTH: list[tuple[Kind, dict[str, Any]]] = [
    ("label", {"position": "4020.5"}),
    ("label", {"position": "4 s"}),
    ("label", {"position": [4020]}),
    ("label", {"label": 4}),
    ("label", {"gameTime": 4}),
    ("prediction", {"position": None}),
    ("prediction", {"half": "first"}),
    ("prediction", {"confidence": "high"}),
]
ROWS: dict[Kind, dict[str, Any]] = {"label": LABELS[0], "prediction": PREDICTIONS[0]}


@pytest.mark.parametrize(("kind", "change"), STRICT_ONLY)
def test_read_row_refuses_in_strict_mode_what_the_evaluator_accepts(kind: Kind, change: dict[str, Any]) -> None:
    row = ROWS[kind] | change
    read_row(row, "FILE: row", kind=kind, mode="official")
    with pytest.raises(AnnotationError, match=f"^FILE: row: .*{next(iter(change))}"):
        read_row(row, "FILE: row", kind=kind, mode="strict")


@pytest.mark.parametrize("mode", ["strict", "official"])
@pytest.mark.parametrize(("kind", "change"), BOTH)
def test_read_row_refuses_in_both_modes_what_crashes_the_evaluator(
    kind: Kind, change: dict[str, Any], mode: Mode
) -> None:
    with pytest.raises(AnnotationError, match=f"^FILE: row: .*{next(iter(change))}"):
        read_row(ROWS[kind] | change, "FILE: row", kind=kind, mode=mode)


def test_read_labels_names_the_half_that_has_no_video(tmp_path: Path) -> None:
    path = write_json(tmp_path / BALL_LABEL_FILE, {"annotations": LABELS})
    with pytest.raises(
        AnnotationError, match=r"annotations\[1\]: .* names half 2, which has no video or features; if one video shows"
    ) as caught:
        read_labels(path, BALL, fps=Fraction(25), num_frames={1: 9000})
    assert caught.value.option == "bad_labels"
    assert read_labels(path, BALL, fps=Fraction(25), num_frames={1: 9000}, bad_labels="skip").skipped == 1


labels = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1).filter(str.strip)
written = st.fixed_dictionaries(
    {
        "half": st.sampled_from(HALVES),
        "position_ms": st.integers(0, 24 * 3600 * 1000),
        "label": labels,
        "team": st.sampled_from(["", "left", "right", "home"]),
    }
)


@given(st.lists(written), st.lists(st.booleans(), min_size=20, max_size=20), st.sampled_from(["strict", "official"]))
def test_written_labels_are_read_back_in_both_modes(fields, shown, mode: Mode) -> None:
    flags = [shown[number % len(shown)] for number in range(len(fields))]
    rows = [
        make_row("label", **row, visibility="visible" if visible else "not shown")
        for row, visible in zip(fields, flags, strict=True)
    ]
    _, stored = parse_document(dump_document({"annotations": rows}), "label", "FILE")
    expected = [ScoredEvent(**row, value=1.0 if flag else -1.0) for row, flag in zip(fields, flags, strict=True)]
    assert read_rows(stored, "FILE", kind="label", mode=mode) == expected


@given(st.lists(st.tuples(written, st.floats(0, 1))), st.sampled_from(["strict", "official"]))
def test_written_predictions_are_read_back_in_both_modes(fields, mode: Mode) -> None:
    rows = [make_row("prediction", **row, confidence=confidence) for row, confidence in fields]
    _, stored = parse_document(dump_document({"predictions": rows}), "prediction", "FILE")
    expected = [ScoredEvent(**row, value=confidence) for row, confidence in fields]
    assert read_rows(stored, "FILE", kind="prediction", mode=mode) == expected


@given(st.integers(0, 99 * 60_000), st.sampled_from([1, 2]), st.sampled_from(["strict", "official"]))
def test_clock_of_a_label_without_position_is_read_back_in_whole_seconds(position_ms: int, half: int, mode) -> None:
    row = {"gameTime": game_time(position_ms, half), "label": "PASS"}
    event = read_row(row, "FILE: row", kind="label", mode=mode)
    assert (event.half, event.position_ms) == (half, position_ms // 1000 * 1000)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(), lambda inner: st.lists(inner, max_size=2)
)
FIELDS = ["gameTime", "label", "position", "half", "confidence", "team", "visibility"]


@given(
    st.dictionaries(st.sampled_from(FIELDS), json_values),
    st.sampled_from(["label", "prediction"]),
    st.sampled_from(["strict", "official"]),
)
def test_read_row_reads_or_refuses_any_row_in_one_line(change, kind: Kind, mode: Mode) -> None:
    try:
        event = read_row(ROWS[kind] | change, "FILE: row", kind=kind, mode=mode)
    except AnnotationError as error:
        assert str(error).startswith("FILE: row: ")
        assert "\n" not in str(error)
    else:
        assert mode == "official" or (event.half in HALVES and 0 <= event.position_ms <= 24 * 3600 * 1000)
