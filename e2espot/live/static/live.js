// The newest events on top, asked for once a second.

const INTERVAL_MS = 1000;

function row(event) {
  const line = document.createElement("tr");
  const texts = [event.stream_time, event.match_time ?? "", event.label, event.team, event.confidence.toFixed(3)];
  for (const text of texts) line.append(Object.assign(document.createElement("td"), { textContent: text }));
  return line;
}

async function refresh() {
  const counts = document.getElementById("counts");
  try {
    const content = await (await fetch("/api/live")).json();
    const parts = Object.entries(content.counts).map(([label, count]) => `${count} ${label}`);
    counts.textContent = parts.join(", ") || "no events yet";
    document.getElementById("events").replaceChildren(...content.events.reverse().map(row));
  } catch {
    counts.textContent = "the stream is over, or the program was stopped";
  }
  setTimeout(refresh, INTERVAL_MS);
}

refresh();
