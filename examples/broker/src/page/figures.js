// The figures at the top.

import { STATES, SIGNS } from "./states.js";
import { count, element, rate } from "./text.js";

const at = (id) => document.getElementById(id);

export function showFigures({ relays, sessions, finds_per_second, refusals_per_second }) {
  const states = STATES.map((state) => [state, relays[state] ?? 0]);
  const total = states.reduce((sum, [, number]) => sum + number, 0);
  at("relay-count").textContent = count(total);
  at("state-words").textContent = total
    ? states.filter(([, number]) => number).map(([state, number]) => `${SIGNS[state]} ${count(number)} ${state}`).join("   ")
    : "No relay is registered.";
  at("state-bar").replaceChildren(...states.filter(([, number]) => number).map(part));
  at("sessions").textContent = count(sessions);
  at("finds").textContent = rate(finds_per_second);
  at("refusals").textContent = rate(refusals_per_second);
  at("refusals").classList.toggle("alarm", refusals_per_second > 0);
}

function part([state, number]) {
  const made = element("span", { className: `state ${state}` });
  made.style.flexGrow = number;
  return made;
}
