// The Discord client: `discordView(context)` returns the pane's tree. See frame.js for `context`.

import { h } from "../dom.js";

const HIDDEN_LOADING = 1 << 7;

export function discordView({ state, ui, setUi, send, now }) {
  const { world, messages, typing } = state.discord;
  if (!world) return h("p", { class: "starting" }, "Waiting for the servers…");
  const person = world.people.find((one) => one.id === ui.discord.person) ?? world.people[0];
  const channels = visibleChannels(world, person);
  const channel = channels.find((one) => one.id === ui.discord.channel) ?? channels[0];
  const listed = Object.values(messages[channel.id] ?? {})
    .filter((event) => event.ephemeral_to === null || event.ephemeral_to === person.id)
    .sort((a, b) => (BigInt(a.message.id) < BigInt(b.message.id) ? -1 : 1));
  const isTyping = (typing[channel.id]?.until ?? 0) > now;

  async function submit(event) {
    event.preventDefault();
    const text = ui.discord.text;
    if ((await send("discord.send", { person: person.id, channel: channel.id, text })) !== undefined) {
      setUi("discord", { text: "" });
    }
  }

  return h(
    "div",
    { class: "discord client" },
    h(
      "div",
      { class: "client-bar" },
      picker("Speak as", world.people, person.id, (one) => one.global_name, (id) =>
        setUi("discord", { person: id, channel: null }),
      ),
      picker("Channel", channels, channel.id, (one) => one.label, (id) => setUi("discord", { channel: id })),
    ),
    h(
      "ol",
      { class: "messages", "aria-label": "Messages", "aria-live": "polite", hook: keepAtEnd },
      listed.length ? null : h("li", { class: "empty" }, `No messages yet. In channels, mention <@${world.bot.id}>.`),
      listed.map((event) => message(event, person, send)),
    ),
    h("p", { class: "typing" }, isTyping ? "Parley is typing…" : ""),
    h(
      "form",
      { class: "composer", onsubmit: submit },
      h("input", {
        "aria-label": "Message to Discord",
        value: ui.discord.text,
        maxlength: 2000,
        oninput: (event) => setUi("discord", { text: event.target.value }),
      }),
      h("button", { type: "submit" }, "Send"),
    ),
  );
}

function visibleChannels(world, person) {
  const direct = world.direct_channels
    .filter((channel) => channel.recipients.some((one) => one.id === person.id))
    .map((channel) => ({ ...channel, label: "Direct messages" }));
  const ofGuilds = world.guilds
    .filter((guild) => guild.members.includes(person.id))
    .flatMap((guild) => guild.channels.map((channel) => ({ ...channel, label: `${guild.name} #${channel.name}` })));
  return [...direct, ...ofGuilds];
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
      { onchange: (event) => choose(event.target.value) },
      options.map((one) => h("option", { value: one.id, selected: one.id === current }, name(one))),
    ),
  );
}

function message({ channel_id: channel, message: shown }, person, send) {
  const items = shown.components.flatMap((row) => row.components ?? []);
  const isLoading = (shown.flags & HIDDEN_LOADING) !== 0;
  return h(
    "li",
    { key: shown.id, class: shown.author.bot ? "from-bot" : "from-person" },
    h("b", null, shown.author.global_name),
    h("p", { class: "plain" }, isLoading ? "Parley is thinking…" : shown.content),
    items
      .filter((item) => item.type === 2 && item.custom_id)
      .map((item) =>
        h(
          "button",
          {
            type: "button",
            disabled: item.disabled,
            onclick: () =>
              send("discord.press", { person: person.id, channel, message: shown.id, custom_id: item.custom_id }),
          },
          item.label ?? item.emoji?.name ?? "",
        ),
      ),
  );
}
