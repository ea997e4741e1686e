// What happens inside: `insideView(context)` returns the pane's tree. See frame.js for `context`.

import { h } from "../dom.js";
import { brokenThings } from "./broken.js";
import { entriesView } from "./entries.js";
import { gaugesView } from "./gauges.js";
import { scenariosView } from "./scenarios.js";
import { switchesView } from "./switches.js";
import { timelineView } from "./timeline.js";

export function insideView(context) {
  const broken = brokenThings(context.state.inside.service).length;
  const mark = broken && (broken === 1 ? "1 thing is broken" : `${broken} things are broken`);
  return h(
    "div",
    { class: "inside" },
    controls(context, broken > 0),
    scenariosView(context),
    section("Timeline", true, timelineView(context)),
    section("Limits, quotas and context", true, gaugesView(context)),
    section("Break and repair", false, switchesView(context), mark),
    section("Everything that happened", true, entriesView(context)),
  );
}

// `mark`: what in the closed section needs attention, or nothing.
function section(title, isOpen, content, mark = null) {
  return h(
    "details",
    { key: title, class: "section", hook: (element) => openOnce(element, isOpen) },
    h("summary", null, h("h2", null, title), mark ? h("span", { class: "mark" }, mark) : null),
    content,
  );
}

const opened = new WeakSet();

function openOnce(element, isOpen) {
  if (opened.has(element)) return;
  opened.add(element);
  element.open = isOpen;
}

function controls({ state, send, toast }, isBroken) {
  const repair = async () => {
    const result = await send("service.repair");
    if (result) toast(result);
  };
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
      { type: "button", disabled: !isBroken, onclick: repair },
      "Repair everything",
    ),
  );
}
