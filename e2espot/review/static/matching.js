// Which prediction hits which label, as the metric counts it. Pure: no page, no server.

/** First place in the rising `values` that is at least `value`. */
export function lowerBound(values, value) {
  let low = 0, high = values.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (values[middle] < value) low = middle + 1; else high = middle;
  }
  return low;
}

/**
 * Labels in order of time each take the most confident free prediction within half the tolerance,
 * the earlier of two equal ones.
 * @param labelFrames rising frames of one class's labels
 * @param frames rising frames of its predictions
 * @param scores their confidences
 * @param threshold predictions below it do not exist
 * @param tolerance frames, half of them to each side
 * @returns for each label the place of its prediction, -1 for none
 */
export function matchClass(labelFrames, frames, scores, threshold, tolerance) {
  const taken = new Uint8Array(frames.length);
  const partners = new Int32Array(labelFrames.length).fill(-1);
  for (let label = 0; label < labelFrames.length; label++) {
    const end = labelFrames[label] + tolerance / 2;
    let best = -1;
    for (let at = lowerBound(frames, labelFrames[label] - tolerance / 2); at < frames.length && frames[at] <= end; at++) {
      if (!taken[at] && scores[at] >= threshold && (best < 0 || scores[at] > scores[best])) best = at;
    }
    if (best >= 0) { taken[best] = 1; partners[label] = best; }
  }
  return partners;
}
