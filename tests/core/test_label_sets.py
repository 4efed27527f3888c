"""Label sets: the order of the classes decides what every target and every column of scores means."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2espot.core.errors import AnnotationError, ConfigurationError
from e2espot.core.label_sets import LABEL_SETS, LabelSet, label_set_named, label_set_of

names = st.text(st.characters(exclude_categories=("Cs", "Cc", "Zs", "Zl", "Zp")), min_size=1, max_size=8)


@given(st.lists(names, min_size=1, max_size=20, unique=True))
def test_target_of_counts_from_one_in_the_order_of_the_names(classes: list[str]) -> None:
    label_set = LabelSet(tuple(classes))
    assert [label_set.target_of(name) for name in classes] == list(range(1, len(classes) + 1))
    assert len(label_set) == len(classes)
    assert all(name in label_set for name in classes)
    assert "".join(classes) + "x" not in label_set


def test_target_of_refuses_an_unknown_label_and_lists_the_known_ones() -> None:
    with pytest.raises(AnnotationError, match="unknown label 'HEADER'; known: PASS, DRIVE"):
        LABEL_SETS["ball-2"].target_of("HEADER")


def test_unknown_label_that_is_spelt_otherwise_is_recognised() -> None:
    ball = LABEL_SETS["ball-12"]
    assert [ball.other_spelling(label) for label in ("Throw-in", "high_pass", "PASS", "pas")] == [
        *("THROW IN", "HIGH PASS", None, None)
    ]
    with pytest.raises(AnnotationError, match="unknown label 'Pass', which is spelt 'PASS' here; known: PASS, DRIVE"):
        LABEL_SETS["ball-2"].target_of("Pass")


@pytest.mark.parametrize("classes", [(), ("PASS", "PASS"), ("PASS", "")])
def test_label_set_refuses_no_name_an_empty_name_and_a_repeated_name(classes: tuple[str, ...]) -> None:
    with pytest.raises(ConfigurationError, match="list each class once"):
        LabelSet(classes)


def test_built_in_label_sets_have_soccernets_sizes_and_order() -> None:
    assert {name: len(label_set) for name, label_set in LABEL_SETS.items()} == {
        "ball-2": 2,
        "ball-12": 12,
        "soccernet-v2-17": 17,
        "footpass": 8,
        "dfl": 3,
    }
    # Targets in weights and columns in score files depend on these positions.
    assert LABEL_SETS["ball-12"].target_of("HIGH PASS") == 4
    assert LABEL_SETS["ball-12"].target_of("GOAL") == 12
    assert LABEL_SETS["soccernet-v2-17"].target_of("Penalty") == 1
    assert LABEL_SETS["soccernet-v2-17"].target_of("Yellow->red card") == 17
    assert LABEL_SETS["ball-12"].names[:2] == LABEL_SETS["ball-2"].names


@pytest.mark.parametrize("name", LABEL_SETS)
def test_label_set_named_prefers_a_built_in_set_to_a_file_of_that_name(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / name).write_text("Other\n")
    monkeypatch.chdir(tmp_path)
    assert label_set_named(name) is LABEL_SETS[name]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_label_set_named_reads_class_txt_without_blank_lines(tmp_path: Path, encoding: str, newline: str) -> None:
    file = tmp_path / "class.txt"
    file.write_bytes(newline.join(["", " Throw-in ", "Fußball", "", "Goal"]).encode(encoding))
    assert label_set_named(str(file)).names == ("Throw-in", "Fußball", "Goal")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        *((content, r"class\.txt: label set \[\] has no name") for content in (b"", b"\n \n")),
        (b"A\nB\nA\n", r"class\.txt: the label set has 'A' twice"),
        ("Pässe\n".encode("cp1252"), r"class\.txt: not UTF-8 text .*; save it as UTF-8"),
    ],
)
def test_label_set_named_refuses_a_file_without_usable_names(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "class.txt").write_bytes(content)
    with pytest.raises(ConfigurationError, match=message):
        label_set_named(str(tmp_path / "class.txt"))


def test_label_set_named_refuses_a_folder_and_an_unknown_name(tmp_path: Path) -> None:
    for name in (str(tmp_path), "ball-3", ""):
        with pytest.raises(ConfigurationError, match="choose from ball-2, ball-12, soccernet-v2-17"):
            label_set_named(name)


@given(st.sampled_from(sorted(LABEL_SETS)), st.data())
def test_label_set_of_keeps_the_order_of_a_built_in_set(name: str, data: st.DataObject) -> None:
    chosen = data.draw(st.lists(st.sampled_from(LABEL_SETS[name].names), min_size=1))
    result = label_set_of(chosen)
    assert set(result.names) == set(chosen)
    targets = [LABEL_SETS[name].target_of(label) for label in result.names]
    assert targets == sorted(targets)


def test_label_set_of_sorts_labels_that_no_built_in_set_has() -> None:
    assert label_set_of(["PASS", "Goal", "PASS"]).names == ("Goal", "PASS")
    assert label_set_of(["b", "a"]).names == ("a", "b")
    with pytest.raises(ConfigurationError, match="empty"):
        label_set_of([])
