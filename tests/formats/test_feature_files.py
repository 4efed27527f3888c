"""Feature files of any program: what is read, and what is refused in one line."""

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from e2espot.core.errors import AnnotationError, ConfigurationError, E2ESpotError
from e2espot.core.feature_kind import FeatureKind
from e2espot.formats.feature_files import (
    check_kind,
    check_rate,
    feature_name,
    open_features,
)

ROWS = np.random.default_rng(0).normal(size=(40, 512)).astype(np.float32)


def saved(path: Path, array: np.ndarray) -> Path:
    np.save(path, array, allow_pickle=True)
    return path


@pytest.mark.parametrize("shape", [(40, 512), (1, 40, 512), (40, 1, 512)])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_open_features_reads_every_form_of_an_array(tmp_path: Path, shape: tuple[int, ...], dtype: type) -> None:
    file = open_features(saved(tmp_path / "1_ResNET_TF2_PCA512.npy", ROWS.reshape(shape).astype(dtype)))
    assert (file.num_rows, file.dim) == (40, 512)
    expected = ROWS.astype(dtype).astype(np.float32)
    np.testing.assert_array_equal(file.read(), expected)
    np.testing.assert_array_equal(file.read(7, 12), expected[7:12])
    np.testing.assert_array_equal(np.concatenate([rows for _, rows in file.blocks()]), expected)


def test_names_give_half_rate_and_width() -> None:
    assert feature_name(Path("1_ResNET_TF2.npy")) == "ResNET_TF2"
    assert feature_name(Path("2_baidu_soccer_embeddings.npy")) == "baidu_soccer_embeddings"
    assert feature_name(Path("derby_ResNET_TF2_PCA512.npy")) == "ResNET_TF2_PCA512"
    assert feature_name(Path("derby.npy")) == "derby"


BAD = {
    "objects": (np.array([{"features": 1}], dtype=object), "never loaded"),
    "no rows": (ROWS[:0], "no rows"),
    "whole numbers": (ROWS.astype(np.int32), "float16, float32 or float64"),
    "one axis": (ROWS[0], "shape"),
    "two halves": (np.stack([ROWS, ROWS]), "shape"),
    "transposed": (np.zeros((512, 40), dtype=np.float32), "transposed: save array.T"),
    "columns": (np.asfortranarray(ROWS), "column by column"),
    "another width": (ROWS[:, :100].copy(), "rows of 100 values"),
}


@pytest.mark.parametrize("name", BAD)
def test_open_features_refuses_bad_arrays_in_one_line(tmp_path: Path, name: str) -> None:
    array, message = BAD[name]
    with pytest.raises(E2ESpotError, match=message) as raised:
        open_features(saved(tmp_path / "1_ResNET_TF2_PCA512.npy", array))
    assert "\n" not in str(raised.value)


def test_open_features_refuses_damaged_files(tmp_path: Path) -> None:
    whole = saved(tmp_path / "a.npy", ROWS).read_bytes()
    for data, message in (
        (whole[:-100], "ends after"),
        (whole[:20], "not an .npy"),
        (b"", "not an .npy"),
        (b"PK\x03\x04" * 9, "not an .npy"),
    ):
        (tmp_path / "a.npy").write_bytes(data)
        with pytest.raises(AnnotationError, match=message):
            open_features(tmp_path / "a.npy")
    with pytest.raises(AnnotationError, match="cannot be read"):
        open_features(tmp_path / "missing.npy")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_check_finite_names_the_row(tmp_path: Path, value: float) -> None:
    rows = np.tile(ROWS, (80, 1))
    rows[2500, 3] = value
    file = open_features(saved(tmp_path / "a.npy", rows))
    with pytest.raises(AnnotationError, match="row 2500 holds"):
        file.check_finite()
    open_features(saved(tmp_path / "b.npy", np.sign(ROWS) * np.float32(3e38))).check_finite()


@pytest.mark.filterwarnings("error")
def test_values_beyond_single_precision_are_refused_like_infinite_ones(tmp_path: Path) -> None:
    rows = ROWS.astype(np.float64)
    rows[2, 3] = 1e300
    with pytest.raises(AnnotationError, match="row 2 holds"):
        open_features(saved(tmp_path / "a.npy", rows)).check_finite()


def described(path: Path, **fields: object) -> Path:
    saved(path, ROWS)
    content = {"name": "net", "dim": 512, "rate": "2", "backbone": "a", "weights": "w", **fields}
    path.with_suffix(".json").write_text(json.dumps(content))
    return path


def test_a_description_decides_kind_and_rate(tmp_path: Path) -> None:
    first = open_features(described(tmp_path / "1_net.npy"))
    second = open_features(described(tmp_path / "2_net.npy", backbone="b"))
    assert first.kind == FeatureKind(name="net", dim=512, origin="backbone a, weights w")
    assert first.known_rate == 2
    with pytest.raises(ConfigurationError, match="another kind"):
        first.kind.check(second.kind, second.path)
    with pytest.raises(ConfigurationError, match="transposed"):
        check_kind(first, FeatureKind(name="net", dim=40))
    first.kind.check(FeatureKind(name="other", dim=512), "a.npy")  # nothing says that it is another
    with pytest.raises(ConfigurationError, match="rows of 64 values"):
        first.kind.check(FeatureKind(name="net", dim=64), "a.npy")
    with pytest.raises(ConfigurationError, match="2 rows a second"):
        check_rate(first, Fraction(5))
    with pytest.raises(ConfigurationError, match="has 100"):
        open_features(described(tmp_path / "3_net.npy", dim=100))
    (tmp_path / "3_net.json").write_text("{}")
    with pytest.raises(AnnotationError, match="does not describe features"):
        open_features(tmp_path / "3_net.npy")
