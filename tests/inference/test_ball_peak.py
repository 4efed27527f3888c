"""The ball's position from heat maps."""

import numpy as np

from e2espot.inference.ball_peak import peak_positions


def maps(points: list[list[tuple[int, int, float]]], shape: tuple[int, int] = (20, 30)) -> np.ndarray:
    """Heat maps that are -10 but for the (row, column, logit) of each frame."""
    heat_THW = np.full((len(points), *shape), -10.0, dtype=np.float32)
    for t, peaks in enumerate(points):
        for row, column, logit in peaks:
            heat_THW[t, row, column] = logit
    return heat_THW


def test_peak_positions_are_fractions_of_width_and_height() -> None:
    positions_T2 = peak_positions(maps([[(0, 0, 5.0)], [(19, 29, 5.0)], [(10, 15, 5.0)]]))
    expected = [(0.5 / 30, 0.5 / 20), (29.5 / 30, 19.5 / 20), (15.5 / 30, 10.5 / 20)]
    np.testing.assert_allclose(positions_T2, expected, atol=1e-4)


def test_peak_positions_lie_between_two_equal_cells() -> None:
    np.testing.assert_allclose(peak_positions(maps([[(4, 9, 5.0), (4, 10, 5.0)]])), [(10 / 30, 4.5 / 20)], atol=1e-4)
