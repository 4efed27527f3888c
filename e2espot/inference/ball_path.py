"""Where the ball is: the peaks of the heat map in each frame, linked over time by the most likely path.

In a single frame the highest peak may be a referee's shirt or a penalty spot. The ball moves smoothly, though, so the
path that is likeliest as a whole goes through lower peaks where the highest one jumps away and back:

    frame        0      1      2      3
    peaks       *A     *A      B     *A        * the highest of its frame
                 B      B     *C      B        A, B, C: positions
    path         A      A     ...     A        C is far from A: one lower peak costs less than two jumps

Shapes: T frames, H rows and W columns of the map, P peaks of a frame.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, kw_only=True)
class LinkOptions:
    """What a path costs, in units of log probability."""

    num_peaks: int = 16
    """Peaks of a frame that a path may pass through: cells that no neighbour exceeds."""
    free_cells: float = 1.5
    """Cells that the ball may move from one frame to the next without cost."""
    cost_per_cell: float = 1.5
    """Cost of each cell beyond these."""
    max_cost: float = 12.0
    """Largest cost of a move: at a cut the ball is suddenly elsewhere."""


def peak_positions(heat_THW: np.ndarray) -> np.ndarray:
    """The highest point of each map, ``(T, 2)``: x and y as fractions of the picture's width and height.

    Args:
        heat_THW: Logits.
    """
    cells_T = heat_THW.reshape(len(heat_THW), -1).argmax(1)
    return _refine(heat_THW, np.stack((cells_T // heat_THW.shape[2], cells_T % heat_THW.shape[2]), axis=1))


def linked_positions(heat_THW: np.ndarray, options: LinkOptions | None = None) -> np.ndarray:
    """The likeliest path of the ball through all maps, by Viterbi's algorithm; ``(T, 2)`` as ``peak_positions``."""
    options = options or LinkOptions()
    num_frames, _, width = heat_THW.shape
    flat_TN = heat_THW.reshape(num_frames, -1).astype(np.float64)
    log_share_TN = flat_TN - _log_sum_exp(flat_TN)[:, None]
    peak_TN = _share_of_peaks(log_share_TN.reshape(heat_THW.shape)).reshape(num_frames, -1)
    count = min(options.num_peaks, flat_TN.shape[1])
    cells_TP = np.argpartition(-peak_TN, count - 1, axis=1)[:, :count]
    cells_TP.sort(axis=1)  # so that equal paths are decided alike on every machine
    score_TP = np.take_along_axis(peak_TN, cells_TP, 1)
    rows_TP2 = np.stack((cells_TP // width, cells_TP % width), axis=2)
    best_P, previous = score_TP[0].copy(), []
    for t in range(1, num_frames):
        moved_PQ = np.hypot(*np.moveaxis(rows_TP2[t][:, None] - rows_TP2[t - 1][None], 2, 0))
        cost_PQ = options.cost_per_cell * np.maximum(moved_PQ - options.free_cells, 0)
        total_PQ = best_P[None] - np.minimum(cost_PQ, options.max_cost)
        previous.append(total_PQ.argmax(1))
        best_P = total_PQ.max(1) + score_TP[t]
    path = [int(best_P.argmax())]
    for back_P in reversed(previous):
        path.append(int(back_P[path[-1]]))
    return _refine(heat_THW, rows_TP2[np.arange(num_frames), path[::-1]])


def _share_of_peaks(log_share_THW: np.ndarray) -> np.ndarray:
    """Log of what each local maximum and its neighbours hold of the map together; very low at all other cells.

    A ball on the border of two cells lights both: one alone would look like a weak peak, and one peak would fill
    several of the few positions that a path may pass through.
    """
    height, width = log_share_THW.shape[1:]
    share = np.pad(np.exp(log_share_THW), ((0, 0), (1, 1), (1, 1)))
    around_9THW = np.stack([share[:, y : y + height, x : x + width] for y in range(3) for x in range(3)])
    is_peak_THW = around_9THW[4] >= around_9THW.max(0)
    return np.where(is_peak_THW, np.log(around_9THW.sum(0) + 1e-30), -100.0)


def _log_sum_exp(flat_TN: np.ndarray) -> np.ndarray:
    highest_T = flat_TN.max(1)
    total_T: np.ndarray = highest_T + np.log(np.exp(flat_TN - highest_T[:, None]).sum(1))
    return total_T


def _refine(heat_THW: np.ndarray, cells_T2: np.ndarray) -> np.ndarray:
    """Centre of mass of each cell and its neighbours, as fractions of width and height.

    A cell is 8 pixels of the frame, an eighth of a fortieth of 398: without this step half a cell is lost.
    """
    num_frames, height, width = heat_THW.shape
    padded = np.pad(heat_THW.astype(np.float64), ((0, 0), (1, 1), (1, 1)), constant_values=-np.inf)
    # The cell (row, column) is at (row + 1, column + 1) of the padded map, so its neighbours begin at (row, column).
    rows_T9 = cells_T2[:, :1] + np.repeat(np.arange(3), 3)
    columns_T9 = cells_T2[:, 1:] + np.tile(np.arange(3), 3)
    logits_T9 = padded[np.arange(num_frames)[:, None], rows_T9, columns_T9]
    weights_T9 = np.exp(logits_T9 - logits_T9.max(1, keepdims=True))
    weights_T9 /= weights_T9.sum(1, keepdims=True)
    # Cell 0 of 50 covers 0 to 1/50 of the width; its centre is at 0.5 / 50.
    x_T = (weights_T9 * (columns_T9 - 0.5)).sum(1) / width
    y_T = (weights_T9 * (rows_T9 - 0.5)).sum(1) / height
    return np.stack((x_T, y_T), axis=1)
