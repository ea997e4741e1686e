// Every call, request to the model, turn and log line, newest first. Each opens to its details.

import { h } from "../dom.js";
import { place, shortName } from "./gauges.js";

const MAX_SHOWN = 80;
// A model that does not exist: at its start, the bot asks for it to see what the service's errors look like.
export const PROBE_MODEL = "no/model";
const ENDPOINTS = { chat: "", embeddings: "Embeddings: ", speech: "Transcription: " };
const FILTERS = { all: "All", calls: "Platforms", requests: "Model", turns: "Turns", logs: "Log" };

const KINDS = {
  calls: { all: (inside) => inside.calls, time: (one) => one.started_at, key: (one) => `call-${one.number}`, draw: callEntry },
  requests: {
    all: (inside) => Object.values(inside.requests), time: (one) => one.started_at, key: (one) => `request-${one.number}`,
    draw: requestEntry,
  },
  turns: { all: (inside) => Object.values(inside.turns), time: (one) => one.created_at, key: (one) => `turn-${one.turn_id}`, draw: turnEntry },
  logs: { all: (inside) => inside.logs, time: (one) => one.time, key: (one) => `log-${one.number}`, draw: logEntry },
};

export function entriesView({ state, ui, setUi }) {
  const filter = ui.inside.filter ?? "all";
  const entries = collect(state, filter, ui.inside.opened);
  return h(
    "div",
    { class: "entries" },
    h(
      "div",
      { class: "controls", role: "group", "aria-label": "Show" },
      Object.entries(FILTERS).map(([name, label]) =>
        h(
          "button",
          { type: "button", "aria-pressed": String(filter === name), onclick: () => setUi("inside", { filter: name }) },
          label,
        ),
      ),
    ),
    entries.length ? null : h("p", { class: "empty" }, "Nothing yet. Write to the bot on the left."),
    h("ol", { class: "entry-list", "aria-label": "Entries" }, entries.map(({ draw }) => draw())),
  );
}

// Opens an entry of the list, and moves the focus there. `kind` is one of KINDS.
export function openEntry(key, kind, { ui, setUi }) {
  const filter = ["all", kind].includes(ui.inside.filter) ? ui.inside.filter : "all";
  setUi("inside", { filter, opened: key });
  // The page is drawn again first: the entry may not be in the list yet.
  queueMicrotask(() => {
    const details = document.querySelector(`#entry-${key} > details`);
    if (!details) return;
    details.closest(".section").open = true;
    details.open = true;
    details.scrollIntoView({ block: "nearest" });
    details.querySelector("summary").focus();
  });
}

// The newest entries as `{time, key, draw}`, and the one that was opened from the timeline however old it is.
function collect(state, filter, opened) {
  const kinds = filter === "all" ? Object.values(KINDS) : [KINDS[filter]];
  const entries = kinds
    .flatMap(({ all, time, key, draw }) =>
      all(state.inside)
        .filter((one, index, { length }) => index >= length - MAX_SHOWN || key(one) === opened)
        .map((one) => ({ time: time(one), key: key(one), draw: () => draw(one, state) })),
    )
    .sort((a, b) => b.time - a.time);
  return entries.filter((one, index) => index < MAX_SHOWN || one.key === opened);
}

function entry(key, kind, time, title, note, details) {
  return h(
    "li",
    { key, id: `entry-${key}`, class: `entry entry-${kind}` },
    h(
      "details",
      null,
      h(
        "summary",
        null,
        h("time", null, new Date(1000 * time).toLocaleTimeString("en-GB")),
        h("span", { class: "entry-title" }, title),
        h("span", { class: "entry-note" }, note),
      ),
      details,
    ),
  );
}

function json(label, value) {
  if (value === null || value === undefined || value === "") return null;
  const text = typeof value === "string" ? value : JSON.stringify(value, null, 2);
  return h("div", { class: "json" }, h("h4", null, label), h("pre", { tabindex: "0", "aria-label": label }, text));
}

function callEntry(call, state) {
  const isBad = call.status === 0 || call.status >= 400;
  const cost = call.cost.map((one) => `${one.budget} ${Math.ceil(one.used)}/${one.limit}`).join(", ");
  const result = call.status === 0 ? "connection lost" : call.status;
  const where = call.target ? `, ${place(state, { platform: call.platform, scope: call.target })}` : "";
  const wait = call.wait ? `, wait ${Math.ceil(call.wait)} s` : "";
  return entry(
    `call-${call.number}`,
    `${call.platform} ${isBad ? "bad" : ""}`,
    call.started_at,
    shortMethod(call.method),
    `${result}${wait}${cost ? ` · ${cost}` : ""}`,
    [
      h("p", { class: "muted" }, `${call.method}${where}, ${Math.round(1000 * call.seconds)} ms`),
      json("Request", call.request),
      json("Response", call.response),
    ],
  );
}

function shortMethod(method) {
  const [verb, path] = method.split(" ");
  return path ? `${verb} ${path.replace(/\/\d{5,}/g, "/…").replace(/^\/channels\/…/, "")}` : method;
}

function requestEntry(one) {
  const tokens = `${one.prompt_tokens} + ${one.completion_tokens} tokens`;
  const first = one.first_piece_at ? `, first after ${Math.round(1000 * (one.first_piece_at - one.started_at))} ms` : "";
  return entry(
    `request-${one.number}`,
    `model ${one.state === "failed" && one.model !== PROBE_MODEL ? "bad" : ""}`,
    one.started_at,
    one.model === PROBE_MODEL ? "The bot checks the service" : `${ENDPOINTS[one.endpoint]}${shortName(one.model)}`,
    one.state === "failed" ? `failed: ${one.status}` : `${one.state}, ${tokens}${first}`,
    [json(one.state === "streaming" ? "Answer so far" : "Response", one.text), json("Request", one.request)],
  );
}

function turnEntry(turn) {
  const seconds = turn.finished_at === null ? null : turn.finished_at - turn.created_at;
  const attempt = turn.attempt > 1 ? `, attempt ${turn.attempt}` : "";
  return entry(
    `turn-${turn.turn_id}`,
    `turn ${turn.state === "failed" ? "bad" : ""}`,
    turn.created_at,
    `Turn ${turn.turn_id} on ${turn.platform}`,
    `${turn.state}${attempt}${seconds === null ? "" : `, ${seconds.toFixed(1)} s`}`,
    [
      h(
        "ol",
        { class: "states" },
        turn.states.map(([name, time, attempt]) => h("li", null, `${name}, attempt ${attempt}, at ${new Date(1000 * time).toLocaleTimeString("en-GB")}`)),
      ),
      json("Turn", {
        person: turn.person, model: turn.model, prompt_tokens: turn.prompt_tokens,
        completion_tokens: turn.completion_tokens, failed_attempts: turn.failed_attempts,
      }),
    ],
  );
}

function logEntry(line) {
  const isBad = line.level === "error" || line.level === "warning";
  return entry(`log-${line.number}`, `log ${isBad ? "bad" : ""}`, line.time, line.event, line.level, [
    json("Fields", line.fields),
  ]);
}
