// Draws the bot's profile, and what an empty chat shows of it.

import { drawDialog } from "./dialogs.js";
import { avatar } from "./message.js";
import { chatName, userName } from "./names.js";
import { h } from "../dom.js";

// What a person sees before they have started the bot.
export function drawEmptyChat(chat, bot) {
  if (chat.type !== "private") {
    return h(
      "div",
      { class: "empty-chat", key: "empty" },
      h("p", null, `No messages here yet. Mention @${bot.username} to ask it something.`),
    );
  }
  return h(
    "div",
    { class: "empty-chat", key: "empty" },
    avatar(userName(bot), bot.id),
    h("h3", null, "What can this bot do?"),
    h("p", { dir: "auto" }, bot.description || "The bot has not set a description."),
  );
}

// The button that takes the composer's place until the bot is started.
export function drawStart(context) {
  return h(
    "div",
    { class: "start", key: "start" },
    h("button", { type: "button", class: "start-button", onclick: context.actions.start }, "Start"),
  );
}

// The dialog about the chat: the bot's profile, or the members of a group.
export function drawProfile({ chat, bot, people, commands }, context) {
  const isPrivate = chat.type === "private";
  const name = chatName(chat, bot);
  return drawDialog(
    { key: "profile", label: name, onclose: context.actions.closeDialog },
    h("div", { class: "profile-head" }, avatar(name, isPrivate ? bot.id : chat.id), h("h3", null, name)),
    isPrivate && bot.short_description && h("p", { dir: "auto" }, bot.short_description),
    isPrivate &&
      drawFacts([
        ["Username", `@${bot.username}`],
        ["Bot ID", bot.id],
        ["Description", bot.description],
      ]),
    !isPrivate &&
      drawFacts([
        ["Chat ID", chat.id],
        ["Members", [...people, bot].map(userName).join(", ")],
      ]),
    commands.length > 0 && h("h4", null, "Commands here"),
    h(
      "dl",
      { class: "profile-commands" },
      commands.map(({ command, description }) => [h("dt", null, `/${command}`), h("dd", null, description)]),
    ),
  );
}

function drawFacts(facts) {
  return h(
    "dl",
    { class: "facts" },
    facts.filter(([, value]) => value).map(([term, value]) => [h("dt", null, term), h("dd", { dir: "auto" }, value)]),
  );
}
