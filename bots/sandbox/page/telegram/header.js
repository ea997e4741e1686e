// Draws the head of a chat: its name, what happens in it, and its topics.

import { drawPersonSwitch } from "./chat_list.js";
import { icon } from "./icons.js";
import { avatar } from "./message.js";
import { chatName } from "./names.js";
import { h } from "../dom.js";

const ACTIVITIES = {
  typing: "typing",
  upload_photo: "sending a photo",
  record_video: "recording a video",
  upload_video: "sending a video",
  record_voice: "recording a voice message",
  upload_voice: "sending a voice message",
  upload_document: "sending a file",
  choose_sticker: "choosing a sticker",
  find_location: "choosing a place",
  record_video_note: "recording a video message",
  upload_video_note: "sending a video message",
};

// What a chat action looks like, such as "typing".
export function activityLabel(action) {
  return ACTIVITIES[String(action).toLowerCase()] ?? `unknown action ${action}`;
}

// `activity`: what the bot does at the moment, or empty.
export function drawHeader({ chat, bot, activity, canHaveTopics, people, personId }, context) {
  const name = chatName(chat, bot);
  const count = chat.members.length + 1;
  const status = chat.type === "private" ? "bot" : `${count} members`;
  return h(
    "header",
    { class: "chat-header", key: "header" },
    h(
      "button",
      {
        type: "button",
        class: "icon-button back",
        "aria-label": "Back to the chats",
        onclick: context.actions.closeChat,
      },
      icon("back"),
    ),
    h(
      "button",
      { type: "button", class: "chat-title", "aria-haspopup": "dialog", onclick: context.actions.openProfile },
      avatar(name, chat.type === "private" ? bot.id : chat.id),
      h(
        "span",
        { class: "chat-title-text" },
        h("span", { class: "chat-title-name" }, name),
        h(
          "span",
          { class: activity ? "chat-status activity" : "chat-status" },
          activity ? [activity, drawDots()] : status,
        ),
      ),
    ),
    drawPersonSwitch(people, personId, context),
    canHaveTopics &&
      h(
        "button",
        {
          type: "button",
          class: "icon-button",
          "aria-label": "New topic",
          title: "New topic",
          onclick: context.actions.askForTopic,
        },
        icon("plus"),
      ),
  );
}

function drawDots() {
  return h("span", { class: "dots", "aria-hidden": "true" }, h("i"), h("i"), h("i"));
}

// The topics of a chat as tabs. `entries`: `{threadId, name, unread}`; the general one has `threadId` null.
export function drawTopics(entries, openThreadId, context) {
  return h(
    "nav",
    { class: "topics", key: "topics", "aria-label": "Topics" },
    entries.map(({ threadId, name, unread }) =>
      h(
        "button",
        {
          key: `topic-${threadId}`,
          type: "button",
          class: threadId === openThreadId ? "topic open" : "topic",
          "aria-current": threadId === openThreadId ? "true" : null,
          onclick: () => context.actions.openTopic(threadId),
        },
        h("span", null, name),
        unread > 0 && h("span", { class: "unread", "aria-label": `${unread} unread` }, unread),
      ),
    ),
  );
}
