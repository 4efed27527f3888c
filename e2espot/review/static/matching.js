// Which prediction matches which label, as the metric counts it. Pure functions.

/**
 * Index of the first value in an ascending list that is at least `value`.
 * @param {ArrayLike<number>} values
 * @param {number} value
 */
export function lowerBound(values, value) {
  let low = 0;
  let high = values.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (values[middle] < value) low = middle + 1;
    else high = middle;
  }
  return low;
}

/**
 * Match the labels of one class with its predictions. In order of time, each label takes the most confident
 * prediction within half the tolerance that is still free; of two equal ones the earlier.
 * @param {Int32Array} labelFrames ascending frames of the labels
 * @param {Int32Array} frames ascending frames of the predictions
 * @param {Float64Array} scores confidences of the predictions
 * @param {number} threshold predictions with a lower score are ignored
 * @param {number} tolerance width of the window around a label in frames
 * @returns {Int32Array} for each label the index of its prediction, or -1
 */
export function matchClass(labelFrames, frames, scores, threshold, tolerance) {
  const taken = new Uint8Array(frames.length);
  const partners = new Int32Array(labelFrames.length).fill(-1);
  for (let label = 0; label < labelFrames.length; label++) {
    const start = lowerBound(frames, labelFrames[label] - tolerance / 2);
    const end = labelFrames[label] + tolerance / 2;
    let best = -1;
    for (let index = start; index < frames.length && frames[index] <= end; index++) {
      const eligible = !taken[index] && scores[index] >= threshold;
      if (eligible && (best < 0 || scores[index] > scores[best])) best = index;
    }
    if (best >= 0) {
      taken[best] = 1;
      partners[label] = best;
    }
  }
  return partners;
}
