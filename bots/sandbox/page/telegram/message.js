// Draws one message as a bubble.

import { icon } from "./icons.js";
import { drawKeyboard } from "./keyboard.js";
import { drawMedia, mediaLabel } from "./media.js";
import { colourClass, forwardedFrom, initials, senderName } from "./names.js";
import { drawRichMessage, plainBlocks, unknownBlock } from "./rich_blocks.js";
import { serviceText } from "./service.js";
import { drawText } from "./text.js";
import { h } from "../dom.js";

const ONE_EMOJI =
  "(?:\\p{Emoji_Presentation}|\\p{Emoji}\\uFE0F)(?:\\u200D(?:\\p{Emoji_Presentation}|\\p{Emoji}\\uFE0F?))*";
const EMOJI_ONLY = new RegExp(`^${ONE_EMOJI}(?:\\s*${ONE_EMOJI}){0,2}$`, "u");

// A message in one line, for the chat list and for quotes.
export function summaryOf(message) {
  const text =
    message.text ?? message.caption ?? (message.rich_message ? plainBlocks(message.rich_message.blocks) : "");
  const label = [mediaLabel(message), serviceText(message)].find(Boolean) ?? "";
  return (label && text ? `${label}, ${text}` : label || text).replace(/\s+/g, " ").trim();
}

// `position`: `isOwn`, `isFirst` and `isLast` of consecutive messages of one sender, `hasSender`: whether to name the
// sender. `reactions` are `{emoji, count, isOwn}`. `menu` is the open menu of the message, or null.
export function drawMessage(message, { position, reactions = [], menu = null }, context) {
  const classes = ["message", position.isOwn ? "own" : "other", position.isFirst && "first", position.isLast && "last"];
  const name = senderName(message);
  return h(
    "article",
    {
      key: `message-${message.message_id}`,
      class: classes.filter(Boolean).join(" "),
      "data-message": message.message_id,
      "aria-label": `${position.isOwn ? "You" : name}, ${context.time.clock(message.date)}`,
      oncontextmenu: (event) => openMenu(event, message, context),
    },
    position.hasSender && (position.isLast ? avatar(name, message.from?.id) : h("span", { class: "avatar-space" })),
    h(
      "div",
      { class: "message-column" },
      h("div", { class: bubbleClass(message) }, bubbleContent(message, position, reactions, context)),
      drawKeyboard(message.reply_markup, context),
    ),
    menuButton(message, context, menu !== null),
    menu,
  );
}

export function avatar(name, id) {
  return h("span", { class: `avatar ${colourClass(id)}`, "aria-hidden": "true" }, initials(name));
}

function bubbleClass(message) {
  const hasText = Boolean(message.text ?? message.caption ?? message.rich_message);
  const hasPicture = Boolean(message.photo ?? message.animation ?? message.video);
  const hasFile = Boolean(message.document ?? message.voice ?? message.audio);
  const classes = [
    "bubble",
    hasPicture && "with-picture",
    hasPicture && !hasText && "picture-only",
    hasFile && !hasText && "no-text",
    message.sticker && "sticker-only",
    message.rich_message && "with-rich",
  ];
  return classes.filter(Boolean).join(" ");
}

function bubbleContent(message, position, reactions, context) {
  const origin = forwardedFrom(message);
  const media = drawMedia(message, context);
  const content = drawContent(message, context);
  return [
    position.hasSender &&
      position.isFirst &&
      h("div", { class: `sender ${colourClass(message.from?.id)}` }, senderName(message)),
    origin && h("div", { class: "forwarded" }, "Forwarded from ", h("b", null, origin)),
    message.via_bot && h("div", { class: "forwarded" }, `via @${message.via_bot.username}`),
    drawReplyQuote(message, context),
    media,
    content,
    media === null && content === null && unknownBlock("a message with nothing that the sandbox can draw"),
    message.receiver_user && h("div", { class: "ephemeral-note" }, icon("eye"), "Only you can see this"),
    reactions.length > 0 && drawReactions(message, reactions, context),
    drawMeta(message, position, context),
  ];
}

function drawContent(message, context) {
  if (message.rich_message) return drawRichMessage(message.rich_message, context);
  const text = message.text ?? message.caption;
  if (text === undefined) return null;
  const entities = message.text === undefined ? message.caption_entities : message.entities;
  return h(
    "div",
    { class: isEmojiOnly(text) ? "text large-emoji" : "text", dir: "auto" },
    drawText(text, entities, context),
  );
}

// Up to three emoji alone are large.
export function isEmojiOnly(text) {
  return EMOJI_ONLY.test(text);
}

function drawReplyQuote(message, context) {
  const original = message.reply_to_message;
  const isTopicStart = original?.forum_topic_created !== undefined && original.message_id === message.message_thread_id;
  if (!original || isTopicStart) return null;
  const quote = message.quote;
  const text = quote ? drawText(quote.text, quote.entities, context) : summaryOf(original);
  return h(
    "button",
    {
      type: "button",
      class: `reply-quote ${colourClass(original.from?.id)}`,
      title: "Go to the message",
      onclick: () => context.actions.scrollTo(original.message_id),
    },
    h("span", { class: "visually-hidden" }, "Reply to "),
    h("span", { class: "reply-name" }, senderName(original)),
    h("span", { class: "reply-text" }, text),
  );
}

function drawReactions(message, reactions, context) {
  return h(
    "div",
    { class: "reactions", role: "group", "aria-label": "Reactions" },
    reactions.map((reaction) =>
      h(
        "button",
        {
          type: "button",
          class: reaction.isOwn ? "reaction own" : "reaction",
          "aria-pressed": String(reaction.isOwn),
          title: reaction.names.join(", "),
          onclick: () => context.actions.react(message, reaction.isOwn ? null : reaction.emoji),
        },
        h("span", { class: "reaction-emoji" }, reaction.emoji),
        h("span", { class: "reaction-count" }, reaction.names.length),
        h("span", { class: "visually-hidden" }, `, ${reaction.names.join(", ")}`),
      ),
    ),
  );
}

function drawMeta(message, position, context) {
  const isEdited = message.edit_date !== undefined;
  return h(
    "span",
    { class: "meta", title: context.time.full(message.date) },
    isEdited && h("span", { class: "edited" }, "edited "),
    h("time", { datetime: new Date(message.date * 1000).toISOString() }, context.time.clock(message.date)),
    position.isOwn && h("span", { class: "sent-mark", "aria-label": "sent", role: "img" }, " ✓"),
  );
}

function menuButton(message, context, isOpen) {
  return h(
    "button",
    {
      type: "button",
      class: "message-menu-button",
      "aria-label": "What to do with this message",
      "aria-haspopup": "menu",
      "aria-expanded": String(isOpen),
      // Otherwise the press would end the selection of what is to be quoted.
      onmousedown: (event) => event.preventDefault(),
      onclick: (event) => openMenu(event, message, context),
    },
    icon("more"),
  );
}

function openMenu(event, message, context) {
  if (event.target.closest?.("a, .menu") && event.type === "contextmenu") return;
  event.preventDefault();
  const top = event.type === "contextmenu" ? event.clientY - event.currentTarget.getBoundingClientRect().top : null;
  context.actions.openMessageMenu(message, top);
}
