// Talk with the server: read, change, and hear of changes made in other tabs.

export async function read(path) {
  const answer = await fetch(path);
  if (!answer.ok) throw new Error(await said(answer));
  return answer.json();
}

export async function readBytes(path) {
  const answer = await fetch(path);
  if (!answer.ok) throw new Error(await said(answer));
  return answer.arrayBuffer();
}

async function said(answer) {
  const text = await answer.text();
  try { return JSON.parse(text).error; } catch { return text || `the server answered ${answer.status}`; }
}

export class Refused extends Error {}

/** A tab's name survives reloading, so that its own changes can still be undone. */
function tabName() {
  const make = () => crypto.randomUUID?.() ?? String(Math.random()).slice(2);
  try {
    const kept = sessionStorage.getItem("e2espot-tab") ?? make();
    sessionStorage.setItem("e2espot-tab", kept);
    return kept;
  } catch { return make(); }
}

export class Changes {
  constructor(onChange, onState) {
    this.tab = tabName();
    this.onChange = onChange;
    this.onState = onState;
    this.away = false; // a decision is on its way and nobody answers
    this.count = 0;
    this.listen();
    // A browser opens few connections to one server: tabs nobody looks at let go of theirs.
    document.addEventListener("visibilitychange", () => this.listen());
  }

  listen() {
    if (document.hidden) { this.source?.close(); this.source = null; return; }
    if (this.source) return;
    this.source = new EventSource(`/api/changes/${this.tab}`);
    this.source.addEventListener("message", (event) => this.onChange(JSON.parse(event.data)));
    this.source.addEventListener("open", () => this.onChange({ opened: true }));
    this.source.addEventListener("error", () => this.onState("gone"));
  }

  /**
   * Ask for a change and wait until it is on the disk. While the server is away the change is kept and
   * sent again; its number makes sure that it counts once.
   */
  async ask(game, asked) {
    const body = JSON.stringify({ tab: this.tab, op: `${this.tab}-${Date.now()}-${this.count++}`, ...asked });
    try {
      for (;;) {
        let answer;
        try {
          answer = await fetch(`/api/games/${game}/change`, {
            method: "POST", body, headers: { "content-type": "application/json" },
          });
        } catch {
          this.away = true;
          this.onState("waiting");
          await new Promise((resolve) => setTimeout(resolve, 700));
          continue;
        }
        this.away = false;
        if (!answer.ok) throw new Refused(await said(answer));
        this.onState("saved");
        return await answer.json();
      }
    } finally { this.away = false; }
  }
}
