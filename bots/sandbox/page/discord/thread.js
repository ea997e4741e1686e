// Asks for the name of a thread that begins with a message, and creates it.

import { h } from "../dom.js";
import { dialog } from "./dialog.js";

const MAX_NAME_CHARS = 100;
const MAX_SUGGESTION_CHARS = 40;

// `channel` is that of the message. Direct messages and threads have no threads.
export function canHaveThreads(channel) {
  return channel.sign === "#";
}

// `event` is that of the message. `open(channelId)` shows the new thread.
export function threadForm(event, { person, send, open, close }) {
  const submit = async (form) => {
    const fields = { person: person.id, channel: event.channel_id, message: event.message.id };
    const id = await send("discord.create_thread", { ...fields, name: form.elements.name.value.trim() });
    if (id !== undefined) open(id);
    return id !== undefined;
  };
  const suggestion = event.message.content.replace(/\s+/g, " ").slice(0, MAX_SUGGESTION_CHARS).trim();
  return dialog(
    { key: `thread-${event.message.id}`, title: "Create thread", button: "Create thread", submit, close },
    h("label", { for: "discord-thread-name" }, "Thread name"),
    h("input", { id: "discord-thread-name", name: "name", required: true, maxlength: MAX_NAME_CHARS, placeholder: suggestion, pattern: ".*\\S.*" }),
  );
}
