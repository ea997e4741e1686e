// The page around the panes: the header, tabs on narrow screens, the connection's state, short messages.

import { h } from "./dom.js";
import { discordView } from "./discord/view.js";
import { insideView } from "./inside/view.js";
import { telegramView } from "./telegram/view.js";

const PANES = [
  { name: "telegram", title: "Telegram", view: telegramView },
  { name: "discord", title: "Discord", view: discordView },
  { name: "inside", title: "Inside", view: insideView },
];
const THEMES = { auto: "light", light: "dark", dark: "auto" };
const THEME_LABELS = { auto: "Like the system", light: "Light", dark: "Dark" };
const STATUS_TEXTS = {
  connecting: "Connecting to the sandbox…",
  lost: "The connection to the sandbox was lost. Trying again… If the sandbox has ended, start it again with: parley sandbox",
  refused: "This window no longer has access. Open the address that the sandbox printed last.",
};

// `context` holds what every view gets: {state, ui, setUi, send, upload, toast, status, toasts, now}.
export function frame(context) {
  return h("div", { class: "frame" }, header(context), banner(context), panes(context), toastList(context));
}

function header({ ui, setUi, state }) {
  const theme = ui.frame.theme;
  return h(
    "header",
    { class: "frame-header" },
    h("h1", null, "Parley sandbox"),
    h("p", { class: "bot-state", role: "status", "data-state": state.inside.bot?.state }, botText(state.inside.bot)),
    h(
      "button",
      { class: "theme", type: "button", onclick: () => setUi("frame", { theme: THEMES[theme] }) },
      `Theme: ${THEME_LABELS[theme]}`,
    ),
    tabs(ui, setUi),
  );
}

function botText(bot) {
  const texts = {
    starting: "The bot is starting…",
    running: "The bot is running",
    killed: "The bot was killed",
    stopped: "The bot is not running; the log under Inside says why",
  };
  return texts[bot?.state] ?? "";
}

function tabs(ui, setUi) {
  function move(event) {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const index = PANES.findIndex((pane) => pane.name === ui.frame.tab);
    const next = PANES[(index + step + PANES.length) % PANES.length].name;
    setUi("frame", { tab: next });
    document.getElementById(`tab-${next}`)?.focus();
  }
  return h(
    "div",
    { class: "tabs", role: "tablist", "aria-label": "Panes", onkeydown: move },
    PANES.map(({ name, title }) =>
      h(
        "button",
        {
          id: `tab-${name}`,
          type: "button",
          role: "tab",
          "aria-selected": String(ui.frame.tab === name),
          "aria-controls": `pane-${name}`,
          tabindex: ui.frame.tab === name ? "0" : "-1",
          onclick: () => setUi("frame", { tab: name }),
        },
        title,
      ),
    ),
  );
}

function banner({ status }) {
  const text = STATUS_TEXTS[status];
  return h("p", { class: `banner banner-${status}`, role: "alert", hidden: !text }, text ?? "");
}

function panes(context) {
  return h(
    "main",
    { class: "panes", "data-tab": context.ui.frame.tab },
    PANES.map(({ name, title, view }) =>
      h("section", { key: name, id: `pane-${name}`, class: `pane pane-${name}`, "aria-label": title }, view(context)),
    ),
  );
}

function toastList({ toasts }) {
  return h(
    "div",
    { class: "toasts", role: "status", "aria-live": "polite" },
    toasts.map((toast) => h("p", { class: "toast" }, toast.text)),
  );
}
