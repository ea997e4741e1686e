// The last half minute in lanes: the calls of each platform, the model's streams, and the turns with their states.

import { h } from "../dom.js";
import { PROBE_MODEL, openEntry } from "./entries.js";
import { shortName } from "./gauges.js";

const SECONDS = 30;
const ROW_PX = 14;
const MAX_ROWS = 6;
const LANES = [
  { name: "Telegram", kind: "calls", bars: (state) => callBars(state, "telegram") },
  { name: "Discord", kind: "calls", bars: (state) => callBars(state, "discord") },
  { name: "Model", kind: "requests", bars: (state) => requestBars(state) },
  { name: "Turns", kind: "turns", bars: (state) => turnBars(state) },
];
const STEPS = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1 };

export function timelineView(context) {
  const { state, now } = context;
  return h(
    "div",
    { class: "timeline" },
    LANES.map(({ name, kind, bars }) => {
      const open = (bar) => openEntry(bar.entry, kind, context);
      return lane(name, bars(state).filter((bar) => bar.end > now - SECONDS), now, open);
    }),
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

// The newest bar is in the order of the Tab key; arrow keys move to the others.
function lane(name, bars, now, open) {
  const rows = intoRows(bars);
  const newest = bars.reduce((latest, bar) => (latest && latest.start > bar.start ? latest : bar), null);
  return h(
    "div",
    { key: name, class: "lane" },
    h("h3", null, name),
    h(
      "div",
      {
        class: "bars",
        role: "group",
        "aria-label": `${name}: ${bars.length} in the last ${SECONDS} seconds`,
        style: { height: `${Math.max(1, rows.length) * ROW_PX}px` },
        onkeydown: moveFocus,
      },
      rows
        .flatMap((row, index) => row.map((bar) => ({ bar, index })))
        .sort((a, b) => a.bar.start - b.bar.start)
        .map(({ bar, index }) => button(bar, index, now, bar === newest, () => open(bar))),
    ),
  );
}

function button(bar, row, now, isNewest, open) {
  const left = Math.max(0, 1 - (now - bar.start) / SECONDS);
  const right = Math.min(1, 1 - (now - Math.min(bar.end, now)) / SECONDS);
  return h("button", {
    key: bar.key,
    type: "button",
    class: `bar ${bar.kind}`,
    tabindex: isNewest ? "0" : "-1",
    title: bar.text,
    "aria-label": bar.text,
    style: {
      left: `${(100 * left).toFixed(2)}%`,
      width: `${(100 * Math.max(0, right - left)).toFixed(2)}%`,
      top: `${row * ROW_PX + 2}px`,
      height: `${ROW_PX - 4}px`,
    },
    onclick: open,
  });
}

function moveFocus(event) {
  const step = STEPS[event.key];
  if (!step) return;
  event.preventDefault();
  const bars = [...event.currentTarget.children];
  bars[bars.indexOf(document.activeElement) + step]?.focus();
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
      entry: `call-${call.number}`,
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
      entry: `request-${one.number}`,
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
        entry: `turn-${turn.turn_id}`,
        start,
        // A gap shows where another process claims the turn again.
        end: (turn.states[index + 1]?.[1] ?? (turn.finished_at === null ? Infinity : start + 0.4)) - 0.06,
        kind: name,
        text: `Turn ${turn.turn_id}: ${name}, attempt ${attempt}`,
      })),
    );
}
