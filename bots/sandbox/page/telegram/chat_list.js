// Draws who the user speaks as, and the list of this person's chats.

import { avatar, summaryOf } from "./message.js";
import { chatName, userName } from "./names.js";
import { h } from "../dom.js";

// `entries`: `{chat, last, unread, activity}`; `last` is the newest message or undefined, `activity` such as
// "typing".
export function drawChatList({ people, personId, entries, openChatId, bot, now }, context) {
  return h(
    "div",
    { class: "chat-list", key: "chat-list" },
    h("div", { class: "chat-list-header" }, drawPersonSwitch(people, personId, context)),
    entries.length === 0 && h("p", { class: "empty" }, "This person is in no chat."),
    h(
      "nav",
      { "aria-label": "Telegram chats" },
      h(
        "ul",
        { class: "chats", role: "list" },
        entries.map((entry) => drawEntry(entry, entry.chat.id === openChatId, bot, now, context)),
      ),
    ),
  );
}

// Chooses who the user speaks as.
export function drawPersonSwitch(people, personId, context) {
  return h(
    "label",
    { class: "person" },
    h("span", { class: "person-label" }, "You are "),
    h(
      "select",
      {
        class: "person-select",
        value: String(personId),
        onchange: (event) => context.actions.speakAs(Number(event.currentTarget.value)),
      },
      people.map((person) =>
        h("option", { value: String(person.id), selected: person.id === personId }, userName(person)),
      ),
    ),
  );
}

function drawEntry({ chat, last, unread, activity }, isOpen, bot, now, context) {
  const name = chatName(chat, bot);
  return h(
    "li",
    { key: `chat-${chat.id}` },
    h(
      "button",
      {
        type: "button",
        class: isOpen ? "chat-entry open" : "chat-entry",
        "aria-current": isOpen ? "true" : null,
        onclick: () => context.actions.openChat(chat.id),
      },
      avatar(name, chat.type === "private" ? bot.id : chat.id),
      h(
        "span",
        { class: "chat-entry-text" },
        h(
          "span",
          { class: "chat-entry-line" },
          h("span", { class: "chat-entry-name" }, name),
          last && h("time", { class: "chat-entry-time" }, context.time.brief(last.date, now)),
        ),
        h(
          "span",
          { class: "chat-entry-line" },
          drawPreview(chat, last, activity),
          unread > 0 && h("span", { class: "unread", "aria-label": `${unread} unread` }, unread),
        ),
      ),
    ),
  );
}

function drawPreview(chat, last, activity) {
  if (activity) return h("span", { class: "chat-entry-preview activity" }, `${activity}…`);
  if (!last) return h("span", { class: "chat-entry-preview" }, "No messages yet");
  const sender = chat.type === "private" ? null : h("span", { class: "preview-sender" }, `${userName(last.from)}: `);
  return h("span", { class: "chat-entry-preview" }, sender, summaryOf(last));
}
