"""Where the ball is: the highest point of its heat map in each frame, more exactly than the map's cells.

Shapes: T frames, H rows and W columns of the map.
"""

from __future__ import annotations

import numpy as np


def peak_positions(heat_THW: np.ndarray) -> np.ndarray:
    """The highest point of each map, ``(T, 2)``: x and y as fractions of the picture's width and height.

    Args:
        heat_THW: Logits, or log probabilities.
    """
    cells_T = heat_THW.reshape(len(heat_THW), -1).argmax(1)
    return _refine(heat_THW, np.stack((cells_T // heat_THW.shape[2], cells_T % heat_THW.shape[2]), axis=1))


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
