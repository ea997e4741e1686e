// A dialog in the middle of the pane. It keeps the focus until it is closed, with Escape or a button, and then gives it back.

import { h } from "../dom.js";

// `submit(form)` resolves with whether the dialog can be closed. `close` is called when it was closed.
export function dialog({ key, title, button, submit, close }, ...fields) {
  const onsubmit = async (event) => {
    event.preventDefault();
    const form = event.currentTarget;
    if (await submit(form)) form.closest("dialog")?.close();
  };
  return h(
    "dialog",
    {
      key,
      class: "modal",
      "aria-labelledby": "discord-dialog-title",
      hook: (element) => queueMicrotask(() => show(element)),
      onclose: () => {
        restoreFocus();
        close();
      },
    },
    h(
      "form",
      { onsubmit },
      h("h3", { id: "discord-dialog-title" }, title),
      fields,
      h(
        "div",
        { class: "modal-buttons" },
        h("button", { type: "button", class: "button secondary", onclick: (event) => event.currentTarget.closest("dialog").close() }, "Cancel"),
        h("button", { type: "submit", class: "button primary" }, button),
      ),
    ),
  );
}

// The element is in the document only after it was drawn.
function show(element) {
  if (!element.isConnected || element.open) return;
  element.showModal();
  element.querySelector("input, textarea")?.focus();
  const pane = element.closest(".discord").getBoundingClientRect();
  element.style.left = `${Math.max(0, pane.left + (pane.width - element.offsetWidth) / 2)}px`;
}

// The browser gives the focus back to what had it, unless that cannot have it any more, such as a button that is gone.
function restoreFocus() {
  if (document.activeElement === document.body) document.querySelector(".discord .composer textarea")?.focus();
}
