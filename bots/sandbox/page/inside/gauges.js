// Gauges: the platforms' limits, which refill while nothing happens; the day's quotas; how full the window is.

import { h } from "../dom.js";

const MAX_GAUGES = 8;
const MAX_REQUESTS = 3;
const FULL = 0.8;
const SHOWN_SECONDS = 60;
const REFILLED_SECONDS = 20; // so long a gauge stays when nothing is used any more

export function gaugesView({ state, now }) {
  return h(
    "div",
    { class: "gauges" },
    h("div", { class: "gauge-group", "aria-label": "Limits", role: "group" }, limits(state, now)),
    h("div", { class: "gauge-group", "aria-label": "Context", role: "group" }, contexts(state.inside.requests)),
    h("div", { class: "gauge-group", "aria-label": "Quotas", role: "group" }, quotas(state.inside.quotas)),
  );
}

// How much of a limit is used at `now`: see bots/sandbox/gauges.py.
export function usedAt(budget, now) {
  const passed = Math.max(0, now - budget.time);
  if (budget.frees_in.length) return budget.frees_in.filter((seconds) => seconds > passed).length;
  if (budget.resets_in !== null) return passed < budget.resets_in ? budget.used : 0;
  return Math.max(0, budget.used - passed * budget.refill_per_second);
}

function limits(state, now) {
  const shown = Object.values(state.inside.budgets)
    .filter((budget) => now - budget.time < (usedAt(budget, now) ? SHOWN_SECONDS : REFILLED_SECONDS))
    .sort((a, b) => usedAt(b, now) / b.limit - usedAt(a, now) / a.limit || a.key.localeCompare(b.key))
    .slice(0, MAX_GAUGES)
    .sort((a, b) => a.key.localeCompare(b.key));
  if (!shown.length) return h("p", { class: "empty" }, "Limits appear when the bot writes something.");
  return shown.map((budget) => {
    const used = usedAt(budget, now);
    const blocked = Math.ceil(budget.blocked_for - (now - budget.time));
    const label = `${title(budget.platform)} ${budget.name.replace("_", " ")}, ${place(state, budget)}`;
    const left = Math.max(0, Math.floor(budget.limit - used));
    const text = blocked > 0 ? `wait ${blocked} s` : `${left} of ${budget.limit} left`;
    return gauge(budget.key, label, used / budget.limit, text, blocked > 0);
  });
}

function contexts(requests) {
  const latest = Object.values(requests)
    .filter((one) => one.context_window)
    .slice(-MAX_REQUESTS);
  if (!latest.length) return h("p", { class: "empty" }, "The context appears with the first question.");
  return latest.map((one) => {
    const tokens = one.prompt_tokens + one.completion_tokens;
    const text = `${tokens.toLocaleString("en")} of ${one.context_window.toLocaleString("en")} tokens`;
    return gauge(`context-${one.number}`, `Window of ${shortName(one.model)}`, tokens / one.context_window, text);
  });
}

function quotas(entries) {
  if (!entries.length) return null;
  return entries.map((one) => {
    const used = one.used.toLocaleString("en");
    const text = one.limit === null ? `${used} tokens today` : `${used} of ${one.limit.toLocaleString("en")} today`;
    const share = one.limit === null ? 0 : one.limit === 0 ? 1 : one.used / one.limit;
    return gauge(`quota-${one.model}`, `Today: ${shortName(one.model)}`, share, text, share >= 1);
  });
}

function gauge(key, label, share, text, isBad = false) {
  const level = isBad ? "bad" : share >= FULL ? "full" : "";
  const percent = Math.round(100 * Math.min(1, share));
  return h(
    "div",
    { key, class: `gauge ${level}` },
    h("span", { class: "gauge-label" }, label),
    h("span", { class: "gauge-text" }, text),
    h(
      "span",
      {
        class: "gauge-bar",
        role: "meter",
        "aria-label": label,
        "aria-valuemin": "0",
        "aria-valuemax": "100",
        "aria-valuenow": String(percent),
        "aria-valuetext": text,
      },
      h("span", { class: "gauge-used", style: { width: `${percent}%` } }),
    ),
  );
}

export function shortName(model) {
  return String(model ?? "unknown model").split("/").pop();
}

function title(platform) {
  return platform === "telegram" ? "Telegram" : "Discord";
}

// The chat or channel of a call or a budget, by name.
export function place(state, { platform, scope }) {
  if (!scope) return "all chats";
  if (platform === "telegram") {
    const chat = state.telegram.world?.chats.find((one) => String(one.id) === scope);
    return chat ? chat.title ?? `chat with ${chat.first_name}` : "another chat";
  }
  const world = state.discord.world;
  const channel = world?.guilds.flatMap((guild) => guild.channels).find((one) => one.id === scope);
  if (channel) return `#${channel.name}`;
  const direct = world?.direct_channels.find((one) => one.id === scope);
  return direct ? `messages with ${direct.recipients[0].global_name}` : "another channel";
}
