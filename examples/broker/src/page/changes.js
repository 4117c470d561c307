// The log of what changed in the registry.

import { clock, element, foreign, plural, shortId } from "./text.js";

const MOST = 100;
const list = document.getElementById("change-list");
const empty = document.getElementById("change-empty");

/** How each kind of event is told, with the sign of its line. */
const KINDS = {
  joined: ({ returned }) => ["+", returned ? "came back" : "joined"],
  updated: () => ["~", "announced other settings, or restarted"],
  left: () => ["−", "left"],
  expired: () => ["−", "expired: it did not renew in time"],
  draining: ({ draining }) => (draining ? ["↓", "drains: it takes no new sessions"] : ["✓", "takes sessions again"]),
  banned: ({ until_unix_seconds: until }) => (until ? ["×", `was banned until ${clock(until)}`] : ["✓", "is banned no longer"]),
  "circuit-opened": () => ["!", "failed: its circuit opened, and it backs off"],
  "circuit-closed": () => ["✓", "works again: its circuit closed"],
  refused: ({ error }) => ["×", `was refused: ${error.message}`],
  "record-rejected": ({ reason }) => ["×", `sent a record that was rejected: ${reason}`],
};

/** Where relays were last seen, for events that no longer know. */
const endpoints = new Map();

export function rememberEndpoints(relays) {
  for (const { id, endpoint } of relays) endpoints.set(id, endpoint);
}

export function showChange(change) {
  if (change.kind === "missed") return add("…", [`${plural(change.events, "change")} came too fast and were not sent`]);
  const tell = KINDS[change.kind];
  if (!tell) return;
  const [sign, words] = tell(change);
  const endpoint = change.relay?.endpoint ?? endpoints.get(change.id);
  if (change.relay) endpoints.set(change.id, endpoint);
  const name = endpoint ? [foreign(endpoint), " ", shortId(change.id)] : ["relay ", shortId(change.id)];
  add(sign, [...name, " ", words], change.kind);
}

/** Something that the broker tells of its own events. */
export function showMissed({ count }) {
  add("…", [`${plural(count, "event")} came too fast and were not sent`]);
}

/** Changes while the page was disconnected are not known to it. */
export function showGap() {
  add("…", ["the page was disconnected: what changed meanwhile is missing here"]);
}

function add(sign, words, kind = "missed") {
  const time = element("time", { textContent: clock(Date.now() / 1e3) });
  const mark = element("span", { className: `sign ${kind}`, textContent: sign, ariaHidden: "true" });
  list.prepend(element("li", {}, time, mark, element("span", {}, ...words)));
  while (list.childElementCount > MOST) list.lastElementChild.remove();
  empty.hidden = true;
}
