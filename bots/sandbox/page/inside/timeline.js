// The last half minute in lanes: the calls of each platform, the model's streams, and the turns with their states.

import { h } from "../dom.js";
import { PROBE_MODEL } from "./entries.js";
import { shortName } from "./gauges.js";

const SECONDS = 30;
const WIDTH = 1000;
const LABEL_WIDTH = 0;
const ROW = 14;
const MAX_ROWS = 6;
const LANES = [
  { name: "Telegram", bars: (state) => callBars(state, "telegram") },
  { name: "Discord", bars: (state) => callBars(state, "discord") },
  { name: "Model", bars: (state) => requestBars(state) },
  { name: "Turns", bars: (state) => turnBars(state) },
];

export function timelineView({ state, now }) {
  return h(
    "div",
    { class: "timeline" },
    LANES.map(({ name, bars }) => lane(name, bars(state).filter((bar) => bar.end > now - SECONDS), now)),
    h(
      "div",
      { class: "timeline-scale", "aria-hidden": "true" },
      [30, 20, 10, 0].map((seconds) => h("span", null, seconds ? `${seconds} s ago` : "now")),
    ),
    h(
      "p",
      { class: "legend" },
      ["queued", "running", "delivering", "done", "failed"].map((name) => h("span", { class: `key ${name}` }, name)),
    ),
  );
}

function lane(name, bars, now) {
  const rows = intoRows(bars);
  const height = Math.max(1, rows.length) * ROW;
  return h(
    "div",
    { key: name, class: "lane" },
    h("h3", null, name),
    h(
      "svg",
      { viewBox: `${LABEL_WIDTH} 0 ${WIDTH} ${height}`, height: String(height), preserveAspectRatio: "none", role: "img",
        "aria-label": `${name}: ${bars.length} in the last ${SECONDS} seconds` },
      rows.flatMap((row, index) => row.map((bar) => rectangle(bar, index, now))),
    ),
  );
}

function rectangle(bar, row, now) {
  const x = Math.max(0, WIDTH * (1 - (now - bar.start) / SECONDS));
  const end = Math.min(WIDTH, WIDTH * (1 - (now - Math.min(bar.end, now)) / SECONDS));
  return h(
    "rect",
    { key: bar.key, class: bar.kind, x: x.toFixed(1), y: String(row * ROW + 2), rx: "2",
      width: Math.max(4, end - x).toFixed(1), height: String(ROW - 4) },
    h("title", null, bar.text),
  );
}

// Bars that overlap go into rows of their own; what does not fit shares the last row.
function intoRows(bars) {
  const rows = [];
  for (const bar of [...bars].sort((a, b) => a.start - b.start)) {
    const row = rows.find((one) => one.at(-1).end <= bar.start);
    if (row) row.push(bar);
    else if (rows.length < MAX_ROWS) rows.push([bar]);
    else rows.at(-1).push(bar);
  }
  return rows;
}

function callBars(state, platform) {
  return state.inside.calls
    .slice(-400)
    .filter((call) => call.platform === platform)
    .map((call) => ({
      key: call.key,
      start: call.started_at,
      end: call.started_at + Math.max(0.08, call.seconds),
      kind: call.status >= 400 || call.status === 0 ? "failed" : isPreview(call) ? "preview" : "done",
      text: `${call.method}: ${call.status || "connection lost"}, ${Math.round(1000 * call.seconds)} ms`,
    }));
}

function isPreview(call) {
  return /draft|typing|chataction/i.test(call.method) || call.method.startsWith("PATCH");
}

function requestBars(state) {
  return Object.values(state.inside.requests)
    .slice(-80)
    .map((one) => ({
      key: one.key,
      start: one.started_at,
      end: one.ended_at ?? Infinity,
      kind: one.model === PROBE_MODEL ? "preview" : { streaming: "running", done: "done", failed: "failed", aborted: "stopped" }[one.state],
      text: `${shortName(one.model)}: ${one.state}, ${one.completion_tokens} tokens`,
    }));
}

function turnBars(state) {
  return Object.values(state.inside.turns)
    .slice(-60)
    .flatMap((turn) =>
      turn.states.map(([name, start, attempt], index) => ({
        key: `${turn.key}-${index}`,
        start,
        // A gap shows where another process claims the turn again.
        end: (turn.states[index + 1]?.[1] ?? (turn.finished_at === null ? Infinity : start + 0.4)) - 0.06,
        kind: name,
        text: `Turn ${turn.turn_id}: ${name}, attempt ${attempt}`,
      })),
    );
}
