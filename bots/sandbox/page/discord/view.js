// The Discord client: `discordView(context)` returns the pane's tree. See frame.js for `context`. It draws what the bot
// sent to Discord, not what it meant: Discord's own Markdown, embeds, components and forms.

import { h } from "../dom.js";
import { newCommand } from "./commands.js";
import { composer } from "./composer.js";
import { message } from "./message.js";
import { modal, openForm } from "./modal.js";
import { channelGroups, sidebar } from "./sidebar.js";
import { canHaveThreads, threadForm } from "./thread.js";

const CHAT_INPUT = 1;
const END_TOLERANCE_PX = 60;
const MAX_CLOSED_FORMS = 50;

export function discordView({ state, ui: allUi, setUi: setAnyUi, send, upload, now }) {
  const { world, messages, typing, commands, interactions } = state.discord;
  if (!world) return h("p", { class: "starting" }, "Waiting for the servers…");
  const ui = allUi.discord;
  const setUi = (values) => setAnyUi("discord", values);
  const person = world.people.find((one) => one.id === ui.person) ?? world.people[0];
  const groups = channelGroups(world, person);
  const channels = groups.flatMap((group) => group.channels);
  const channel = channels.find((one) => one.id === ui.channel) ?? channels[0];
  const visible = visibleMessages(messages, channel.id, person);
  const unread = (id) => (id === channel.id ? 0 : visibleMessages(messages, id, person).filter(isNewerThan(ui.read[id])).length);
  const names = { ...namesOf(world), startCommand: (name) => commandStarter(name, commands, setUi) };
  const title = channel.sign === "@" ? `@${channel.label}` : `#${channel.label}`;

  const chooseChannel = (id) => setUi({ channel: id, replyTo: null, editing: null, command: null, read: { ...ui.read, ...lastIds(messages) } });
  const choosePerson = (id) => setUi({ person: id, channel: null, replyTo: null, editing: null, command: null, read: lastIds(messages) });
  const context = {
    person, names, send, interactions, commands, now,
    startThread: canHaveThreads(channel) ? (event) => setUi({ threadOf: event.message.id }) : null,
    startReply: (event) => setUi({ replyTo: event.message.id, editing: null }),
    startEdit: (event) => setUi({ editing: event.message.id, replyTo: null, text: event.message.content }),
  };
  const form = openForm(interactions, person, ui.closedForms);
  const closeForm = () => setUi({ closedForms: [...ui.closedForms, form.interaction_id].slice(-MAX_CLOSED_FORMS) });
  const threadOf = visible.find((event) => event.message.id === ui.threadOf);

  return h(
    "div",
    { class: "discord client" },
    sidebar(groups, { channel, person, people: world.people, unread, choosePerson, chooseChannel }),
    h(
      "div",
      { class: "channel-pane" },
      h("h2", { class: "channel-title" }, title),
      h(
        "ol",
        { class: "messages", key: channel.id, "aria-label": "Messages", "aria-live": "polite", tabindex: "0", onscroll: noteScroll, hook: keepAtEnd },
        visible.length ? null : h("li", { class: "empty" }, emptyText(channel, world)),
        visible.map((event, index) => message(event, visible[index - 1], context)),
      ),
      h("p", { class: "typing", role: "status" }, (typing[channel.id]?.until ?? 0) > now ? `${world.bot.global_name} is typing…` : ""),
      composer({
        ui, setUi, getUi: () => allUi.discord, send, upload, person, channel, commands, title, messages: visible,
        mention: (text) => withMentions(text, world),
      }),
    ),
    form ? modal(form, { close: closeForm, send }) : null,
    threadOf && !form
      ? threadForm(threadOf, { person, send, open: chooseChannel, close: () => setUi({ threadOf: null }) })
      : null,
  );
}

function visibleMessages(messages, channelId, person) {
  return Object.values(messages[channelId] ?? {})
    .filter((event) => event.ephemeral_to === null || event.ephemeral_to === person.id)
    .sort((a, b) => (BigInt(a.message.id) < BigInt(b.message.id) ? -1 : 1));
}

function isNewerThan(id) {
  return (event) => BigInt(event.message.id) > BigInt(id ?? 0);
}

function lastIds(messages) {
  const newest = (channel) => Object.keys(channel).reduce((a, b) => (BigInt(a) > BigInt(b) ? a : b), "0");
  return Object.fromEntries(Object.entries(messages).map(([id, channel]) => [id, newest(channel)]));
}

function namesOf(world) {
  const users = new Map([world.bot, ...world.people].map((one) => [one.id, one.global_name]));
  const channels = new Map(world.guilds.flatMap((guild) => guild.channels).map((one) => [one.id, one.name]));
  return { user: (id) => users.get(id), channel: (id) => channels.get(id), role: () => undefined };
}

// A click on a mention of a command fills the composer and sends nothing.
function commandStarter(name, commands, setUi) {
  const command = commands.find((one) => one.type === CHAT_INPUT && one.name === name);
  return command && (() => setUi({ command: newCommand(command), text: "", replyTo: null, editing: null }));
}

// "@Parley" becomes a mention, as when it is chosen from a client's list.
function withMentions(text, world) {
  return [world.bot, ...world.people].reduce((result, one) => result.replaceAll(`@${one.global_name}`, `<@${one.id}>`), text);
}

function emptyText(channel, world) {
  const name = world.bot.global_name;
  if (channel.sign === "@") return `This is the beginning of your direct messages with ${name}. Say hello, or type / for its commands.`;
  return `Welcome to #${channel.label}. Mention the bot with @${name}, or type / for its commands.`;
}

// Follows new messages, unless the person has scrolled up.
function keepAtEnd(list) {
  if (list.dataset.isScrolledUp !== "yes") list.scrollTop = list.scrollHeight;
}

function noteScroll(event) {
  const list = event.currentTarget;
  const distance = list.scrollHeight - list.scrollTop - list.clientHeight;
  list.dataset.isScrolledUp = distance > END_TOLERANCE_PX ? "yes" : "no";
}
