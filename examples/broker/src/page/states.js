// The states of a relay, from those that are handed out to those that are not. A sign goes with each, beside its colour.

export const STATES = ["eligible", "full", "draining", "failing", "banned"];

export const SIGNS = { eligible: "✓", full: "■", draining: "↓", failing: "!", banned: "×" };

/** Whether a relay in this state is given to no one, however near and idle it is. */
export const isOut = (state) => ["draining", "failing", "banned"].includes(state);

/** The class of a utilisation, for colours. */
export function busy(utilisation) {
  if (utilisation < 0.5) return "busy-0";
  return utilisation < 0.85 ? "busy-1" : "busy-2";
}
