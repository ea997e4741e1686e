// The servers with their channels and threads, and the direct messages, of the person who speaks.

import { h } from "../dom.js";

// Groups of channels that the person sees: [{title, channels: [{...Channel, label, isThread}]}].
export function channelGroups(world, person) {
  const direct = world.direct_channels
    .filter((channel) => channel.recipients.some((one) => one.id === person.id))
    .map((channel) => ({ ...channel, label: channel.name ?? world.bot.global_name, sign: "@" }));
  const guilds = world.guilds
    .filter((guild) => guild.members.includes(person.id))
    .map((guild) => ({ title: guild.name, channels: withThreads(guild.channels) }));
  return [{ title: "Direct messages", channels: direct }, ...guilds];
}

function withThreads(channels) {
  const roots = channels.filter((channel) => !channel.parent_id);
  return roots.flatMap((channel) => [
    { ...channel, label: channel.name, sign: "#" },
    ...channels
      .filter((thread) => thread.parent_id === channel.id)
      .map((thread) => ({ ...thread, label: thread.name, sign: "🧵", isThread: true })),
  ]);
}

export function sidebar(groups, { channel, person, people, unread, choosePerson, chooseChannel }) {
  return h(
    "nav",
    { class: "sidebar", "aria-label": "Servers and channels" },
    h(
      "label",
      { class: "speaker" },
      h("span", null, "Speak as"),
      h(
        "select",
        { onchange: (event) => choosePerson(event.target.value) },
        people.map((one) => h("option", { value: one.id, selected: one.id === person.id }, one.global_name)),
      ),
    ),
    h(
      "label",
      { class: "channel-picker" },
      h("span", null, "Channel"),
      h(
        "select",
        { onchange: (event) => chooseChannel(event.target.value) },
        groups.map((group) =>
          h(
            "optgroup",
            { label: group.title },
            group.channels.map((one) =>
              h("option", { value: one.id, selected: one.id === channel.id }, `${one.sign} ${one.label}`),
            ),
          ),
        ),
      ),
    ),
    groups.map((group) =>
      h(
        "section",
        { class: "channel-group", key: group.title },
        h("h3", null, group.title),
        h("ul", null, group.channels.map((one) => entry(one, channel, unread, chooseChannel))),
      ),
    ),
  );
}

function entry(one, current, unread, choose) {
  const count = unread(one.id);
  return h(
    "li",
    { key: one.id },
    h(
      "button",
      {
        type: "button",
        class: `channel ${one.isThread ? "thread" : ""} ${count ? "unread" : ""}`,
        "aria-current": one.id === current.id ? "true" : null,
        onclick: () => choose(one.id),
      },
      h("span", { class: "sign", "aria-hidden": "true" }, one.sign),
      h("span", { class: "channel-name" }, one.label),
      count ? h("span", { class: "count", "aria-label": `${count} new messages` }, String(count)) : null,
    ),
  );
}
