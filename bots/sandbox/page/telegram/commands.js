// The bot's command menu: which commands a person is offered in a chat, and which of them match what is being typed.

// The commands for a person, by the order in which the Bot API searches. `registered` are `telegram.commands` events;
// `isAdministrator`: whether the person is one in the group.
export function commandsFor(registered, { chat, language, isAdministrator }) {
  const code = String(language ?? "").slice(0, 2);
  for (const scope of scopesOf(chat, isAdministrator)) {
    for (const languageCode of code ? [code, ""] : [""]) {
      const entry = registered.find((one) => one.scope === scope && one.language_code === languageCode);
      if (entry?.commands.length) return entry.commands;
    }
  }
  return [];
}

function scopesOf(chat, isAdministrator) {
  if (chat.type === "private") return ["all_private_chats", "default"];
  return [...(isAdministrator ? ["all_chat_administrators"] : []), "all_group_chats", "default"];
}

// The commands that begin with what is being typed; null when it is no command.
export function matchingCommands(commands, text) {
  const match = /^\/([a-z0-9_]*)$/i.exec(text);
  if (match === null) return null;
  const start = match[1].toLowerCase();
  return commands.filter(({ command }) => command.startsWith(start));
}

// What the client sends for a command: in groups with the bot's name.
export function commandText(command, chat, botUsername) {
  const name = command.startsWith("/") ? command : `/${command}`;
  return chat.type === "private" || name.includes("@") ? name : `${name}@${botUsername}`;
}
