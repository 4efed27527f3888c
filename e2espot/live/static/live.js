// The newest events on top, asked for once a second.

/**
 * @typedef {{
 *   stream_time: string, match_time: string | null, label: string, team: string, confidence: number
 * }} LiveEvent
 * @typedef {{ counts: Record<string, number>, events: LiveEvent[] }} Content
 */

const INTERVAL_MS = 1000;

/** @param {string} id */
function byId(id) {
  const element = document.getElementById(id);
  if (element === null) throw new Error(`no element ${id}`);
  return element;
}

/** @param {LiveEvent} event */
function row(event) {
  const line = document.createElement("tr");
  const texts = [event.stream_time, event.match_time ?? "", event.label, event.team, event.confidence.toFixed(3)];
  for (const text of texts) line.append(Object.assign(document.createElement("td"), { textContent: text }));
  return line;
}

async function refresh() {
  const counts = byId("counts");
  try {
    const response = await fetch("/api/live");
    /** @type {Content} */
    const content = await response.json();
    const parts = Object.entries(content.counts).map(([label, count]) => `${count} ${label}`);
    counts.textContent = parts.join(", ") || "no events yet";
    byId("events").replaceChildren(...content.events.reverse().map(row));
  } catch {
    counts.textContent = "the stream is over, or the program was stopped";
  }
  setTimeout(refresh, INTERVAL_MS);
}

void refresh();
