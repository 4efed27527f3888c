"""The ball's path over heat maps."""

import numpy as np

from e2espot.inference.ball_path import linked_positions, peak_positions


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


def test_linked_positions_stay_on_the_ball_where_another_peak_is_higher_for_a_moment() -> None:
    ball = [(5, 5 + t, 4.0) for t in range(7)]
    frames = [[point] for point in ball]
    frames[3].append((15, 25, 5.0))  # higher than the ball, and far from it
    heat_THW = maps(frames)
    assert peak_positions(heat_THW)[3, 0] > 0.8
    np.testing.assert_allclose(linked_positions(heat_THW)[:, 0], [(5.5 + t) / 30 for t in range(7)], atol=1e-4)


def test_linked_positions_stay_on_the_ball_when_a_wide_spot_is_brighter() -> None:
    ball = [(5, 5 + t, 4.0) for t in range(7)]
    # Every cell of the spot is higher than the ball, and they are more than a path may pass through.
    spot = [
        (row, column, 5.0 - 0.1 * abs(row - 15) - 0.1 * abs(column - 24))
        for row in (14, 15, 16)
        for column in range(20, 29)
    ]
    heat_THW = maps([[point, *(spot if t in (2, 3) else [])] for t, point in enumerate(ball)])
    np.testing.assert_allclose(linked_positions(heat_THW)[:, 0], [(5.5 + t) / 30 for t in range(7)], atol=1e-3)


def test_linked_positions_follow_a_cut() -> None:
    heat_THW = maps([[(5, 5, 8.0)]] * 5 + [[(15, 25, 8.0)]] * 5)
    assert (linked_positions(heat_THW)[:5, 0] < 0.2).all()
    assert (linked_positions(heat_THW)[5:, 0] > 0.8).all()
