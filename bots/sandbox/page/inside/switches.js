// Switches that break the platforms and the model service.

import { h } from "../dom.js";
import { MODEL_FAULTS, PLATFORM_FAULTS, brokenThings } from "./broken.js";

const SECONDS = { 429: 10, delay: 3 };
const WINDOWS = [512, 2048, 8192];
const SPEEDS = [5, 20, 40, 100, 400];

export function switchesView(context) {
  const { state } = context;
  const service = state.inside.service;
  if (!service) return h("p", { class: "empty" }, "Waiting for the services…");
  return h(
    "div",
    { class: "switches" },
    brokenList(brokenThings(service)),
    platform("Telegram", "telegram", service.telegram, context),
    platform("Discord", "discord", service.discord, context),
    service.model ? model(service.model, context) : h("p", { class: "muted" }, "The real service answers."),
  );
}

function brokenList(things) {
  if (!things.length) return h("p", { class: "muted" }, "Everything works.");
  return h("ul", { class: "broken", "aria-label": "Broken at present" }, things.map((text) => h("li", null, text)));
}

function platform(title, name, { fault }, context) {
  const fail = (kind) =>
    context.send("service.fail", {
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
    dropButton(name, context),
  );
}

function dropButton(name, { send, toast }) {
  const drop = async () => {
    const result = await send("service.drop", { platform: name });
    if (result) toast(result);
  };
  return h("button", { type: "button", onclick: drop }, "Drop connections");
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

function model(service, context) {
  const { state, ui, setUi, send, toast } = context;
  const { inside } = state;
  const command = async (name, argument = "") => {
    const result = await send("service.command", { command: name, argument: String(argument) });
    if (result) toast(result);
  };
  const used = new Set(inside.quotas.map((one) => one.model));
  const models = [...service.models].sort((a, b) => used.has(b.id) - used.has(a.id) || a.id.localeCompare(b.id));
  const modelOptions = [["", "choose a model"], ...models.map((one) => [one.id, one.id])];
  const act = (name) => (value) => value && command(name, value);
  const window = ui.inside.window;
  const showKey = async () => setUi("inside", { key: await send("service.command", { command: ":key", argument: "" }) });
  return h(
    "fieldset",
    null,
    h("legend", null, "Model service"),
    choice(
      "Every question…",
      [["off", "is answered"], ...service.faults.map((name) => [name, MODEL_FAULTS[name] ?? name])],
      service.fault ?? "off",
      (value) => command(":refuse", value),
    ),
    choice(
      "Speed",
      [...new Set([...SPEEDS, service.original_speed])].sort((a, b) => a - b).map((speed) => [String(speed), `${speed} tokens/s`]),
      service.tokens_per_second,
      (value) => command(":speed", value),
    ),
    choice("Use up today's quota of", modelOptions, "", act(":quota")),
    choice("Remove", modelOptions, "", act(":gone")),
    choice(
      "A smaller window has",
      WINDOWS.map((tokens) => [String(tokens), `${tokens.toLocaleString("en")} tokens`]),
      window,
      (value) => setUi("inside", { window: Number(value) }),
    ),
    choice("Shrink the window of", modelOptions, "", (id) => id && command(":window", `${id} ${window}`)),
    choice(
      "Context-window errors worded like",
      service.overflows.map((name) => [name, name]),
      service.overflow,
      (value) => command(":overflow", value),
    ),
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
      dropButton("model", context),
      h("button", { type: "button", onclick: () => command(":day") }, "Begin a new day"),
      h("button", { type: "button", onclick: showKey }, "Show a key for /key"),
    ),
    h("p", { class: "muted", role: "status" }, ui.inside.key ?? ""),
  );
}
