"""Principal components: exact, reproducible, and readable from pickles that are not trusted."""

import pickle
import re
import sys
import types
from pathlib import Path

import numpy as np
import pytest

from e2espot.core.errors import AnnotationError, ConfigurationError
from e2espot.features.kit_pickles import read_kit_pca
from e2espot.features.pca import PcaSums, read_pca, variance_curve_svg, write_pca


def rows_of(seed: int, count: int = 400, dim: int = 12) -> np.ndarray:
    rng = np.random.default_rng(seed)
    mixing = np.random.default_rng(99).normal(size=(dim, dim)) * np.linspace(3, 0.1, dim)
    return (rng.normal(size=(count, dim)) @ mixing.T + 5).astype(np.float32)


def fitted(parts: list[np.ndarray], count: int = 4):  # type: ignore[no-untyped-def]
    sums = PcaSums()
    for part in parts:
        sums.add(part)
    return sums.fit(count)


def test_one_pass_over_files_equals_the_singular_vectors_of_all_rows() -> None:
    parts = [rows_of(seed) for seed in range(3)]
    pca = fitted(parts)
    rows = np.concatenate(parts).astype(np.float64)
    centred = rows - rows.mean(axis=0)
    _, singular, right = np.linalg.svd(centred, full_matrices=False)
    expected = right[:4] * np.sign(right[np.arange(4), np.abs(right[:4]).argmax(axis=1)])[:, None]
    np.testing.assert_allclose(pca.components_PD, expected, atol=2e-6)
    np.testing.assert_allclose(pca.variance_P, singular[:4] ** 2 / (len(rows) - 1), rtol=1e-9)
    assert pca.explained == pytest.approx((singular[:4] ** 2).sum() / (singular**2).sum())
    np.testing.assert_allclose(pca.project(parts[0]), (parts[0] - rows.mean(axis=0)) @ expected.T, atol=1e-4)


def test_order_of_files_does_not_matter_beyond_rounding() -> None:
    parts = [rows_of(seed, count=50 + 30 * seed) for seed in range(4)]
    first, second = fitted(parts), fitted(parts[::-1])
    np.testing.assert_allclose(first.components_PD, second.components_PD, atol=1e-6)
    assert (first.components_PD[np.arange(4), np.abs(first.components_PD).argmax(axis=1)] > 0).all()


def test_pca_survives_its_file(tmp_path: Path) -> None:
    pca = fitted([rows_of(0)])
    write_pca(tmp_path / "pca.npz", pca)
    stored = read_pca(tmp_path / "pca.npz")
    assert stored.digest() == pca.digest()
    assert stored.explained == pytest.approx(pca.explained)
    assert "explained variance" in variance_curve_svg(stored)


def test_pca_refuses_rows_of_another_width_and_too_many_components() -> None:
    pca = fitted([rows_of(0)])
    with pytest.raises(ConfigurationError, match="fitted on rows of 12"):
        pca.project(np.zeros((3, 7), dtype=np.float32))
    with pytest.raises(ConfigurationError, match="13 components"):
        fitted([rows_of(0)], 13)


def kit_pickles(folder: Path, protocol: int, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path, np.ndarray]:
    """The pair of files as scikit-learn's class and NumPy write them."""
    module = types.ModuleType("sklearn.decomposition._pca")
    kind = type("PCA", (), {"__module__": module.__name__})
    module.PCA = kind  # type: ignore[attr-defined]
    for name in ("sklearn", "sklearn.decomposition", module.__name__):
        monkeypatch.setitem(sys.modules, name, module)
    pca = fitted([rows_of(0)])
    fit = kind()
    vars(fit).update(
        components_=pca.components_PD,
        mean_=np.zeros(12, dtype=np.float32),
        explained_variance_=pca.variance_P,
        explained_variance_ratio_=pca.variance_P / pca.total_variance,
        n_samples_=np.int64(400),
        svd_solver="full",
    )
    components, average = folder / f"pca{protocol}.pkl", folder / f"average{protocol}.pkl"
    components.write_bytes(pickle.dumps(fit, protocol=protocol))
    average.write_bytes(pickle.dumps(pca.mean_D, protocol=protocol))
    return components, average, pca.project(rows_of(1))


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_pickles_of_the_kit_project_alike(tmp_path: Path, protocol: int, monkeypatch: pytest.MonkeyPatch) -> None:
    components, average, expected = kit_pickles(tmp_path, protocol, monkeypatch)
    np.testing.assert_allclose(read_kit_pca(components, average).project(rows_of(1)), expected, atol=1e-4)


def test_pickles_are_refused_unless_asked_for(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="can run code") as raised:
        read_pca(tmp_path / "pca.pkl")
    assert raised.value.option == "trust_pickle"


class Malicious:
    """Runs a function when it is loaded by an ordinary unpickler."""

    def __init__(self, function: object, *arguments: object) -> None:
        self.call = function, arguments

    def __reduce__(self) -> object:
        return self.call


def test_a_pickle_that_calls_anything_else_is_not_run(tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    file = tmp_path / "pca.pkl"
    for payload in (
        Malicious(marker.touch),
        Malicious(eval, "1"),
        Malicious(np.ndarray, (1 << 40,)),
        Malicious(re.compile, "a"),
    ):
        file.write_bytes(pickle.dumps(payload, protocol=4))
        with pytest.raises(AnnotationError, match="not read"):
            read_kit_pca(file, None)
    assert not marker.exists()
    file.write_bytes(b"\x80\x04broken")
    with pytest.raises(AnnotationError, match="not read"):
        read_kit_pca(file, None)
