"""Principal components of features: fitted exactly in one pass over any number of files, and applied.

    files -> PcaSums.add(rows) ... -> fit(512) -> Pca -> project(rows) -> (rows - mean) @ components.T

Only the sums of rows and of their products are held, in double precision: 34 MB for 2,048 values a row. So the order of
the files matters by rounding alone, and a component's sign is fixed: its entry of largest magnitude is positive.

Shapes: N rows, D values of a row, P components.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

import numpy as np

from e2espot.core.errors import AnnotationError, ConfigurationError, one_line, shortened
from e2espot.files.atomic import write_atomically
from e2espot.files.npz import read_arrays


@dataclass(frozen=True, kw_only=True, eq=False)
class Pca:
    """A fitted projection, without whitening."""

    mean_D: np.ndarray
    """float32; subtracted first."""
    components_PD: np.ndarray
    """float32; orthonormal rows, by falling variance."""
    variance_P: np.ndarray
    """float64; variance along each component."""
    total_variance: float
    """Variance of all D values together; 0 where it is not known."""

    @property
    def num_components(self) -> int:
        """P."""
        return len(self.components_PD)

    @property
    def explained(self) -> float:
        """Fraction of the variance that the projection keeps; NaN where it is not known."""
        return float(self.variance_P.sum() / self.total_variance) if self.total_variance > 0 else float("nan")

    def project(self, rows_ND: np.ndarray) -> np.ndarray:
        """float32 ``(N, P)``.

        Raises:
            ConfigurationError: rows of another width.
        """
        if rows_ND.shape[1] != len(self.mean_D):
            raise ConfigurationError(
                f"rows of {rows_ND.shape[1]} values, and the PCA was fitted on rows of {len(self.mean_D)}; give the "
                "projection of the same network",
                option="pca",
            )
        projected_NP: np.ndarray = (rows_ND.astype(np.float32, copy=False) - self.mean_D) @ self.components_PD.T
        return projected_NP

    def digest(self) -> str:
        """SHA-256 over mean and components: two projections with the same digest are the same."""
        digest = hashlib.sha256()
        for array in (self.mean_D, self.components_PD):
            digest.update(str(array.shape).encode() + np.ascontiguousarray(array, dtype="<f4").tobytes())
        return digest.hexdigest()


@dataclass
class PcaSums:
    """Sums over rows from which components are computed; files may be added in any order."""

    num_rows: int = 0
    """Rows added."""
    _sum_D: np.ndarray = field(default_factory=lambda: np.zeros(0))
    """Sum of the rows."""
    _products_DD: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))
    """Sum of the outer products of each row with itself."""

    def add(self, rows_ND: np.ndarray) -> None:
        """Add rows.

        Raises:
            ConfigurationError: rows of another width than before.
        """
        dim = rows_ND.shape[1]
        if not len(self._sum_D):
            self._sum_D, self._products_DD = np.zeros(dim), np.zeros((dim, dim))
        if dim != len(self._sum_D):
            raise ConfigurationError(f"rows of {dim} values after rows of {len(self._sum_D)}; fit one kind at a time")
        exact_ND = rows_ND.astype(np.float64)
        self.num_rows += len(exact_ND)
        self._sum_D += exact_ND.sum(axis=0)
        self._products_DD += exact_ND.T @ exact_ND

    def fit(self, num_components: int) -> Pca:
        """The ``num_components`` directions of largest variance.

        Raises:
            ConfigurationError: more components than values of a row, or fewer rows than that.
        """
        dim = len(self._sum_D)
        if not 1 <= num_components <= dim or self.num_rows <= num_components:
            raise ConfigurationError(
                f"{num_components} components of {self.num_rows} rows of {dim} values: give at most as many as values, "
                "and fewer than rows",
                option="pca",
            )
        mean_D = self._sum_D / self.num_rows
        covariance_DD = (self._products_DD - self.num_rows * np.outer(mean_D, mean_D)) / (self.num_rows - 1)
        variance_D, vectors_DD = np.linalg.eigh(covariance_DD)
        components_PD = vectors_DD.T[::-1][:num_components]
        largest_P = np.abs(components_PD).argmax(axis=1)
        signs_P = np.sign(components_PD[np.arange(num_components), largest_P])
        return Pca(
            mean_D=mean_D.astype(np.float32),
            components_PD=(components_PD * signs_P[:, None]).astype(np.float32),
            variance_P=np.maximum(variance_D[::-1][:num_components], 0),
            total_variance=float(np.trace(covariance_DD)),
        )


def write_pca(path: Path, pca: Pca) -> None:
    """Write mean, components and variances to an npz, whole or not at all."""
    buffer = BytesIO()
    np.savez(
        buffer,
        mean=pca.mean_D,
        components=pca.components_PD,
        explained_variance=pca.variance_P,
        total_variance=np.float64(pca.total_variance),
    )
    write_atomically(path, buffer.getvalue())


def read_pca(path: Path) -> Pca:
    """Read the file of :func:`write_pca`; nothing in it is executed.

    Raises:
        AnnotationError: the file is missing, or is not such a file.
        ConfigurationError: it is a pickle.
    """
    if path.suffix.lower() in (".pkl", ".pickle"):
        raise ConfigurationError(
            f"{path}: a pickle can run code when it is loaded; allow it (trust_pickle) to read its arrays alone, or "
            "give an npz of this package",
            option="trust_pickle",
        )
    if not path.is_file():
        raise AnnotationError(f"{path}: no such file; name the PCA (.npz) that was written when it was fitted")
    try:
        stored = read_arrays(path)
        return checked_pca(
            stored["mean"],
            stored["components"],
            stored["explained_variance"],
            float(stored["total_variance"]) if "total_variance" in stored else 0.0,
        )
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise AnnotationError(f"{path}: not a PCA of this package ({shortened(one_line(error))})") from None


def checked_pca(mean_D: np.ndarray, components_PD: np.ndarray, variance_P: np.ndarray, total: float) -> Pca:
    """A projection from arrays of unknown origin.

    Raises:
        ValueError: shapes or values that cannot be a projection.
    """
    fits = mean_D.ndim == 1 and components_PD.ndim == 2 and components_PD.shape[1] == len(mean_D)
    if not fits or variance_P.shape != components_PD.shape[:1] or not len(components_PD):
        raise ValueError(f"mean {mean_D.shape}, components {components_PD.shape}, variance {variance_P.shape}")
    for array in (mean_D, components_PD, variance_P):
        if array.dtype.kind != "f" or not np.isfinite(array).all():
            raise ValueError("values that are not finite numbers")
    return Pca(
        mean_D=np.ascontiguousarray(mean_D, dtype=np.float32),
        components_PD=np.ascontiguousarray(components_PD, dtype=np.float32),
        variance_P=variance_P.astype(np.float64),
        total_variance=total,
    )


def variance_curve_svg(pca: Pca) -> str:
    """A drawing of the variance that the first components explain together, as SVG."""
    width, height, left, bottom = 480, 280, 48, 36
    total = pca.total_variance or float(pca.variance_P.sum()) or 1.0
    shares = np.cumsum(pca.variance_P) / total
    across = np.linspace(left, width - 12, len(shares)) if len(shares) > 1 else np.array([left])
    points = " ".join(
        f"{x:.1f},{height - bottom - share * (height - bottom - 16):.1f}"
        for x, share in zip(across, shares, strict=True)
    )
    base, right = height - bottom, width - 12
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" '
        f'font-size="12"><path d="M{left} 16V{base}H{right}" fill="none" stroke="#888"/>'
        f'<polyline points="{points}" fill="none" stroke="#1f5fbf" stroke-width="2"/>'
        f'<text x="{left}" y="12">explained variance: {100 * shares[-1]:.1f} % with {len(shares)} components</text>'
        f'<text x="{left - 6}" y="{base}" text-anchor="end">0 %</text>'
        f'<text x="{left - 6}" y="24" text-anchor="end">100 %</text>'
        f'<text x="{right}" y="{height - 12}" text-anchor="end">{len(shares)}</text>'
        f'<text x="{left}" y="{height - 12}">1</text></svg>\n'
    )
