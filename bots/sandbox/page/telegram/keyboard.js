// Draws the buttons under a message.

import { icon } from "./icons.js";
import { parseDeepLink, safeUrl } from "./links.js";
import { h } from "../dom.js";

const STYLES = new Set(["danger", "primary", "success"]);

// The rows of an inline keyboard; null without. `context.isPressed(data)`: the bot has not answered yet.
export function drawKeyboard(markup, context) {
  const rows = markup?.inline_keyboard;
  if (!Array.isArray(rows) || rows.length === 0) return null;
  return h(
    "div",
    { class: "keyboard", role: "group", "aria-label": "Buttons of the message" },
    rows.map((row) =>
      h(
        "div",
        { class: "keyboard-row" },
        row.map((button) => drawButton(button, context)),
      ),
    ),
  );
}

export function drawButton(button, context) {
  const style = STYLES.has(button.style) ? ` ${button.style}` : "";
  const emoji = button.icon_custom_emoji_id && h("span", { class: "custom-emoji" }, "◆");
  if (button.url !== undefined) return drawUrlButton(button, style, emoji, context);
  const { press, mark, title } = actionOf(button, context);
  const isPressed = button.callback_data !== undefined && context.isPressed(button.callback_data);
  return h(
    "button",
    {
      type: "button",
      class: `inline-button${style}${isPressed ? " pressed" : ""}`,
      title,
      disabled: press === null,
      "aria-busy": isPressed ? "true" : null,
      onclick: press,
    },
    emoji,
    h("span", null, button.text),
    mark && h("span", { class: "button-mark" }, mark),
  );
}

function drawUrlButton(button, style, emoji, context) {
  const deepLink = parseDeepLink(button.url);
  const href = deepLink ? "#" : safeUrl(button.url);
  const open = (event) => {
    event.preventDefault();
    context.actions.openDeepLink(deepLink);
  };
  return h(
    "a",
    {
      class: `inline-button${style}`,
      title: button.url,
      href,
      target: deepLink ? null : "_blank",
      rel: "noopener noreferrer",
      onclick: deepLink ? open : null,
    },
    emoji,
    h("span", null, button.text),
    h("span", { class: "button-mark" }, icon("link")),
  );
}

function actionOf(button, context) {
  if (button.callback_data !== undefined) {
    return { press: () => context.actions.pressButton(button.callback_data), mark: null, title: null };
  }
  if (button.copy_text !== undefined) {
    return { press: () => context.actions.copy(button.copy_text.text), mark: icon("copy"), title: "Copies a text" };
  }
  return { press: null, mark: "?", title: "The sandbox does not support this kind of button." };
}
