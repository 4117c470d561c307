// The page: what the broker sends goes to the parts that show it.

import { rememberEndpoints, showChange, showGap, showMissed } from "./changes.js";
import { resetDecisions, showDecision, whenShown } from "./decisions.js";
import { showFigures } from "./figures.js";
import { showDecisionOnMap, showRelaysOnMap } from "./map.js";
import { markRelays, showRelays } from "./relays.js";
import { follow } from "./stream.js";
import { clock } from "./text.js";

const connection = document.getElementById("connection");
let chosen = null;

function showAllRelays(update) {
  rememberEndpoints(update.relays);
  showRelays(update);
  showRelaysOnMap(update);
  markRelays(chosen);
}

/** What the broker knows now. Events tell what comes after. */
async function begin() {
  const response = await fetch("api/state");
  if (!response.ok) return;
  const { relays, total, figures, decisions } = await response.json();
  showAllRelays({ relays, total: total ?? relays.length });
  if (figures) showFigures(figures);
  resetDecisions(decisions);
}

let lostAt = null;

function showConnection(isConnected) {
  document.body.classList.toggle("disconnected", !isConnected);
  if (isConnected) {
    if (lostAt) showGap();
    lostAt = null;
    connection.textContent = "Live";
    begin().catch(() => {}); // The stream reports the loss, and begins again.
    return;
  }
  lostAt ??= Date.now() / 1e3;
  connection.textContent = `Disconnected since ${clock(lostAt)}. Trying again. The figures are from then.`;
}

whenShown((decision) => {
  chosen = decision?.relay ?? null;
  markRelays(chosen);
  showDecisionOnMap(decision);
});

follow(
  "events",
  { relays: showAllRelays, figures: showFigures, change: showChange, decision: showDecision, missed: showMissed },
  showConnection,
);
