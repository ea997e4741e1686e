// Switches that break the platforms and the model service.

import { h } from "../dom.js";

const PLATFORM_FAULTS = {
  "": "works",
  429: "says “too many requests” once, for 10 s",
  500: "answers 500",
  502: "answers 502",
  503: "answers 503",
  drop_before: "drops connections before it acts",
  drop_after: "drops connections after it has acted",
  delay: "takes 3 s for each call",
};
const SECONDS = { 429: 10, delay: 3 };
const FAULT_LABELS = {
  region: "403: country not supported",
  proxy: "403: blocked by a firewall",
  content: "403: content refused",
  streaming: "403: streaming not allowed",
  credit: "429: no credit",
  balance: "402: no balance",
  minute: "429: requests per minute",
  path: "404: wrong address",
  key: "401: wrong key",
  internal: "500: internal error",
  gateway: "502: bad gateway",
  rate: "429: wait 3 s",
  silence: "never answers",
  stall: "falls silent in mid-answer",
  alive: "sends only comments from mid-answer",
  reset: "resets the connection in mid-answer",
  close: "closes the connection in mid-answer",
  end: "ends in mid-answer without a reason",
  event: "reports an error in mid-answer",
  garbage: "sends an unreadable event",
  length: "stops for length",
  thought: "only reasons",
};
const SPEEDS = [5, 20, 40, 100, 400];

export function switchesView({ state, send }) {
  const service = state.inside.service;
  if (!service) return h("p", { class: "empty" }, "Waiting for the services…");
  return h(
    "div",
    { class: "switches" },
    platform("Telegram", "telegram", service.telegram, send),
    platform("Discord", "discord", service.discord, send),
    service.model ? model(service.model, state.inside, send) : h("p", { class: "muted" }, "The real service answers."),
  );
}

function platform(title, name, { fault }, send) {
  const fail = (kind) =>
    send("service.fail", {
      platform: name,
      kind,
      seconds: SECONDS[kind] ?? 0,
      times: kind === "429" ? 1 : null,
    });
  return h(
    "fieldset",
    null,
    h("legend", null, title),
    choice(`${title}…`, Object.entries(PLATFORM_FAULTS), fault ?? "", fail),
    dropButton(name, send),
  );
}

function dropButton(name, send) {
  return h("button", { type: "button", onclick: () => send("service.drop", { platform: name }) }, "Drop connections");
}

function choice(label, options, current, choose) {
  return h(
    "label",
    null,
    h("span", null, label),
    h(
      "select",
      { onchange: (event) => choose(event.target.value) },
      options.map(([value, text]) => h("option", { key: value, value, selected: value === String(current) }, text)),
    ),
  );
}

function toggle(label, isOn, change) {
  return h("label", { class: "toggle" }, h("input", { type: "checkbox", checked: isOn, onchange: change }), label);
}

function model(service, inside, send) {
  const command = (name, argument = "") => send("service.command", { command: name, argument: String(argument) });
  const used = new Set(inside.quotas.map((one) => one.model));
  const models = [...service.models].sort((a, b) => used.has(b.id) - used.has(a.id) || a.id.localeCompare(b.id));
  const modelOptions = [["", "choose a model"], ...models.map((one) => [one.id, one.id])];
  const act = (name) => (value) => value && command(name, value);
  return h(
    "fieldset",
    null,
    h("legend", null, "Model service"),
    choice(
      "Every question…",
      [["off", "is answered"], ...service.faults.map((name) => [name, FAULT_LABELS[name] ?? name])],
      service.fault ?? "off",
      (value) => command(":refuse", value),
    ),
    choice(
      "Speed",
      SPEEDS.map((speed) => [String(speed), `${speed} tokens/s`]),
      service.tokens_per_second,
      (value) => command(":speed", value),
    ),
    choice("Use up today's quota of", modelOptions, "", act(":quota")),
    choice("Remove", modelOptions, "", act(":gone")),
    choice(
      "Answers come as",
      service.shapes.map((name) => [name, name]),
      service.shape,
      (value) => command(":shape", value),
    ),
    choice(
      "Reasoning comes as",
      service.reasoning_formats.map((name) => [name, name]),
      service.reasoning,
      (value) => command(":reasoning", value),
    ),
    toggle("Reject the system role", service.rejects_system_role, () => command(":system")),
    toggle("Questions and answers must alternate", service.requires_alternation, () => command(":alternate")),
    service.rejectable_fields.map((field) =>
      toggle(`Reject ${field}`, service.rejected_fields.includes(field), () => command(":reject", field)),
    ),
    h(
      "div",
      { class: "controls" },
      dropButton("model", send),
      h("button", { type: "button", onclick: () => command(":day") }, "Begin a new day"),
    ),
  );
}
