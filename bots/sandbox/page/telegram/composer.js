// Draws where people write: the text, files to send, the message to reply to or to edit, and the command menu.

import { icon } from "./icons.js";
import { drawOffers } from "./inline_queries.js";
import { summaryOf } from "./message.js";
import { formatSize } from "./media.js";
import { senderName } from "./names.js";
import { h } from "../dom.js";

const MAX_ROWS = 8;

// `input` is what the person has prepared: `text`, `replyTo` and `editing` (messages or null), `files` (`{id, file,
// url}`), `asFiles` (pictures too are sent as files). `menu` is the command menu or null: `{commands, selected}`, `selected` the index of one or -1. `offers` is what the
// bot offers for what is typed after its name, or null.
export function drawComposer({ input, menu, offers, label, isBusy }, context) {
  const { actions } = context;
  const canSend = input.text.trim() !== "" || input.files.length > 0;
  return h(
    "form",
    {
      class: "composer",
      key: "composer",
      onsubmit: (event) => {
        event.preventDefault();
        actions.submit();
      },
    },
    menu && drawCommandMenu(menu, actions),
    offers && drawOffers(offers, actions),
    drawBar(input, actions),
    input.files.length > 0 && drawFiles(input.files, actions),
    input.files.some(({ url }) => url) && drawFilesSwitch(input, actions),
    h(
      "div",
      { class: "composer-row", key: "row" },
      h(
        "button",
        {
          type: "button",
          class: "menu-button",
          "aria-label": "Commands of the bot",
          "aria-expanded": String(menu !== null),
          onclick: actions.toggleCommandMenu,
        },
        icon("menu"),
      ),
      h(
        "label",
        { class: "icon-button attach", title: "Attach files" },
        h("input", {
          type: "file",
          multiple: true,
          "aria-label": "Attach files",
          onchange: (event) => {
            actions.attach([...event.currentTarget.files]);
            event.currentTarget.value = "";
          },
        }),
        icon("attach"),
      ),
      h(
        "button",
        { type: "button", class: "icon-button", "aria-label": "Send a sticker", title: "Send a sticker", onclick: actions.sendSticker },
        icon("sticker"),
      ),
      h("textarea", {
        class: "composer-text",
        rows: Math.min(MAX_ROWS, input.text.split("\n").length),
        placeholder: input.editing ? "Edit the message" : "Message",
        "aria-label": label,
        "aria-autocomplete": "list",
        "aria-controls": menu ? "telegram-commands" : null,
        "aria-activedescendant": menu && menu.selected >= 0 ? `telegram-command-${menu.selected}` : null,
        value: input.text,
        oninput: (event) => actions.write(event.currentTarget.value),
        onkeydown: (event) => onKey(event, input, { menu, offers }, actions),
        onpaste: (event) => pasteFiles(event, actions),
      }),
      h(
        "button",
        {
          type: "submit",
          class: "send-button",
          "aria-label": input.editing ? "Save" : "Send",
          disabled: !canSend || isBusy,
        },
        icon(input.editing ? "check" : "send"),
      ),
    ),
  );
}

function onKey(event, input, { menu, offers }, actions) {
  if (event.isComposing) return;
  const handler = menu !== null && menu.commands.length > 0 ? menuKey(event, menu, actions) : offerKey(event, offers, actions);
  const handle = handler ?? textKey(event, input, actions);
  if (handle === null) return;
  event.preventDefault();
  handle();
}

// What a key does while the command menu is open; null: what it does otherwise.
function menuKey(event, menu, actions) {
  const { commands, selected } = menu;
  const chosen = commands[Math.max(0, selected)];
  switch (event.key) {
    case "ArrowDown":
      return () => actions.selectCommand((selected + 1) % commands.length);
    case "ArrowUp":
      return () => actions.selectCommand((Math.max(0, selected) - 1 + commands.length) % commands.length);
    case "Tab":
      return () => actions.write(`/${chosen.command} `);
    case "Escape":
      return actions.closeCommandMenu;
    case "Enter":
      return event.shiftKey || selected < 0 ? null : () => actions.chooseCommand(chosen.command);
    default:
      return null;
  }
}

function offerKey(event, offers, actions) {
  if (offers === null) return null;
  if (event.key === "Escape") return actions.closeOffers;
  const isSent = event.key === "Enter" && !event.shiftKey && offers.results.length > 0;
  return isSent ? () => actions.chooseOffer(offers.results[0].id) : null;
}

function textKey(event, input, actions) {
  if (event.key === "Enter" && !event.shiftKey) return actions.submit;
  if (event.key === "Escape" && (input.replyTo || input.editing)) return actions.cancelBar;
  if (event.key === "ArrowUp" && input.text === "" && input.files.length === 0) return actions.editLast;
  return null;
}

function pasteFiles(event, actions) {
  const files = [...event.clipboardData.files];
  if (files.length === 0) return;
  event.preventDefault();
  actions.attach(files);
}

function drawCommandMenu({ commands, selected }, actions) {
  return h(
    "ul",
    {
      class: "command-menu",
      key: "commands",
      id: "telegram-commands",
      role: "listbox",
      "aria-label": "Commands of the bot",
      tabindex: -1,
    },
    commands.length === 0 &&
      h(
        "li",
        { class: "empty", role: "option", "aria-disabled": "true", "aria-selected": "false" },
        "The bot has no such command here.",
      ),
    commands.map((command, index) =>
      h(
        "li",
        {
          key: command.command,
          id: `telegram-command-${index}`,
          class: index === selected ? "command-option selected" : "command-option",
          role: "option",
          "aria-selected": String(index === selected),
          onclick: () => actions.chooseCommand(command.command),
        },
        h("span", { class: "command-name" }, `/${command.command}`),
        h("span", { class: "command-description" }, command.description),
      ),
    ),
  );
}

function drawBar({ replyTo, quote, editing }, actions) {
  const message = editing ?? replyTo;
  if (message === null) return null;
  return h(
    "div",
    { class: "composer-bar", key: "bar" },
    h("span", { class: "bar-icon" }, icon(editing ? "edit" : "reply")),
    h(
      "span",
      { class: "bar-text" },
      h("span", { class: "bar-title" }, editing ? "Edit message" : `Reply to ${senderName(message)}`),
      h("span", { class: "bar-summary" }, editing || !quote ? summaryOf(message) : `“${quote}”`),
    ),
    h(
      "button",
      {
        type: "button",
        class: "icon-button",
        "aria-label": editing ? "Do not edit" : "Do not reply",
        onclick: actions.cancelBar,
      },
      icon("close"),
    ),
  );
}

function drawFilesSwitch({ asFiles }, actions) {
  return h(
    "label",
    { class: "as-files", key: "as-files" },
    h("input", {
      type: "checkbox",
      checked: asFiles,
      onchange: (event) => actions.sendAsFiles(event.currentTarget.checked),
    }),
    "Send pictures as files",
  );
}

function drawFiles(files, actions) {
  return h(
    "ul",
    { class: "attachments", key: "files", "aria-label": "Files to send", role: "list" },
    files.map(({ id, file, url }) =>
      h(
        "li",
        { key: `file-${id}`, class: "attachment" },
        url
          ? h("img", { src: url, alt: "" })
          : h("span", { class: "file-icon", "aria-hidden": "true" }, file.name.split(".").at(-1).slice(0, 4)),
        h(
          "span",
          { class: "file-text" },
          h("span", { class: "file-name" }, file.name),
          h("span", { class: "file-size" }, formatSize(file.size)),
        ),
        h(
          "button",
          {
            type: "button",
            class: "icon-button",
            "aria-label": `Remove ${file.name}`,
            onclick: () => actions.detach(id),
          },
          icon("close"),
        ),
      ),
    ),
  );
}
