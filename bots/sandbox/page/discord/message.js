// Draws one message of a channel: who wrote it and when, what it replies to, its content, files, components and reactions,
// and what the person can do with it.

import { h } from "../dom.js";
import { components } from "./components.js";
import { embed } from "./embeds.js";
import { localName } from "./names.js";
import { markdown } from "./nodes.js";

const EPHEMERAL = 1 << 6;
const LOADING = 1 << 7;
const SILENT = 1 << 12;
const COMPONENTS_V2 = 1 << 15;
const SLASH_COMMAND = 2;
const MESSAGE_COMMAND = 3;
const GROUPING_SECONDS = 7 * 60;
const FAILURE_SECONDS = 60;
const EXCERPT_CHARS = 90;
const REACTIONS = ["👍", "❤️", "😂", "🎉", "👀"];

// `context`: {person, names, send, interactions, commands, now, startReply, startEdit, startThread}: `startThread` is
// null where there are no threads.
export function message(event, previous, context) {
  const shown = event.message;
  const isGrouped = continues(event, previous);
  const classes = ["message", isGrouped ? "grouped" : "", event.ephemeral_to ? "ephemeral" : ""];
  return h(
    "li",
    { key: shown.id, id: `discord-message-${shown.id}`, class: classes.filter(Boolean).join(" ") },
    replyLine(shown, context),
    isGrouped ? h("time", { class: "side-time" }, clock(shown)) : h("span", avatar(shown.author)),
    h(
      "div",
      { class: "body" },
      isGrouped ? null : header(shown),
      content(shown, context),
      files(shown),
      (shown.embeds ?? []).map((one) => embed(one, context.names)),
      h("div", { class: "components" }, components(shown.components, { names: context.names, act: actions(event, context) })),
      failure(shown, context),
      reactions(event, context),
      ephemeralNote(event, context),
    ),
    toolbar(event, context),
  );
}

function continues({ message: shown, ephemeral_to: ephemeral }, previous) {
  if (!previous || shown.message_reference || shown.interaction_metadata || ephemeral !== previous.ephemeral_to) return false;
  const elapsed = (Date.parse(shown.timestamp) - Date.parse(previous.message.timestamp)) / 1000;
  return previous.message.author.id === shown.author.id && elapsed < GROUPING_SECONDS;
}

function avatar(author) {
  const hue = Number(BigInt(author.id) % 360n);
  const content = author.bot ? "✦" : author.global_name.slice(0, 1);
  return { class: "avatar", "aria-hidden": "true", style: { "--hue": hue }, "data-letter": content };
}

function header(shown) {
  return h(
    "p",
    { class: "message-header" },
    h("b", { class: "author" }, shown.author.global_name),
    shown.author.bot ? h("span", { class: "badge" }, "APP") : null,
    h("time", { datetime: shown.timestamp }, clock(shown)),
    shown.flags & SILENT ? h("span", { title: "Sent without a notification", role: "img", "aria-label": "Silent" }, "🔕") : null,
  );
}

function clock(shown) {
  return new Date(shown.timestamp).toLocaleTimeString(undefined, { hour: "2-digit", minute: "2-digit" });
}

function replyLine(shown, { names }) {
  const used = shown.interaction_metadata;
  if (used?.type === SLASH_COMMAND) return h("p", { class: "reply-line" }, `${used.user.global_name} used a command`);
  if (!shown.message_reference) return null;
  const target = shown.referenced_message;
  if (!target) return h("p", { class: "reply-line" }, "The original message was deleted");
  const jump = () => {
    const element = document.getElementById(`discord-message-${target.id}`);
    element?.scrollIntoView({ block: "center" });
    element?.classList.add("pointed-at");
    setTimeout(() => element?.classList.remove("pointed-at"), 1500);
  };
  const content = target.content.replace(/<@!?(\d+)>/g, (_all, id) => `@${names.user(id) ?? id}`);
  const excerpt = content.replace(/<\/([^:>]+):\d+>/g, "/$1").slice(0, EXCERPT_CHARS);
  return h(
    "button",
    { type: "button", class: "reply-line", onclick: jump },
    h("b", null, target.author.global_name),
    ` ${excerpt || "Click to see attachment"}`,
  );
}

function content(shown, { names }) {
  if (shown.flags & LOADING) return h("p", { class: "thinking" }, `${shown.author.global_name} is thinking…`);
  if (shown.flags & COMPONENTS_V2 || !shown.content) return null;
  const edited = shown.edited_timestamp ? h("small", { class: "edited" }, "(edited)") : null;
  return h("div", { class: "content" }, markdown(shown.content, names), edited);
}

function files(shown) {
  return (shown.attachments ?? []).map((file) => {
    const url = `/files/discord/${file.id}`;
    if (file.content_type?.startsWith("image/")) {
      return h("a", { class: "picture", href: url, target: "_blank" }, h("img", { src: url, alt: file.filename, loading: "lazy" }));
    }
    return h(
      "a",
      { class: "file", href: url, download: file.filename },
      h("span", { "aria-hidden": "true" }, "📄"),
      h("span", null, file.filename),
      h("small", null, bytes(file.size)),
    );
  });
}

function bytes(size) {
  return size < 1024 ? `${size} bytes` : `${(size / 1024).toFixed(size < 10_240 ? 1 : 0)} KB`;
}

function actions({ message: shown, channel_id: channel }, { person, send, interactions }) {
  const target = { person: person.id, channel, message: shown.id };
  return {
    isBusy: ofMessage(interactions, shown, person).some((one) => one.state === "pending"),
    press: (customId) => send("discord.press", { ...target, custom_id: customId }),
    choose: (customId, values) => send("discord.select", { ...target, custom_id: customId, values }),
  };
}

function ofMessage(interactions, shown, person) {
  return Object.values(interactions).filter((one) => one.message_id === shown.id && one.user_id === person.id);
}

function failure(shown, { interactions, person, now }) {
  const last = ofMessage(interactions, shown, person).at(-1);
  const isShown = last?.state === "failed" && now - last.time < FAILURE_SECONDS;
  return isShown ? h("p", { class: "failure", role: "alert" }, "This interaction failed: the application did not respond.") : null;
}

function reactions(event, { person, send }) {
  const { message: shown, channel_id: channel } = event;
  const present = Object.entries(event.reactions).filter(([, users]) => users.length);
  if (!present.length) return null;
  return h(
    "div",
    { class: "reactions" },
    present.map(([emoji, users]) =>
      h(
        "button",
        {
          type: "button",
          class: "reaction",
          "aria-pressed": String(users.includes(person.id)),
          "aria-label": `${emoji}, ${users.length}`,
          onclick: () => send("discord.react", { person: person.id, channel, message: shown.id, emoji }),
        },
        `${emoji} ${users.length}`,
      ),
    ),
  );
}

function ephemeralNote({ message: shown, channel_id: channel, ephemeral_to: ephemeral }, { person, send }) {
  if (!ephemeral && !(shown.flags & EPHEMERAL)) return null;
  const dismiss = () => send("discord.delete", { person: person.id, channel, message: shown.id });
  return h(
    "p",
    { class: "ephemeral-note" },
    "👁 Only you can see this • ",
    h("button", { type: "button", class: "link", onclick: dismiss }, "Dismiss message"),
  );
}

function toolbar(event, { person, send, commands, startReply, startEdit, startThread }) {
  const { message: shown, channel_id: channel } = event;
  const target = { person: person.id, channel, message: shown.id };
  const isOwn = shown.author.id === person.id;
  const item = (label, text, action) => h("button", { type: "button", title: label, "aria-label": label, onclick: action }, text);
  const close = (action) => (click) => {
    click.currentTarget.closest("details")?.removeAttribute("open");
    action();
  };
  return h(
    "details",
    { class: "toolbar" },
    h("summary", { "aria-label": "Message actions", title: "Message actions" }, "⋯"),
    h(
      "div",
      { class: "toolbar-menu" },
      h("div", { class: "toolbar-reactions" }, REACTIONS.map((emoji) =>
        item(`React with ${emoji}`, emoji, close(() => send("discord.react", { ...target, emoji }))),
      )),
      event.ephemeral_to ? null : item("Reply", "↩ Reply", close(() => startReply(event))),
      event.ephemeral_to || !startThread ? null : item("Create thread", "🧵 Create thread", close(() => startThread(event))),
      isOwn ? item("Edit message", "✏ Edit", close(() => startEdit(event))) : null,
      isOwn ? item("Delete message", "🗑 Delete", close(() => send("discord.delete", target))) : null,
      commands
        .filter((command) => command.type === MESSAGE_COMMAND)
        .map((command) => {
          const name = localName(command, person);
          return item(name, `⌘ ${name}`, close(() => send("discord.message_command", { ...target, name: command.name })));
        }),
    ),
  );
}
