// What happens inside: `insideView(context)` returns the pane's tree. See frame.js for `context`.

import { h } from "../dom.js";
import { entriesView } from "./entries.js";
import { gaugesView } from "./gauges.js";
import { scenariosView } from "./scenarios.js";
import { switchesView } from "./switches.js";
import { timelineView } from "./timeline.js";

export function insideView(context) {
  return h(
    "div",
    { class: "inside" },
    controls(context),
    scenariosView(context),
    section("Timeline", true, timelineView(context)),
    section("Limits, quotas and context", true, gaugesView(context)),
    section("Break and repair", false, switchesView(context), isBroken(context.state.inside.service)),
    section("Everything that happened", true, entriesView(context)),
  );
}

// `mark`: something in the closed section needs attention.
function section(title, isOpen, content, mark = false) {
  return h(
    "details",
    { key: title, class: "section", hook: (element) => openOnce(element, isOpen) },
    h("summary", null, h("h2", null, title), mark && h("span", { class: "mark" }, "something is broken")),
    content,
  );
}

const opened = new WeakSet();

function openOnce(element, isOpen) {
  if (opened.has(element)) return;
  opened.add(element);
  element.open = isOpen;
}

function isBroken(service) {
  const model = service?.model;
  return Boolean(
    service?.telegram.fault ||
      service?.discord.fault ||
      model?.fault ||
      model?.rejects_system_role ||
      model?.requires_alternation ||
      model?.rejected_fields.length ||
      (model && (model.shape !== "stream" || model.reasoning !== "field")),
  );
}

function controls({ state, send }) {
  const bot = state.inside.bot;
  const isDown = bot?.state === "killed" || bot?.state === "stopped";
  return h(
    "div",
    { class: "controls", role: "group", "aria-label": "The bot" },
    h(
      "button",
      { type: "button", class: "danger", disabled: isDown || !bot, onclick: () => send("bot.kill") },
      "Kill the bot",
    ),
    h("button", { type: "button", disabled: !isDown, onclick: () => send("bot.start") }, "Start the bot"),
    h(
      "button",
      { type: "button", disabled: !isBroken(state.inside.service), onclick: () => send("service.repair") },
      "Repair everything",
    ),
  );
}
