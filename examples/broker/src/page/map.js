// The map: relays by their network coordinates, and the pair of the decision that is shown.

import { Projection } from "./projection.js";
import { busy, isOut } from "./states.js";
import { count, percent, plural, set, shape } from "./text.js";

const drawing = document.getElementById("map");
const figure = document.getElementById("map-figure");
const empty = document.getElementById("map-empty");
const note = document.getElementById("map-note");

const MARGIN = 44;
/** Up to so many relays, each has its name beside it. */
const NAMED = 16;
const MAX_RADIUS = 20;
const MIN_RADIUS = 5;
const REFIT_MS = 30_000;

const layers = Object.fromEntries(["grid", "candidates", "path", "relays", "ends", "names"].map((name) => [name, shape("g", { class: name })]));
drawing.append(...Object.values(layers));

const projection = new Projection();
let fitted = { relays: 0, at: 0 };
let frame = null;
let relays = [];
let total = 0;
let decision = null;
const circles = new Map();

export function showRelaysOnMap(update) {
  relays = update.relays.filter((relay) => relay.coordinate);
  total = update.relays.length;
  draw();
}

export function showDecisionOnMap(shown) {
  decision = shown;
  draw();
}

function draw() {
  const hasRelays = relays.length > 0;
  figure.hidden = !hasRelays;
  empty.hidden = hasRelays;
  empty.textContent = total
    ? "No relay has a position yet. It gets one when peers send their views, by PUT /v1/peers/{id}: their network coordinate, and the round trips that they measured to relays."
    : "There is no relay to place.";
  if (!hasRelays) return;
  fit();
  const width = Math.max(280, drawing.clientWidth);
  const height = Math.round(Math.min(460, Math.max(280, 0.5 * width)));
  set(drawing, { viewBox: `0 0 ${width} ${height}`, height });
  const placed = relays.map((relay) => ({ relay, at: positionOf(relay.coordinate) }));
  const ends = endsOf(decision);
  const view = viewOf([...placed.map(({ at }) => at), ...ends.map(({ at }) => at)], width, height);
  drawGrid(view, width, height);
  drawRelays(placed, view);
  drawDecision(placed, ends, view);
  tell();
}

/** Turns the picture anew when other relays have positions, and now and then, as positions become better. */
function fit() {
  const now = Date.now();
  if (fitted.relays === relays.length && now - fitted.at < REFIT_MS) return;
  projection.fit(relays.map(({ coordinate }) => coordinate.position));
  fitted = { relays: relays.length, at: now };
  frame = null;
}

/** In milliseconds; coordinates are in microseconds. */
const positionOf = ({ position }) => projection.place(position).map((micros) => micros / 1e3);

function endsOf(shown) {
  const ends = [
    ["requester", shown?.requester_coordinate],
    ["target", shown?.target_coordinate],
  ];
  return ends.filter(([, coordinate]) => coordinate).map(([name, coordinate]) => ({ name, at: positionOf(coordinate) }));
}

/** From milliseconds to places in the drawing, with one scale for both axes. It stays while all points are inside. */
function viewOf(points, width, height) {
  const bounds = boundsOf(points);
  if (!frame || !isWithin(bounds, frame)) {
    const [x, y] = [bounds.right - bounds.left, bounds.bottom - bounds.top].map((length) => 0.06 * Math.max(length, 10));
    frame = { left: bounds.left - x, right: bounds.right + x, top: bounds.top - y, bottom: bounds.bottom + y };
  }
  const scale = Math.min((width - 2 * MARGIN) / (frame.right - frame.left), (height - 2 * MARGIN) / (frame.bottom - frame.top));
  const middle = [(frame.left + frame.right) / 2, (frame.top + frame.bottom) / 2];
  const centre = [width / 2, height / 2];
  return {
    scale,
    to: (at) => at.map((ms, axis) => centre[axis] + scale * (ms - middle[axis])),
    from: (px, axis) => middle[axis] + (px - centre[axis]) / scale,
  };
}

const boundsOf = (points) => ({
  left: Math.min(...points.map(([x]) => x)),
  right: Math.max(...points.map(([x]) => x)),
  top: Math.min(...points.map(([, y]) => y)),
  bottom: Math.max(...points.map(([, y]) => y)),
});

const isWithin = (inner, outer) =>
  inner.left >= outer.left && inner.right <= outer.right && inner.top >= outer.top && inner.bottom <= outer.bottom;

/** Lines at round numbers of milliseconds. The numbers count from the middle of all relays. */
function drawGrid({ from, to, scale }, width, height) {
  const step = niceStep(90 / scale);
  const made = [];
  [width, height].forEach((length, axis) => {
    for (let ms = Math.ceil(from(0, axis) / step) * step; ms <= from(length, axis); ms += step) {
      const px = to([ms, ms])[axis];
      made.push(shape("line", axis ? { x1: 0, x2: width, y1: px, y2: px } : { x1: px, x2: px, y1: 0, y2: height }));
      if (px < 36 || px > length - 24) continue;
      const label = ms === 0 ? "0 ms" : `${count(ms)}`;
      made.push(shape("text", axis ? { x: 6, y: px - 4 } : { x: px + 4, y: height - 6 }, label));
    }
  });
  layers.grid.replaceChildren(...made);
}

function niceStep(least) {
  const power = 10 ** Math.floor(Math.log10(least));
  return power * [1, 2, 5, 10].find((factor) => power * factor >= least);
}

function drawRelays(placed, view) {
  const largest = Math.max(...placed.map(({ relay }) => relay.capacity), 1);
  const reach = placed.length > 60 ? 0.65 * MAX_RADIUS : MAX_RADIUS;
  const gone = new Set(circles.keys());
  for (const { relay, at } of placed) {
    gone.delete(relay.id);
    const circle = circles.get(relay.id) ?? newCircle(relay.id);
    const [x, y] = view.to(at);
    const radius = Math.max(MIN_RADIUS, reach * Math.sqrt(relay.capacity / largest));
    const filled = radius * Math.sqrt(Math.min(1, relay.utilisation));
    set(circle.group, { transform: `translate(${x.toFixed(1)} ${y.toFixed(1)})` });
    set(circle.ring, { r: radius.toFixed(1), class: isOut(relay.state) ? "ring out" : "ring" });
    set(circle.disc, { r: filled.toFixed(1), class: `disc ${busy(relay.utilisation)}` });
    circle.group.classList.toggle("chosen", relay.id === decision?.relay);
    circle.title.textContent = `${relay.endpoint}: ${relay.state}, load ${count(relay.load)} of ${count(relay.capacity)} (${percent(relay.utilisation)})`;
  }
  for (const id of gone) {
    circles.get(id).group.remove();
    circles.delete(id);
  }
  layers.names.replaceChildren(...(placed.length <= NAMED ? placed.map(({ relay, at }) => nameOf(relay, view.to(at))) : []));
}

function newCircle(id) {
  const circle = { group: shape("g", { class: "relay" }), title: shape("title"), ring: shape("circle"), disc: shape("circle") };
  circle.group.append(circle.title, circle.ring, circle.disc);
  layers.relays.append(circle.group);
  circles.set(id, circle);
  return circle;
}

const nameOf = ({ endpoint }, [x, y]) => shape("text", { x, y: y + MAX_RADIUS + 12, class: "name" }, hostOf(endpoint));

const hostOf = (endpoint) => endpoint.replace(/:\d+$/, "");

function drawDecision(placed, ends, view) {
  const positions = new Map(placed.map(({ relay, at }) => [relay.id, view.to(at)]));
  const lines = (relay, attributes) =>
    ends.map(({ at }) => {
      const [[x1, y1], [x2, y2]] = [view.to(at), positions.get(relay)];
      return shape("line", { x1, y1, x2, y2, ...attributes });
    });
  const others = (decision?.compared ?? []).map(({ relay }) => relay).filter((relay) => relay !== decision.relay && positions.has(relay));
  layers.candidates.replaceChildren(...others.flatMap((relay) => lines(relay, {})));
  layers.path.replaceChildren(...(positions.has(decision?.relay) ? lines(decision.relay, { class: "path" }) : []));
  layers.ends.replaceChildren(...ends.flatMap((end) => drawEnd(end, view)));
}

function drawEnd({ name, at }, view) {
  const [x, y] = view.to(at);
  const outline = name === "requester" ? "M0-8 8 6H-8Z" : "M-7-7H7V7H-7Z";
  return [
    shape("path", { class: "end", d: outline, transform: `translate(${x} ${y})` }),
    shape("text", { class: "name", x, y: y - 13 }, name),
  ];
}

function tell() {
  const parts = ["The numbers are milliseconds from the middle of all relays."];
  if (projection.share < 0.995) {
    parts.push(`Positions have eight axes; the two directions of this picture show ${percent(projection.share)} of the spread.`);
  }
  parts.push("The access link of a node comes on top.");
  const missing = total - relays.length;
  if (decision?.relay && !circles.has(decision.relay)) parts.push("The relay of the decision that is shown is not among them.");
  if (missing) parts.push(`${plural(missing, "relay has", "relays have")} no position yet.`);
  if (decision && !endsOf(decision).length) parts.push("The peers of the decision that is shown sent no coordinate, so only its relay is marked.");
  note.textContent = parts.join(" ");
}

new ResizeObserver(draw).observe(figure);
