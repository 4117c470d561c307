// Elements and numbers. All text goes in by textContent: ids, endpoints and labels come from relays.

const SVG = "http://www.w3.org/2000/svg";

/** An element with properties, such as className and textContent, and children: elements or text. */
export function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

/** An element of a drawing with attributes. */
export function shape(tag, attributes = {}, text = "") {
  const made = document.createElementNS(SVG, tag);
  set(made, attributes);
  made.textContent = text;
  return made;
}

export function set(target, attributes) {
  for (const [name, value] of Object.entries(attributes)) target.setAttribute(name, value);
}

/** Text from a relay, whose direction of writing stays its own. */
export const foreign = (text, properties = {}) => element("bdi", { ...properties, textContent: text });

/** The first digits of an id, and all of it for who points at it. */
export const shortId = (id) => foreign(shortened(id), { className: "id", title: id });

export const shortened = (id) => (id.length > 10 ? `${id.slice(0, 8)}…` : id);

export const count = (number) => Math.round(number).toLocaleString("en");

/** A rate, with a digit behind the point where that matters. */
export const rate = (number) =>
  number > 0 && number < 10 ? number.toFixed(1) : count(number);

export const percent = (share) => `${Math.round(100 * share)} %`;

export function milliseconds(seconds) {
  if (seconds === null || seconds === undefined) return "not known";
  const ms = 1e3 * seconds;
  return `${ms < 10 ? ms.toFixed(1) : count(ms)} ms`;
}

/** The time of day. */
export const clock = (unixSeconds) =>
  new Date(1e3 * unixSeconds).toLocaleTimeString("en-GB");

/** "1 relay", "2 relays". */
export const plural = (number, one, many = `${one}s`) =>
  `${count(number)} ${number === 1 ? one : many}`;
