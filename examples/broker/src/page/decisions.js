// Decisions: the list of the latest ones, and one of them in full.

import { clock, count, element, foreign, milliseconds, percent, plural, shortId } from "./text.js";

const MOST = 25;
/** How often the list and the decision that is shown may change: a reader needs some time. */
const PACE_MS = 1_500;

const list = document.getElementById("decision-list");
const note = document.getElementById("decision-note");
const shownIn = document.getElementById("decision");

let decisions = [];
let lines = [];
let kept = null;
let shown = null;
let isDue = false;
let onShown = () => {};

/** Calls with each decision that is shown from now on; null if there is none. */
export function whenShown(call) {
  onShown = call;
}

/** Begins anew with these, oldest first. The one that was kept stays. */
export function resetDecisions(latest) {
  decisions = [];
  latest.forEach(add);
  update();
}

export function showDecision(decision) {
  add(decision);
  if (isDue) return;
  isDue = true;
  setTimeout(update, shown ? PACE_MS : 0);
}

/** A broker that was started again counts from the beginning. */
const isSame = (one, other) => one.number === other.number && one.at_unix_seconds === other.at_unix_seconds;

function add(decision) {
  if (decisions.some((known) => isSame(known, decision))) return;
  decisions.unshift(decision);
  decisions.length = Math.min(decisions.length, MOST);
}

function update() {
  isDue = false;
  // Nothing moves away under the pointer, or from under who goes through the list by keys.
  if (list.matches(":hover") || list.querySelector(":focus-visible")) return;
  showList();
  if (kept === null) show(decisions[0] ?? null);
  else tell();
}

function showList() {
  lines = decisions.map((decision) => ({ decision, button: line(decision) }));
  list.replaceChildren(...lines.map(({ button }) => element("li", {}, button)));
  mark();
}

function line(decision) {
  const via = decision.relay ? [" via ", foreign(nameOf(decision))] : [" no relay"];
  const pair = element("span", { className: "pair" }, shortId(decision.requester), " → ", shortId(decision.target));
  const answer = element("span", { className: decision.relay ? "answer" : "answer none" }, ...via);
  const path = element("span", { className: "path-time", textContent: decision.relay ? milliseconds(chosen(decision)?.path_seconds) : "" });
  const button = element("button", { type: "button" }, element("time", { textContent: clock(decision.at_unix_seconds) }), pair, answer, path);
  button.addEventListener("click", () => keep(decision));
  return button;
}

function keep(decision) {
  kept = decision;
  show(decision);
}

function follow() {
  kept = null;
  showList();
  show(decisions[0] ?? null);
}

function mark() {
  for (const { decision, button } of lines) {
    const isShown = shown !== null && isSame(decision, shown);
    button.ariaPressed = String(isShown && kept !== null);
    button.classList.toggle("shown", isShown);
  }
}

function tell() {
  note.textContent = decisions.length
    ? kept
      ? "The decision that you clicked is kept. New ones come in here."
      : ""
    : "No pair has asked for a relay yet. A peer asks by a WebSocket: GET /v1/sessions?requester=A&target=B.";
}

function show(decision) {
  tell();
  if (shown === decision && shownIn.hasChildNodes()) return mark();
  shown = decision;
  shownIn.hidden = !decision;
  if (decision) shownIn.replaceChildren(...inFull(decision));
  mark();
  onShown(decision);
}

const chosen = ({ relay, compared }) => compared.find((row) => row.relay === relay);

/** Where the relay of a decision listens, if it is known, else its id. */
const nameOf = (decision) => chosen(decision)?.endpoint ?? decision.relay;

function inFull(decision) {
  const more = element("div", { className: "more" });
  const ask = element("button", { type: "button", textContent: "Compare all relays now" });
  ask.addEventListener("click", () => compareAll(decision, more, ask));
  const buttons = element("p", { className: "tools" }, ask);
  if (kept) {
    const release = element("button", { type: "button", textContent: "Follow the newest" });
    release.addEventListener("click", follow);
    buttons.append(release);
  }
  const asked = asks(decision);
  return [
    element("h3", {}, "From ", shortId(decision.requester), " to ", shortId(decision.target), ` at ${clock(decision.at_unix_seconds)}`),
    answer(decision),
    ...(asked ? [element("p", { className: "note", textContent: asked })] : []),
    ...(decision.compared.length ? [comparison(decision.compared, "The best relays, compared")] : []),
    rejected(decision),
    buttons,
    more,
  ];
}

function answer(decision) {
  if (!decision.relay) {
    return element("p", { className: "answer none", textContent: decision.error?.message ?? "No relay was eligible." });
  }
  const row = chosen(decision);
  const words = element("p", { className: "answer" }, element("strong", {}, foreign(nameOf(decision))), " ", shortId(decision.relay));
  if (!row) return words;
  words.append(`: expected round trip ${milliseconds(row.path_seconds)}`);
  const next = decision.compared.find(({ verdict }) => verdict === "worse");
  words.append(`. ${whyBetter(row, next)}`);
  return words;
}

function whyBetter(row, next) {
  if (row.verdict === "last-resort") return "It failed lately, but so did all others: it is a last resort.";
  if (!next) return "No other relay was eligible.";
  if (row.score_seconds === null || next.score_seconds === null) return "";
  const more = next.score_seconds / row.score_seconds - 1;
  return more < 0.005 ? "The next best scores as well." : `The next best is ${percent(more)} worse by score.`;
}

function asks({ require, avoid, family }) {
  const parts = [];
  if (require?.length) parts.push(`relays with ${require.join(" and ")}`);
  if (avoid?.length) parts.push(`without ${avoid.join(" or ")}`);
  if (family) parts.push(`reachable over ${family === "ipv6" ? "IPv6" : "IPv4"}`);
  return parts.length ? `The peer asked for ${parts.join(", ")}.` : "";
}

const REASONS = {
  departed: "left",
  full: "full",
  draining: "draining",
  backing_off: "failed lately",
  banned: "banned",
  excluded: "excluded, as the peer itself or a relay that it tried",
  labels: "with other labels",
  family: "of the other address family",
  too_far: "too far",
  unmeasured: "not measured",
  tier: "of a higher tier, held back for need",
};

function rejected({ rejected = {}, eligible, relays }) {
  const reasons = Object.entries(rejected).filter(([, number]) => number);
  const words = reasons.map(([reason, number]) => `${count(number)} ${REASONS[reason] ?? reason}`);
  const all = relays === undefined ? "" : `${count(eligible)} of ${plural(relays, "relay")} ${eligible === 1 ? "was" : "were"} eligible. `;
  return element("p", { className: "note", textContent: all + (words.length ? `Left out: ${words.join(", ")}.` : "None was left out.") });
}

/** How many times as long as the best score the longest bar is at most. */
const LONGEST_BAR = 3;

/** The parts of each score as a bar and in figures. */
function comparison(rows, caption) {
  const longest = Math.max(...rows.map((row) => row.score_seconds ?? row.path_seconds));
  // One relay that is nearly full must not make the bars of all others too short to compare.
  const most = Math.min(longest, LONGEST_BAR * (rows[0].score_seconds ?? longest));
  const head = ["Relay", "Score", "To requester", "To target", "Load", "Factor", "Verdict"];
  const table = element("table", { className: "comparison", ariaLabel: caption });
  table.append(
    element("thead", {}, element("tr", {}, ...head.map((name) => element("th", { scope: "col", textContent: name })))),
    element("tbody", {}, ...rows.map((row) => compared(row, most))),
  );
  return element(
    "div",
    {},
    element("p", {
      className: "note",
      textContent: `${caption}. The score is the round trip over both legs, times a factor for load and cost. Less is better.`,
    }),
    element("div", { className: "scroll", tabIndex: 0, role: "region", ariaLabel: caption }, table),
    key(),
  );
}

function compared(row, most) {
  const { verdict, penalty, score_seconds: score } = row;
  const cell = (textContent, className = "right") => element("td", { textContent, className });
  const line = element(
    "tr",
    { className: ["chosen", "kept", "last-resort"].includes(verdict) ? "chosen" : "" },
    element("th", { scope: "row" }, foreign(row.endpoint, { title: row.relay })),
    element("td", {}, bar(row, most), element("span", { textContent: score === null ? "full" : milliseconds(score) })),
    leg(row.requester_leg_seconds, row.requester_leg_source),
    leg(row.target_leg_seconds, row.target_leg_source),
    cell(percent(row.utilisation)),
    cell(penalty === null ? "–" : `× ${penalty.toFixed(2)}`),
    cell(VERDICTS[verdict] ?? verdict, ""),
  );
  return line;
}

const VERDICTS = {
  "last-resort": "last resort",
  "backing-off": "failed lately",
  "too-far": "too far",
  labels: "other labels",
  family: "other address family",
  tier: "higher tier",
};

const leg = (seconds, source) =>
  element("td", { className: "right" }, milliseconds(seconds), element("span", { className: "source", textContent: source }));

/** The two legs, and what load and cost add to them. */
function bar(row, most) {
  const made = element("span", { className: "bar score", ariaHidden: "true" });
  const parts = [
    ["leg-a", row.requester_leg_seconds],
    ["leg-b", row.target_leg_seconds],
    ["added", Math.max(0, (row.score_seconds ?? 0) - row.path_seconds)],
  ];
  for (const [className, seconds] of parts) {
    const part = element("span", { className });
    part.style.width = `${most ? (100 * seconds) / most : 0}%`;
    made.append(part);
  }
  return made;
}

const key = () =>
  element(
    "p",
    { className: "note key-line" },
    ...[
      ["leg-a", "to requester"],
      ["leg-b", "to target"],
      ["added", "added for load and cost"],
    ].flatMap(([className, words]) => [element("span", { className: `swatch ${className}` }), ` ${words}  `]),
    "Published: measured by the peer. Estimated: from coordinates. Assumed: nothing is known.",
  );

/** Asks the broker how it would decide now, among all relays. */
async function compareAll({ requester, target, require, avoid, family }, into, button) {
  button.disabled = true;
  const query = new URLSearchParams({ requester, target });
  if (require?.length) query.set("require", require.join(","));
  if (avoid?.length) query.set("avoid", avoid.join(","));
  if (family) query.set("family", family);
  try {
    const response = await fetch(`api/explain?${query}`);
    const answer = await response.json();
    if (!response.ok) throw new Error(answer.error?.message ?? response.statusText);
    into.replaceChildren(...explained(answer));
  } catch (error) {
    into.replaceChildren(element("p", { className: "answer none", textContent: `The broker does not answer: ${error.message}` }));
  }
  button.disabled = false;
}

/** A long table helps no one: the best are shown. */
const MOST_EXPLAINED = 100;

function explained({ relays, eligible, rejections }) {
  const rows = relays.slice(0, MOST_EXPLAINED);
  const caption = rows.length < relays.length ? `The first ${rows.length} of ${count(relays.length)} relays, as of ${clock(Date.now() / 1e3)}` : `All relays, as of ${clock(Date.now() / 1e3)}`;
  return [comparison(rows, caption), rejected({ rejected: rejections, eligible, relays: relays.length })];
}

list.addEventListener("mouseleave", update);
list.addEventListener("focusout", () => setTimeout(update));
tell();
