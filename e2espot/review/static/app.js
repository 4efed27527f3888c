// Starts the review page.
import { connectControls, makeActions } from "/static/controls.js";
import { listen } from "/static/keys.js";
import { Page } from "/static/page.js";
import { fetchJson } from "/static/server.js";

const page = new Page(await fetchJson("/api/session"));
Object.assign(globalThis, { e2espotReview: page }); // for tests and for the console
const actions = makeActions(page);
connectControls(page, actions);
listen(actions);
await page.open(0);
if (page.session.queue) {
  await page.loadQueue();
  await page.go(1);
}
document.documentElement.dataset.ready = "yes";
