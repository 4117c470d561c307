// The table of relays. Rows are kept and changed in place, so that a row does not move under the pointer.

import { SIGNS, busy } from "./states.js";
import { count, element, foreign, milliseconds, percent, plural, shortId } from "./text.js";

const body = document.getElementById("relay-rows");
const filter = document.getElementById("relay-filter");
const note = document.getElementById("relay-note");
const empty = document.getElementById("relay-empty");
const heads = [...document.querySelectorAll("#relay-table th")];

const rows = new Map();
let shown = { total: 0, relays: [] };
let order = { by: "endpoint", up: true };

export function showRelays(update) {
  shown = update;
  render();
}

/** Marks the relays of the decision that is shown. */
export function markRelays(chosen) {
  for (const [id, row] of rows) row.line.classList.toggle("chosen", id === chosen);
}

function render() {
  const wanted = filter.value.trim().toLowerCase();
  const relays = shown.relays.filter((relay) => !wanted || words(relay).includes(wanted)).sort(compare);
  const gone = new Set(rows.keys());
  relays.forEach((relay, place) => {
    const row = rows.get(relay.id) ?? newRow(relay.id);
    gone.delete(relay.id);
    fill(row, relay);
    if (body.children[place] !== row.line) body.insertBefore(row.line, body.children[place] ?? null);
  });
  for (const id of gone) {
    rows.get(id).line.remove();
    rows.delete(id);
  }
  tell(relays.length, wanted);
}

function tell(matching, wanted) {
  const { total, relays } = shown;
  const parts = wanted ? [`${count(matching)} of ${plural(relays.length, "relay")} match`] : [];
  if (total > relays.length) parts.push(`the broker sends ${count(relays.length)} of its ${count(total)} relays to this page`);
  note.textContent = parts.join("; ");
  empty.hidden = matching > 0;
  empty.textContent = total
    ? "No relay matches."
    : "No relay is registered. A relay registers by PUT /v1/relays/{id} with its token, and again before its time is over.";
}

const words = ({ id, endpoint, labels, state }) => [endpoint, id, state, ...labels].join(" ").toLowerCase();

function compare(one, other) {
  const { by, up } = order;
  const [a, b] = [one[by] ?? Infinity, other[by] ?? Infinity];
  const first = typeof a === "string" ? a.localeCompare(b, "en", { numeric: true }) : a - b || 0;
  return (up ? first : -first) || (one.id < other.id ? -1 : 1);
}

function newRow(id) {
  const cell = (properties) => element("td", properties);
  const row = {
    name: element("th", { scope: "row" }),
    state: cell(),
    load: cell({ className: "load" }),
    rtt: cell({ className: "right" }),
    circuit: cell(),
    tier: cell({ className: "right" }),
    labels: cell(),
    fill: element("span"),
    figures: element("span", { className: "load-figures" }),
    before: {},
  };
  row.load.append(element("span", { className: "bar", ariaHidden: "true" }, row.fill), row.figures);
  row.line = element("tr", {}, row.name, row.state, row.load, row.rtt, row.circuit, row.tier, row.labels);
  row.line.dataset.id = id;
  rows.set(id, row);
  return row;
}

function fill(row, relay) {
  const changed = (name, value, write) => {
    if (row.before[name] === value) return;
    row.before[name] = value;
    write();
  };
  changed("endpoint", relay.endpoint, () => row.name.replaceChildren(foreign(relay.endpoint), " ", shortId(relay.id)));
  changed("state", relay.state, () => {
    const sign = element("span", { textContent: SIGNS[relay.state] ?? "?", ariaHidden: "true" });
    row.state.replaceChildren(element("span", { className: `badge ${relay.state}` }, sign, ` ${relay.state}`));
  });
  changed("load", `${relay.load} ${relay.capacity}`, () => fillLoad(row, relay));
  row.rtt.textContent = milliseconds(relay.rtt_seconds);
  row.circuit.textContent = relay.circuit;
  row.circuit.className = relay.circuit === "closed" ? "" : "warn";
  row.tier.textContent = relay.tier;
  changed("labels", JSON.stringify(relay.labels), () => {
    row.labels.replaceChildren(...relay.labels.flatMap((label) => [foreign(label, { className: "label" }), " "]));
  });
}

function fillLoad({ fill: part, figures }, { load, capacity, utilisation }) {
  part.style.width = `${Math.min(100, 100 * utilisation)}%`;
  part.className = `fill ${busy(utilisation)}`;
  figures.textContent = `${count(load)} of ${count(capacity)}, ${percent(utilisation)}`;
}

function sortBy(by) {
  order = { by, up: order.by === by ? !order.up : by !== "utilisation" };
  for (const head of heads) {
    if (head.querySelector("button")?.dataset.sort === by) head.ariaSort = order.up ? "ascending" : "descending";
    else head.ariaSort = null;
  }
  render();
}

for (const head of heads) {
  const button = head.querySelector("button");
  button?.addEventListener("click", () => sortBy(button.dataset.sort));
}
filter.addEventListener("input", render);
