"""JSON fields are returned with their type and range, or refused in a line that names file, entry and field."""

import json
import os
from fractions import Fraction
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2espot.core.errors import AnnotationError
from e2espot.core.timeline import MAX_DURATION_MS
from e2espot.files.json_fields import (
    check_video_metadata,
    decode_text,
    dump_json,
    load_json,
    optional_text,
    parse_each,
    read_bytes,
    relative_path,
    remaining_fields,
    require,
    require_fps,
    require_ms,
    require_number,
    require_path,
    require_text,
)
from tests.support.strategies import ANY_VALUE

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(json_values)
def test_load_json_inverts_dump_json(content: Any) -> None:
    assert load_json(dump_json(content), "FILE") == content


@given(json_values, st.sampled_from(["utf-8-sig", "utf-16", "utf-16-be", "utf-32", "utf-32-le"]))
def test_load_json_reads_every_unicode_encoding(content: Any, encoding: str) -> None:
    assert load_json(json.dumps(content).encode(encoding), "FILE") == content


def test_dump_json_writes_readable_text_and_escapes_only_lone_surrogates() -> None:
    assert dump_json({"name": "Müller"}).decode() == '{\n "name": "Müller"\n}'
    assert json.loads(dump_json({"name": "\ud800"})) == {"name": "\ud800"}


def test_dump_json_refuses_what_is_nested_too_deeply() -> None:
    value: list[Any] = []
    for _ in range(100_000):
        value = [value]
    with pytest.raises(AnnotationError, match="nested too deeply"):
        dump_json(value)
    while value:  # freed level by level: at once would overflow the stack of some interpreters
        (value,) = value


@pytest.mark.parametrize("data", [b"", b"{", b"[1,]", b"{'a': 1}", b"[" * 200_000, b"9" * 10_000])
def test_load_json_refuses_what_is_not_json_and_names_the_file(data: bytes) -> None:
    with pytest.raises(AnnotationError, match=r"^FILE: not JSON \("):
        load_json(data, "FILE")


@given(st.binary(max_size=12))
def test_decode_text_decodes_or_refuses_any_bytes(data: bytes) -> None:
    try:
        assert isinstance(decode_text(data, "FILE"), str)
    except AnnotationError as error:
        assert str(error).startswith("FILE: not UTF-")


def test_read_bytes_refuses_a_missing_file_a_folder_and_a_pipe(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"\0\xff")
    assert read_bytes(tmp_path / "a") == b"\0\xff"
    os.mkfifo(tmp_path / "pipe")  # opening it would wait for a writer
    for name, message in (("b", "No such file"), (".", "Is a directory"), ("pipe", "not a regular file")):
        with pytest.raises(AnnotationError, match=message):
            read_bytes(tmp_path / name)


@pytest.mark.parametrize(
    ("entry", "kind", "message"),
    [
        ([], str, "e: is list; expected an object"),
        (None, str, "e: is NoneType; expected an object"),
        ({}, str, "e: field 'x' is missing"),
        ({"x": 1}, str, "e: field 'x' is 1; expected text"),
        ({"x": "1"}, int, "e: field 'x' is '1'; expected a whole number"),
        ({"x": True}, int, "e: field 'x' is True; expected a whole number"),
        ({"x": False}, object, "e: field 'x' is False; expected a number or text"),
        ({"x": {}}, list, "e: field 'x' is {}; expected a list"),
        ({"x": []}, dict, "e: field 'x' is []; expected an object"),
    ],
)
def test_require_names_entry_field_value_and_expected_type(entry: Any, kind: type, message: str) -> None:
    with pytest.raises(AnnotationError) as caught:
        require(entry, "x", kind, "e")
    assert str(caught.value) == message


def test_require_takes_the_default_only_for_a_missing_field() -> None:
    assert require({}, "x", list, "e", []) == []
    assert require({"x": [1]}, "x", list, "e", []) == [1]
    with pytest.raises(AnnotationError, match="is None"):
        require({"x": None}, "x", list, "e", [])


def test_require_shortens_a_long_value_to_60_characters() -> None:
    with pytest.raises(AnnotationError) as caught:
        require({"x": "y" * 5000}, "x", int, "e")
    assert str(caught.value) == f"e: field 'x' is '{'y' * 56}...; expected a whole number"


@pytest.mark.parametrize("text", ["", " ", "\t", "a\nb", "a\0", "\x1b[1m", "\ud800"])
def test_require_text_refuses_blank_text_control_characters_and_surrogates(text: str) -> None:
    with pytest.raises(AnnotationError, match="expected text on one line"):
        require_text({"x": text}, "x", "e")


def test_optional_text_of_a_missing_or_null_field_is_empty() -> None:
    assert optional_text({}, "x", "e") == optional_text({"x": None}, "x", "e") == ""
    assert optional_text({"x": " a"}, "x", "e") == " a"
    with pytest.raises(AnnotationError, match="expected text"):
        optional_text({"x": 0}, "x", "e")


@given(st.integers(0, MAX_DURATION_MS), st.sampled_from([int, float, str, lambda ms: f" +{ms} ", lambda ms: f"{ms}.0"]))
def test_require_ms_reads_numbers_and_text_exactly(position_ms: int, spell: Any) -> None:
    value = require_ms({"x": spell(position_ms)}, "x", "e")
    assert value == position_ms
    assert type(value) is int


@pytest.mark.parametrize(
    "value", [-1, MAX_DURATION_MS + 1, 1.5, "1.5", "1.01", ".0", "-1", "", "1e3", "9" * 30, 1e300, None, True, []]
)
def test_require_ms_refuses_fractions_and_what_is_outside_a_day(value: Any) -> None:
    with pytest.raises(AnnotationError, match=r"^e: field 'x' is .*; expected"):
        require_ms({"x": value}, "x", "e")


@pytest.mark.parametrize(("value", "number"), [(3, 3.0), ("2.5", 2.5), (1e-9, 1e-9), ("-4", -4.0)])
def test_require_number_reads_numbers_and_text(value: Any, number: float) -> None:
    assert require_number({"x": value}, "x", "e") == number


@pytest.mark.parametrize("value", ["nan", "inf", float("nan"), float("-inf"), 10**400, "", "1/2", True, None, [1]])
def test_require_number_refuses_what_is_not_finite(value: Any) -> None:
    with pytest.raises(AnnotationError, match="field 'x' is"):
        require_number({"x": value}, "x", "e")


@pytest.mark.parametrize(
    ("value", "fps"), [(25, 25), ("12.5", Fraction(25, 2)), (29.97, Fraction(2997, 100)), (1000, 1000)]
)
def test_require_fps_is_the_decimal_number_exactly(value: Any, fps: Fraction) -> None:
    assert require_fps({"fps": value}, "e") == fps


@pytest.mark.parametrize("value", [0, 0.999, -25, 1000.5, "fast", 1e9])
def test_require_fps_refuses_less_than_1_and_more_than_1000(value: Any) -> None:
    with pytest.raises(AnnotationError, match="field 'fps' is"):
        require_fps({"fps": value}, "e")


@given(ANY_VALUE)
def test_require_functions_return_their_type_or_raise_one_line(value: Any) -> None:
    entry = {"x": value, "fps": value}
    readers = (
        (lambda: require_text(entry, "x", "e"), str),
        (lambda: require_ms(entry, "x", "e"), int),
        (lambda: require_number(entry, "x", "e"), float),
        (lambda: require_fps(entry, "e"), Fraction),
        (lambda: require_path(entry, "x", "e"), str),
    )
    for read, kind in readers:
        try:
            assert isinstance(read(), kind)
        except AnnotationError as error:
            assert len(str(error).splitlines()) == 1
            assert len(str(error)) < 200


@pytest.mark.parametrize("text", ["", ".", "./", "/a", "..", "a/../b", "a/..", "a\\b", "C:/a", "c:a", "a\nb", "//a"])
def test_relative_path_refuses_what_leaves_the_folder_or_is_foreign(text: str) -> None:
    with pytest.raises(AnnotationError, match="expected a path below the dataset"):
        relative_path(text, "e")


@given(st.lists(st.sampled_from(["a", "b c", ".", "..", "", "...", ".x"]), max_size=5).map("/".join))
def test_relative_path_never_leaves_the_folder(text: str) -> None:
    root = PurePosixPath("/data/set")
    try:
        path = relative_path(text, "e")
    except AnnotationError:
        return
    joined = os.path.normpath(root / path)
    assert joined.startswith("/data/set/")
    assert joined == f"/data/set/{path}"  # already in its shortest form


@pytest.mark.parametrize("name", ["num_frames", "width", "height"])
@pytest.mark.parametrize("value", [-1, 1.0, "9", None, True, 1 << 40])
def test_check_video_metadata_refuses_sizes_that_are_no_small_whole_numbers(name: str, value: Any) -> None:
    with pytest.raises(AnnotationError, match=f"field '{name}' is"):
        check_video_metadata({name: value}, "e")


def test_check_video_metadata_keeps_unknown_fields_in_a_new_dictionary() -> None:
    metadata = {"num_frames": 0, "width": 398, "fps": "25", "note": [1]}
    checked = check_video_metadata(metadata, "e")
    assert checked == metadata
    assert checked is not metadata
    with pytest.raises(AnnotationError, match="'fps' is 0"):
        check_video_metadata({"fps": 0}, "e")


def test_remaining_fields_are_all_but_the_known_ones_in_order() -> None:
    assert list(remaining_fields({"b": 1, "a": 2, "c": 3}, "a", "z").items()) == [("b", 1), ("c", 3)]


def test_parse_each_names_the_entry_that_fails() -> None:
    entries = [{"x": "1"}, {"x": "2"}, {"y": "3"}]
    with pytest.raises(AnnotationError, match=r"^FILE: rows\[2\]: field 'x' is missing$"):
        parse_each(entries, "rows", "FILE", lambda entry, context: require_text(entry, "x", context))
    parsed = parse_each(entries[:2], "rows", "FILE", lambda entry, context: f"{context}={entry['x']}")
    assert parsed == ("FILE: rows[0]=1", "FILE: rows[1]=2")
