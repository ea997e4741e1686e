// Draws small dialogs, and what the bot shows after a button was pressed: a notice for a moment, or an alert.

import { avatar } from "./message.js";
import { chatName } from "./names.js";
import { h } from "../dom.js";

const MAX_TOPIC_NAME = 128;

// A modal dialog that closes with Escape, its button, or a press beside it.
export function drawDialog({ key, label, onclose, button = "Close" }, ...children) {
  return h(
    "dialog",
    {
      key,
      class: "telegram-dialog",
      "aria-label": label,
      hook: (element) => queueMicrotask(() => show(element)),
      onclose,
      // A handler that returns false would cancel the press.
      onclick: (event) => {
        if (event.target === event.currentTarget) event.currentTarget.close();
      },
    },
    h(
      "div",
      { class: "dialog-content" },
      children,
      button && h("button", { type: "button", class: "dialog-button", onclick: closeDialog }, button),
    ),
  );
}

// The element is in the document only after it was drawn. It stands in the middle of the pane.
function show(element) {
  if (!element.isConnected || element.open) return;
  element.showModal();
  // The focus is on the button at the end, which may be far below.
  element.scrollTop = 0;
  const pane = element.closest(".telegram").getBoundingClientRect();
  element.style.left = `${Math.max(0, pane.left + (pane.width - element.offsetWidth) / 2)}px`;
}

function closeDialog(event) {
  event.currentTarget.closest("dialog").close();
}

// Where to forward a message to.
export function drawForward(chats, bot, { actions }) {
  return drawDialog(
    { key: "forward", label: "Forward to", onclose: actions.closeDialog, button: "Cancel" },
    h("h3", null, "Forward to"),
    h(
      "ul",
      { class: "choices", role: "list" },
      chats.map((chat) => {
        const name = chatName(chat, bot);
        const icon = avatar(name, chat.type === "private" ? bot.id : chat.id);
        return h(
          "li",
          null,
          h("button", { type: "button", class: "choice", onclick: () => actions.forwardTo(chat.id) }, icon, name),
        );
      }),
    ),
  );
}

// The name of a topic to create.
export function drawNewTopic({ actions }) {
  const submit = (event) => {
    event.preventDefault();
    actions.createTopic(event.currentTarget.querySelector("input").value);
  };
  return drawDialog(
    { key: "topic", label: "New topic", onclose: actions.closeDialog, button: null },
    h(
      "form",
      { onsubmit: submit },
      h("h3", null, "New topic"),
      h(
        "label",
        { class: "field" },
        "Name",
        h("input", { type: "text", maxlength: MAX_TOPIC_NAME, required: true, autofocus: true }),
      ),
      h(
        "div",
        { class: "dialog-buttons" },
        h("button", { type: "button", class: "dialog-button", onclick: closeDialog }, "Cancel"),
        h("button", { type: "submit", class: "dialog-button" }, "Create"),
      ),
    ),
  );
}

// What the bot shows for a moment after a button was pressed, and the page's own notices.
export function drawToasts(toasts) {
  return h(
    "div",
    { class: "toasts", role: "status", "aria-live": "polite", key: "toasts" },
    toasts.map(({ text }) => h("div", { class: "toast", dir: "auto" }, text)),
  );
}

// What the bot shows until the person closes it; null: nothing.
export function drawAlert(text, { actions }) {
  if (text === null) return null;
  const properties = { key: "alert", label: "The bot says", onclose: actions.closeAlert, button: "OK" };
  return drawDialog(properties, h("p", { dir: "auto" }, text));
}
