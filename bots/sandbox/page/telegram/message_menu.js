// Draws what a person can do with a message: react, reply, copy, edit, forward, delete.

import { icon } from "./icons.js";
import { isEditable } from "./selection.js";
import { h } from "../dom.js";

const MARGIN_PIXELS = 6;
// Some of those that Telegram allows.
const REACTIONS = "👍 ❤ 🔥 👏 😁 🤔 👎 👀 🎉 🤯 😢 🙏 👌 🤡 💯 ⚡".split(" ");

// `ownReaction`: the person's reaction to the message, or null. `quote`: what a reply would quote, or empty.
export function drawMessageMenu(message, { isOwn, ownReaction, quote, top }, context) {
  const { actions } = context;
  const text = message.text ?? message.caption;
  const items = [
    [quote ? "Quote and reply" : "Reply", "reply", () => actions.reply(message)],
    text && ["Copy text", "copy", () => actions.copy(text)],
    isOwn && isEditable(message) && ["Edit", "edit", () => actions.edit(message)],
    ["Forward", "forward", () => actions.askWhereToForward(message)],
    isOwn && ["Delete", "delete", () => actions.remove(message)],
  ].filter(Boolean);
  return h(
    "div",
    {
      class: "menu",
      role: "menu",
      "aria-label": "Message",
      onkeydown: (event) => moveFocus(event, actions),
      hook: (element) => queueMicrotask(() => place(element, top)),
    },
    h(
      "div",
      { class: "reaction-picker", role: "group", "aria-label": "React" },
      REACTIONS.map((emoji) =>
        h(
          "button",
          {
            type: "button",
            role: "menuitemradio",
            "aria-checked": String(emoji === ownReaction),
            class: emoji === ownReaction ? "reaction-choice own" : "reaction-choice",
            "aria-label": `React with ${emoji}`,
            onclick: () => actions.react(message, emoji === ownReaction ? null : emoji),
          },
          emoji,
        ),
      ),
    ),
    items.map(([label, iconName, run]) =>
      h("button", { type: "button", role: "menuitem", class: "menu-item", onclick: run }, icon(iconName), label),
    ),
  );
}

// Moves the menu up where there is no room below. The first item gets the focus.
function place(element, top) {
  const timeline = element.closest(".timeline");
  if (timeline === null || element.dataset.placed) return;
  element.dataset.placed = "true";
  if (top !== null) element.style.top = `${top}px`;
  const [box, frame] = [element.getBoundingClientRect(), timeline.getBoundingClientRect()];
  const overflow = box.bottom + MARGIN_PIXELS - frame.bottom;
  const message = element.parentElement.getBoundingClientRect();
  const highest = frame.top + MARGIN_PIXELS - message.top;
  if (overflow > 0) element.style.top = `${Math.max(highest, box.top - message.top - overflow)}px`;
  element.querySelector("[role=menuitem]")?.focus({ preventScroll: true });
}

function moveFocus(event, actions) {
  const items = [...event.currentTarget.querySelectorAll("button")];
  const index = items.indexOf(document.activeElement);
  const steps = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 };
  if (event.key === "Escape" || event.key === "Tab") {
    event.preventDefault();
    actions.leaveMenu();
  } else if (event.key in steps) {
    event.preventDefault();
    items.at((index + steps[event.key]) % items.length)?.focus();
  }
}
