// Draws the nodes of Discord's Markdown. `names` knows users, roles and channels by their IDs: {user, role, channel}, each
// a function from an ID to a name or undefined. `names.startCommand`, a function from a command's name, returns what a click
// on its mention does, or undefined.

import { h } from "../dom.js";
import { parseMarkdown } from "./markdown.js";

const DRAWN = {
  text: (node) => node.text,
  bold: (node, names) => h("strong", null, draw(node.children, names)),
  italic: (node, names) => h("em", null, draw(node.children, names)),
  underline: (node, names) => h("u", null, draw(node.children, names)),
  strike: (node, names) => h("s", null, draw(node.children, names)),
  spoiler: (node, names) => spoiler(draw(node.children, names)),
  code: (node) => h("code", null, node.text),
  codeBlock: (node) => h("pre", { class: "code", tabindex: "0" }, h("code", { "data-language": node.language }, node.text)),
  heading: (node, names) => h(`h${node.level + 3}`, { class: `heading-${node.level}` }, draw(node.children, names)),
  subtext: (node, names) => h("small", { class: "subtext" }, draw(node.children, names)),
  quote: (node, names) => h("blockquote", null, draw(node.children, names)),
  list: (node, names) =>
    h(
      node.start === null ? "ul" : "ol",
      { start: node.start },
      node.items.map((item) => h("li", null, draw(item, names))),
    ),
  link: (node, names) =>
    h("a", { href: node.url, target: "_blank", rel: "noopener noreferrer nofollow" }, draw(node.children, names)),
  mention: (node, names) => (node.kind === "command" ? commandMention(node.id, names) : h("span", { class: "mention" }, mentionText(node, names))),
  time: (node) => timestamp(node),
};

// Text as a tree for `render`.
export function markdown(source, names) {
  return h("div", { class: "markdown" }, draw(parseMarkdown(source), names));
}

function draw(nodes, names) {
  return nodes.map((node) => DRAWN[node.type](node, names));
}

// It shows the default name in every language.
function commandMention(name, names) {
  const onclick = names.startCommand?.(name);
  return onclick ? h("button", { type: "button", class: "mention", onclick }, `/${name}`) : h("span", { class: "mention" }, `/${name}`);
}

function mentionText({ kind, id }, names) {
  const name = names[kind](id);
  if (kind === "channel") return `#${name ?? "unknown"}`;
  return `@${name ?? (kind === "role" ? "role" : "unknown user")}`;
}

function spoiler(children) {
  const reveal = (event) => {
    if (event.type === "keydown" && event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    event.currentTarget.toggleAttribute("data-revealed");
  };
  const properties = { class: "spoiler", role: "button", tabindex: "0", "aria-label": "Spoiler", onclick: reveal, onkeydown: reveal };
  return h("span", properties, h("span", null, children));
}

const TIME_STYLES = {
  t: { timeStyle: "short" },
  T: { timeStyle: "medium" },
  d: { dateStyle: "short" },
  D: { dateStyle: "long" },
  f: { dateStyle: "long", timeStyle: "short" },
  F: { dateStyle: "full", timeStyle: "short" },
};
const RELATIVE_UNITS = [
  ["day", 86_400],
  ["hour", 3600],
  ["minute", 60],
  ["second", 1],
];

function timestamp({ seconds, style }) {
  const date = new Date(seconds * 1000);
  if (Number.isNaN(date.getTime())) return `<t:${seconds}>`;
  const format = new Intl.DateTimeFormat(undefined, TIME_STYLES[style] ?? TIME_STYLES.f);
  const shown = style === "R" ? relative(seconds - Date.now() / 1000) : format.format(date);
  return h("time", { class: "mention", datetime: date.toISOString() }, shown);
}

function relative(seconds) {
  const [unit, length] = RELATIVE_UNITS.find(([, size]) => Math.abs(seconds) >= size) ?? ["second", 1];
  return new Intl.RelativeTimeFormat(undefined, { numeric: "auto" }).format(Math.round(seconds / length), unit);
}
