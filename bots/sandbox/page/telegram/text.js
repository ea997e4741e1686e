// Draws texts with entities. `context.actions` are what links, commands and buttons do.

import { segments } from "./entities.js";
import { parseDeepLink, safeUrl } from "./links.js";
import { h } from "../dom.js";

// An expandable quote is folded if it is longer.
const MAX_QUOTE_CHARS = 150;
const MAX_QUOTE_LINES = 3;
const TAGS = { bold: "strong", italic: "em", underline: "u", strikethrough: "s" };

// Descriptions of the text, as Telegram's clients show it.
export function drawText(text, entities, context) {
  return segments(text ?? "", entities).map((segment) => drawSegment(segment, context));
}

function drawSegment(segment, context) {
  if (typeof segment === "string") return segment;
  const { entity } = segment;
  const children = segment.children.map((child) => drawSegment(child, context));
  const draw = Object.hasOwn(DRAWINGS, entity.type) ? DRAWINGS[entity.type] : drawUnknown;
  return draw(children, entity, context, flatText(segment));
}

function flatText(segment) {
  return typeof segment === "string" ? segment : segment.children.map(flatText).join("");
}

const DRAWINGS = {
  ...Object.fromEntries(Object.entries(TAGS).map(([type, tag]) => [type, (children) => h(tag, null, children)])),
  spoiler: (children) => drawSpoiler(children),
  code: (children) => h("code", null, children),
  pre: (_children, entity, context, text) => drawCodeBlock(text, entity.language, context),
  blockquote: (children) => h("blockquote", null, children),
  expandable_blockquote: (children, _entity, _context, text) => drawExpandableQuote(children, text),
  text_link: (children, entity, context) => drawLink(children, entity.url, context),
  url: (children, _entity, context, text) => drawLink(children, text, context),
  email: (children, _entity, context, text) => drawLink(children, `mailto:${text}`, context),
  phone_number: (children, _entity, context, text) => drawLink(children, `tel:${text}`, context),
  bot_command: (children, _entity, context, text) => drawCommand(children, text, context),
  mention: (children, _entity, context, text) => drawMention(children, text.slice(1), context),
  text_mention: (children) => h("span", { class: "mention" }, children),
  hashtag: (children) => h("span", { class: "mention" }, children),
  cashtag: (children) => h("span", { class: "mention" }, children),
  custom_emoji: (children, entity) => drawCustomEmoji(children, entity.custom_emoji_id),
  date_time: (children, entity, context) => drawDateTime(children, entity.unix_time, context),
};

function drawUnknown(children, entity) {
  return h("span", { class: "unknown", title: `Unknown entity: ${entity.type}` }, children);
}

// Text that is hidden until it is pressed; then all spoilers of the message are visible.
export function drawSpoiler(children) {
  return h(
    "span",
    {
      class: "spoiler",
      role: "button",
      tabindex: 0,
      "aria-label": "Hidden text. Press to reveal it.",
      onclick: revealSpoilers,
      onkeydown: (event) => {
        if (event.key === "Enter" || event.key === " ") revealSpoilers(event);
      },
    },
    h("span", { class: "spoiler-text" }, children),
  );
}

function revealSpoilers(event) {
  if (event.currentTarget.classList.contains("revealed")) return;
  event.preventDefault();
  event.stopPropagation();
  const message = event.currentTarget.closest("[data-message]") ?? event.currentTarget.parentElement;
  for (const spoiler of message.querySelectorAll(".spoiler")) {
    spoiler.classList.add("revealed");
    for (const name of ["role", "tabindex", "aria-label"]) spoiler.removeAttribute(name);
  }
}

export function drawCodeBlock(text, language, context) {
  return h(
    "div",
    { class: "code-block" },
    h(
      "div",
      { class: "code-header" },
      h("span", { class: "code-language" }, language || "code"),
      h(
        "button",
        {
          type: "button",
          class: "text-button",
          "aria-label": "Copy code",
          onclick: () => context.actions.copy(text),
        },
        "Copy",
      ),
    ),
    h("pre", { tabindex: 0 }, h("code", null, text)),
  );
}

export function drawExpandableQuote(children, text, credit = null) {
  const toggle = (event) => {
    const isOpen = event.currentTarget.closest("blockquote").classList.toggle("open");
    event.currentTarget.setAttribute("aria-expanded", String(isOpen));
    event.currentTarget.textContent = isOpen ? "Show less" : "Show more";
  };
  const isLong = text.length > MAX_QUOTE_CHARS || text.split("\n").length > MAX_QUOTE_LINES;
  return h(
    "blockquote",
    { class: isLong ? "expandable" : "" },
    h("div", { class: "quote-content" }, children),
    credit,
    isLong &&
      h(
        "button",
        { type: "button", class: "text-button quote-toggle", "aria-expanded": "false", onclick: toggle },
        "Show more",
      ),
  );
}

export function drawLink(children, url, context) {
  const deepLink = parseDeepLink(url);
  if (deepLink !== null) {
    const open = (event) => {
      event.preventDefault();
      context.actions.openDeepLink(deepLink);
    };
    return h("a", { href: "#", title: url, onclick: open }, children);
  }
  const href = safeUrl(url);
  if (href === null) return h("span", { class: "unknown", title: `A link that is not opened: ${url}` }, children);
  return h("a", { href, title: url, target: "_blank", rel: "noopener noreferrer" }, children);
}

export function drawCommand(children, command, context) {
  const send = (event) => {
    event.preventDefault();
    context.actions.sendCommand(command);
  };
  return h("a", { href: "#", class: "command", title: `Send ${command}`, onclick: send }, children);
}

export function drawMention(children, username, context) {
  const open = (event) => {
    event.preventDefault();
    context.actions.openDeepLink({ username, start: null, startgroup: null });
  };
  return h("a", { href: "#", class: "mention", onclick: open }, children);
}

export function drawCustomEmoji(children, id) {
  return h("span", { class: "custom-emoji", title: `Custom emoji ${id}` }, children);
}

export function drawDateTime(children, unixTime, context) {
  const date = new Date(Number(unixTime) * 1000);
  if (Number.isNaN(date.getTime())) return h("span", { class: "unknown", title: "A date without a time" }, children);
  return h("time", { datetime: date.toISOString(), title: context.time.full(Number(unixTime)) }, children);
}
