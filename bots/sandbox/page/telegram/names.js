// Names of people and chats, their colours and initials.

const COLOURS = 7;

export function userName(user) {
  return [user?.first_name, user?.last_name].filter(Boolean).join(" ") || "Deleted account";
}

// The name of a chat for those who are in it: a private chat has the bot's name.
export function chatName(chat, bot) {
  return chat.type === "private" ? userName(bot) : (chat.title ?? "Group");
}

// Who a message is from: a person, the bot, or a chat on whose behalf it was sent.
export function senderName(message) {
  return message.sender_chat ? message.sender_chat.title : userName(message.from);
}

// The class of the colour of a name or an avatar.
export function colourClass(id) {
  return `colour-${Math.abs(Number(id) || 0) % COLOURS}`;
}

export function initials(name) {
  const words = name.split(/\s+/).filter(Boolean);
  return words
    .slice(0, 2)
    .map((word) => [...word][0].toUpperCase())
    .join("");
}

// Who a forwarded message is from; empty if it is not forwarded.
export function forwardedFrom(message) {
  const origin = message.forward_origin;
  if (!origin) return "";
  const chat = origin.sender_chat ?? origin.chat;
  return origin.sender_user ? userName(origin.sender_user) : (origin.sender_user_name ?? chat?.title ?? "unknown");
}
