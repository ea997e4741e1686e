// Draws the texts of rich messages: a string, an object with a type, or an array of both.

import { drawCommand, drawCustomEmoji, drawDateTime, drawLink, drawMention, drawSpoiler } from "./text.js";
import { formulaNode } from "./formula.js";
import { drawButton } from "./keyboard.js";
import { h } from "../dom.js";

// Telegram allows 16 levels.
const MAX_DEPTH = 32;

// Descriptions of a `RichText`. What is unknown is visible as such.
export function drawRichText(text, context, depth = 0) {
  if (text === null || text === undefined) return [];
  if (typeof text === "string") return [text];
  if (depth > MAX_DEPTH) return [unknownText("nested too deeply")];
  if (Array.isArray(text)) return text.flatMap((part) => drawRichText(part, context, depth + 1));
  const draw = Object.hasOwn(DRAWINGS, text.type) ? DRAWINGS[text.type] : drawUnknown;
  return [draw(drawRichText(text.text, context, depth + 1), text, context)];
}

// The text without formatting.
export function plainRichText(text) {
  if (typeof text === "string") return text;
  if (Array.isArray(text)) return text.map(plainRichText).join("");
  return text?.expression ?? text?.alternative_text ?? plainRichText(text?.text ?? "");
}

function unknownText(problem) {
  return h("span", { class: "unknown", title: problem }, `[${problem}]`);
}

function drawUnknown(children, text) {
  return h(
    "span",
    { class: "unknown", title: `Unknown rich text: ${text.type}` },
    children.length ? children : `[${text.type}]`,
  );
}

function element(tag, attributes = null) {
  return (children) => h(tag, attributes, children);
}

const DRAWINGS = {
  bold: element("strong"),
  italic: element("em"),
  underline: element("u"),
  strikethrough: element("s"),
  marked: element("mark"),
  subscript: element("sub"),
  superscript: element("sup"),
  code: element("code"),
  spoiler: drawSpoiler,
  mathematical_expression: (_children, text, context) => formulaNode(text.expression, false, context),
  url: (children, text, context) => drawLink(children, text.url, context),
  email_address: (children, text, context) => drawLink(children, `mailto:${text.email_address}`, context),
  phone_number: (children, text, context) => drawLink(children, `tel:${text.phone_number}`, context),
  bank_card_number: element("span", { class: "mention" }),
  hashtag: element("span", { class: "mention" }),
  cashtag: element("span", { class: "mention" }),
  text_mention: element("span", { class: "mention" }),
  mention: (children, text, context) => drawMention(children, text.username, context),
  bot_command: (children, text, context) => drawCommand(children, text.bot_command, context),
  custom_emoji: (_children, text) => drawCustomEmoji(text.alternative_text, text.custom_emoji_id),
  date_time: (children, text, context) => drawDateTime(children, text.unix_time, context),
  button: (_children, text, context) => drawButton(text.button, context),
  anchor: (_children, text) => h("span", { "data-anchor": text.name }),
  anchor_link: (children, text) => anchorLink(children, text.anchor_name),
  reference: (children, text) => h("span", { "data-anchor": text.name }, children),
  reference_link: (children, text) => anchorLink(children, text.reference_name),
};

// A link to an anchor of the same message; without a name to its top.
function anchorLink(children, name) {
  const scroll = (event) => {
    event.preventDefault();
    const message = event.currentTarget.closest("[data-message]");
    const anchors = [...(message?.querySelectorAll("[data-anchor]") ?? [])];
    const target = name ? anchors.find((anchor) => anchor.dataset.anchor === name) : message;
    target?.scrollIntoView({ block: "start", behavior: "smooth" });
  };
  return h("a", { href: "#", onclick: scroll }, children);
}
