"""Times are moved, halves joined and taken apart, events thinned; there and back is the same."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2espot.core.annotated import AnnotatedRanges
from e2espot.core.errors import ConfigurationError
from e2espot.core.timeline import MAX_DURATION_MS
from e2espot.formats.interchange import AnnotatedVideo, Annotation, AnnotationSet, DroppedFields
from e2espot.formats.retiming import Retiming, parse_retiming, retimed
from e2espot.formats.thinning import Thinning, parse_thinning, remaining
from tests.support.conversions import read_json, run_conversion, write_json


def dataset(*halves: list[int], annotated: AnnotatedRanges | None = None) -> AnnotationSet:
    return AnnotationSet(
        videos=tuple(
            AnnotatedVideo(
                game="g",
                half=half,
                annotations=tuple(Annotation(label="PASS", position_ms=ms) for ms in times),
                annotated=annotated,
            )
            for half, times in enumerate(halves, 1)
        )
    )


def times(result: AnnotationSet) -> dict[int, list[int]]:
    return {video.half: [event.position_ms for event in video.annotations] for video in result.videos}


def moved(data: AnnotationSet, *values: str) -> tuple[dict[int, list[int]], list[str]]:
    dropped = DroppedFields()
    retiming = parse_retiming(*values, *("0", "1", "", "")[len(values) :])
    return times(retimed(data, retiming, dropped)), dropped.lines()


def test_rate_comes_before_the_shift_and_events_before_the_video_are_counted() -> None:
    result, lines = moved(dataset([0, 60_000], [10_000]), "-2,0:01", "25/24")
    assert result == {1: [60_500], 2: [11_417]}
    assert lines == ["1 x event that the new times put before its video, or a day after its start"]


def test_halves_are_joined_on_the_clock_of_one_video_and_taken_apart_again() -> None:
    halves = dataset([1000], [2500], annotated=AnnotatedRanges(ranges_ms=((0, 3000),)))
    dropped = DroppedFields()
    one = retimed(halves, parse_retiming("0", "1", "0:10,47:12", ""), dropped)
    assert times(one) == {1: [11_000, 2_834_500]}
    assert one.videos[0].annotated == AnnotatedRanges(ranges_ms=((10_000, 13_000), (2_832_000, 2_835_000)))
    two = retimed(one, parse_retiming("0", "1", "", "0:10,47:12"), dropped)
    assert times(two) == {1: [1000], 2: [2500]}
    assert [video.annotated for video in two.videos] == [AnnotatedRanges(ranges_ms=((0, 3000),))] * 2
    with pytest.raises(ConfigurationError, match="has a half 2; say where it starts"):
        retimed(halves, parse_retiming("0", "1", "0:00", ""), dropped)


@given(
    st.lists(st.lists(st.integers(0, 2_000_000)), min_size=1, max_size=5),
    st.fractions(Fraction(1, 4), 4, max_denominator=1000),
    st.integers(0, 100_000),
)
def test_retiming_is_undone_by_its_inverse(halves: list[list[int]], rate: Fraction, offset_ms: int) -> None:
    dropped = DroppedFields()
    there = retimed(dataset(*halves), Retiming(rate=rate, offsets_ms=(offset_ms,)), dropped)
    back = retimed(there, Retiming(offsets_ms=(-offset_ms,)), dropped)
    back = retimed(back, Retiming(rate=1 / rate), dropped)
    for before, after in zip(halves, times(back).values(), strict=True):
        # A time is rounded to a millisecond there, which is up to 1 / (2 rate) ms here, and again on the way back.
        assert all(abs(one - other) <= 1 / (2 * rate) + 1 for one, other in zip(before, after, strict=True))
    starts = tuple(range(0, 2_000_001 * 5, 2_000_001))
    joined = retimed(dataset(*halves), Retiming(join_ms=starts), dropped)
    apart = times(retimed(joined, Retiming(split_ms=starts), dropped))
    assert [sorted(apart[half]) for half in range(1, len(halves) + 1)] == [sorted(of_half) for of_half in halves]


@pytest.mark.parametrize(
    ("values", "option"),
    [
        (("x",), "shift"),
        (("1,2,3,4,5,6",), "shift"),
        (("0", "0"), "rate"),
        (("0", "1/0"), "rate"),
        (("0", "1e9"), "rate"),
        (("0", "1", "47:12,0:00"), "join_halves"),
        (("0", "1", "", "a"), "split_halves"),
        (("0", "1", "0:00", "0:00"), "join_halves"),
    ],
)
def test_parse_retiming_refuses_anything_else(values: tuple[str, ...], option: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_retiming(*values, *("0", "1", "", "")[len(values) :])
    assert caught.value.option == option


def test_labels_of_half_2_of_one_video_are_converted_to_its_clock(tmp_path: Path) -> None:
    rows = [{"gameTime": f"{half} - 00:30", "label": "PASS", "position": "30480"} for half in (1, 2)]
    write_json(tmp_path / "a" / "g" / "Labels-ball.json", {"annotations": rows})
    retiming = parse_retiming("0", "1", "0:00,47:12", "")
    run_conversion(tmp_path / "a", tmp_path / "b", "soccernet", "soccernet", retiming=retiming)
    rows = read_json(tmp_path / "b" / "g" / "Labels-ball.json")["annotations"]
    assert [(row["gameTime"], row["position"]) for row in rows] == [("1 - 00:30", "30480"), ("1 - 47:42", "2862480")]


def test_unsure_stretches_move_with_the_events_and_the_end_stays_the_end(tmp_path: Path) -> None:
    def stretches(*pairs: tuple[int, int]) -> list[dict[str, int]]:
        return [{"from": start, "to": stop} for start, stop in pairs]

    content = {
        "annotated": [{"half": "1", "stretches": stretches((0, 5000), (6000, MAX_DURATION_MS))}],
        "unsure": [
            {"half": "1", "stretches": stretches((1000, 3000))},
            {"half": "2", "stretches": stretches((0, 500))},
        ],
        "annotations": [{"gameTime": "1 - 00:02", "label": "PASS", "position": "2020"}],
    }
    write_json(tmp_path / "a" / "g" / "Labels-ball.json", content)
    for name, values, annotated, unsure in (
        ("later", ("2", "1"), [(2000, 7000), (8000, MAX_DURATION_MS)], {"1": [(3000, 5000)], "2": [(2000, 2500)]}),
        ("earlier", ("-2", "1"), [(0, 3000), (4000, MAX_DURATION_MS)], {"1": [(0, 1000)]}),
    ):
        run_conversion(
            tmp_path / "a", tmp_path / name, "soccernet", "soccernet", retiming=parse_retiming(*values, "", "")
        )
        moved = read_json(tmp_path / name / "g" / "Labels-ball.json")
        assert moved["annotated"][0]["stretches"] == stretches(*annotated)
        known = {row["half"]: [(one["from"], one["to"]) for one in row["stretches"]] for row in moved["unsure"]}
        assert known == unsure
    run_conversion(
        tmp_path / "a", tmp_path / "joined", "soccernet", "soccernet", retiming=parse_retiming("0", "1", "0,50:00", "")
    )
    (joined,) = read_json(tmp_path / "joined" / "g" / "Labels-ball.json")["unsure"]
    assert joined == {"half": "1", "stretches": stretches((1000, 3000), (3_000_000, 3_000_500))}


@pytest.mark.parametrize(
    ("videos", "rows", "options", "left"),
    [
        (["224p.mp4"], [("1", 1000), ("2", 2000)], ("0:00,0:10", ""), [("1", 1000), ("1", 12_000)]),
        (["1_224p.mkv", "2_224p.mkv"], [("1", 1000), ("1", 12_000)], ("", "0:00,0:10"), [("1", 1000), ("2", 2000)]),
    ],
)
def test_labels_come_to_the_clock_of_the_videos_that_there_are(
    videos: list[str], rows: list[Any], options: tuple[str, str], left: list[Any], tmp_path: Path
) -> None:
    content = [{"gameTime": f"{half} - 00:00", "label": "PASS", "position": str(ms)} for half, ms in rows]
    write_json(tmp_path / "a" / "g" / "Labels-ball.json", {"annotations": content})
    for name in videos:
        (tmp_path / "a" / "g" / name).write_text(name)
    retiming = parse_retiming("0", "1", *options)
    run_conversion(tmp_path / "a", tmp_path / "b", "soccernet", "soccernet", retiming=retiming)
    back = read_json(tmp_path / "b" / "g" / "Labels-ball.json")["annotations"]
    assert [(row["gameTime"][0], int(row["position"])) for row in back] == left
    assert [(tmp_path / "b" / "g" / name).read_text() for name in videos] == videos


EVENTS = [
    Annotation(label=label, position_ms=ms, confidence=confidence)
    for label, ms, confidence in [
        ("PASS", 1000, 0.9),
        ("PASS", 2000, 0.2),
        ("SHOT", 3000, 0.5),
        ("PASS", 59_999, 0.5),
        ("PASS", 60_000, 0.1),
    ]
]


@pytest.mark.parametrize(
    ("thinning", "stay"),
    [
        (Thinning(), [0, 1, 2, 3, 4]),
        (Thinning(min_confidence=0.5), [0, 2, 3]),
        (Thinning(classes=("SHOT",)), [2]),
        (Thinning(per_minute=2), [0, 2, 4]),
        (Thinning(classes=("PASS",), min_confidence=0.2, per_minute=2), [0, 3]),
    ],
)
def test_thinning_keeps_the_most_confident_events_of_each_minute(thinning: Thinning, stay: list[int]) -> None:
    assert remaining(EVENTS, thinning) == tuple(EVENTS[index] for index in stay)


def test_thinned_predictions_say_how_many_are_left_out(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"label": label, "position": str(ms), "half": "1", "confidence": str(value)}
        for label, ms, value in (("PASS", 1000, 0.9), ("SHOT", 2000, 0.9), ("PASS", 3000, 0.1))
    ]
    write_json(tmp_path / "a" / "g" / "results_spotting.json", {"predictions": rows})
    thinning = parse_thinning(0.5, "PASS", None)
    done = run_conversion(tmp_path / "a", tmp_path / "t.csv", "soccernet", "table", predictions=True, thinning=thinning)
    assert done.num_annotations == 1
    assert "2 x event below the limits (confidence, classes, number a minute)" in done.dropped
    with pytest.raises(ConfigurationError, match="classes names 'Pass'; there are PASS, SHOT"):
        run_conversion(
            tmp_path / "a",
            tmp_path / "u.csv",
            "soccernet",
            "table",
            predictions=True,
            thinning=Thinning(classes=("Pass",)),
        )
    for values in ((2.0, "", None), (0.5, "", 0)):
        with pytest.raises(ConfigurationError):
            parse_thinning(*values)
