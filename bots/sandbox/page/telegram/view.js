// The Telegram client: `telegramView(context)` returns the pane's tree. See frame.js for `context`.

import { h } from "../dom.js";

export function telegramView({ state, ui, setUi, send, now }) {
  const { world, messages, drafts, typing } = state.telegram;
  if (!world) return h("p", { class: "starting" }, "Waiting for the chats…");
  const person = world.people.find((one) => one.id === ui.telegram.person) ?? world.people[0];
  const chats = world.chats.filter((chat) => chat.members.includes(person.id));
  const chat = chats.find((one) => one.id === ui.telegram.chat) ?? chats[0];
  const listed = Object.values(messages[chat.id] ?? {}).sort((a, b) => a.message.message_id - b.message.message_id);
  const isTyping = Object.values(typing).some((event) => event.chat_id === chat.id && event.until > now);

  async function submit(event) {
    event.preventDefault();
    const text = ui.telegram.text;
    if ((await send("telegram.send", { person: person.id, chat: chat.id, text })) !== undefined) {
      setUi("telegram", { text: "" });
    }
  }

  return h(
    "div",
    { class: "telegram client" },
    h(
      "div",
      { class: "client-bar" },
      picker("Speak as", world.people, person.id, (one) => one.first_name, (id) =>
        setUi("telegram", { person: id, chat: null }),
      ),
      picker("Chat", chats, chat.id, (one) => one.title ?? "Parley", (id) => setUi("telegram", { chat: id })),
    ),
    h(
      "ol",
      { class: "messages", "aria-label": "Messages", "aria-live": "polite", hook: keepAtEnd },
      listed.length ? null : h("li", { class: "empty" }, "No messages yet. Write something below."),
      listed.map((event) => message(event, person, send)),
      (drafts[chat.id]?.drafts ?? []).map((draft) => draftItem(draft, chat, send)),
    ),
    h("p", { class: "typing" }, isTyping ? "Parley is typing…" : ""),
    h(
      "form",
      { class: "composer", onsubmit: submit },
      h("input", {
        "aria-label": "Message to Telegram",
        value: ui.telegram.text,
        maxlength: 4096,
        oninput: (event) => setUi("telegram", { text: event.target.value }),
      }),
      h("button", { type: "submit" }, "Send"),
    ),
  );
}

function keepAtEnd(list) {
  if (list.scrollHeight - list.scrollTop - list.clientHeight < 200) list.scrollTop = list.scrollHeight;
}

function picker(label, options, current, name, choose) {
  return h(
    "label",
    null,
    `${label} `,
    h(
      "select",
      { onchange: (event) => choose(Number(event.target.value)) },
      options.map((one) => h("option", { value: String(one.id), selected: one.id === current }, name(one))),
    ),
  );
}

function message({ chat_id: chat, message: shown }, person, send) {
  const rows = shown.reply_markup?.inline_keyboard ?? [];
  return h(
    "li",
    { key: String(shown.message_id), class: shown.from.is_bot ? "from-bot" : "from-person" },
    h("b", null, shown.from.first_name),
    h("p", { class: "plain" }, shown.text ?? shown.caption ?? plainBlocks(shown.rich_message?.blocks ?? [])),
    rows.flat().map((button) =>
      h(
        "button",
        {
          type: "button",
          onclick: () =>
            send("telegram.press", { person: person.id, chat, message: shown.message_id, data: button.callback_data }),
        },
        button.text,
      ),
    ),
  );
}

function draftItem(draft, chat, send) {
  return h(
    "li",
    { key: `draft-${draft.draft_id}`, class: "from-bot draft" },
    h("b", null, "Parley"),
    h("p", { class: "plain" }, draft.text || plainBlocks(draft.rich_message?.blocks ?? []) || "…"),
    draft.can_stop &&
      h(
        "button",
        {
          type: "button",
          onclick: () =>
            send("telegram.stop", { chat: chat.id, draft: draft.draft_id, thread: draft.message_thread_id }),
        },
        "Stop",
      ),
  );
}

// All texts of rich blocks, one after the other.
function plainBlocks(value) {
  if (typeof value === "string") return value;
  if (Array.isArray(value)) return value.map(plainBlocks).join("");
  if (value === null || typeof value !== "object") return "";
  const inner = ["text", "expression", "label", "summary", "blocks", "items", "cells", "rows", "caption"];
  return inner.map((name) => plainBlocks(value[name])).join("") + (value.type === "paragraph" ? "\n" : "");
}
