// What a person sees of the sandbox's Telegram: their chats, the messages of a chat or topic, what is unread.
//
// `world` is the newest `telegram.world` event. `records` are the `telegram.message` events of a chat, in order.

import { serviceText } from "./service.js";

const MAX_QUOTE = 1024;

// The chats that a person is in, the one with the newest message first. `recordsOf(chatId)`: the records of a chat.
export function chatsOf(world, personId, recordsOf) {
  const chats = world.chats.filter((chat) => chat.members.includes(personId));
  const newest = (chat) => visible(recordsOf(chat.id)).at(-1)?.message.date ?? 0;
  return [...chats].sort((first, second) => newest(second) - newest(first));
}

// The records that people see.
export function visible(records) {
  return records.filter((record) => !record.is_deleted);
}

// Of these, the records that one person sees: an ephemeral message has a receiver, who alone gets it.
export function visibleTo(personId, records) {
  return records.filter(({ message }) => (message.receiver_user?.id ?? personId) === personId);
}

export function hasTopics(chat) {
  return chat.is_forum === true || (chat.topics ?? []).length > 0;
}

// The records of a topic; `threadId` null: of the general one. In a chat without topics all of them.
export function recordsIn(chat, records, threadId) {
  if (!hasTopics(chat)) return visible(records);
  return visible(records).filter(({ message }) => {
    if (message.message_id === threadId && message.forum_topic_created) return true;
    return (message.is_topic_message ? message.message_thread_id : null) === threadId;
  });
}

// How many messages of others came after the message that the person read last.
export function unreadCount(records, lastReadId, personId) {
  return visible(records).filter(
    ({ message }) => message.message_id > lastReadId && message.from?.id !== personId && !serviceText(message),
  ).length;
}

// The reactions of a record as `{emoji, names, isOwn}`. `nameOf(userId)`: the name of a person or the bot.
export function reactionsOf(record, personId, nameOf) {
  return Object.entries(record.reactions ?? {})
    .filter(([, users]) => users.length > 0)
    .map(([emoji, users]) => ({ emoji, names: users.map(nameOf), isOwn: users.includes(personId) }));
}

// The person's latest message that can be edited: one of text.
export function lastEditable(records, personId) {
  return (
    visible(records).findLast(({ message }) => message.from?.id === personId && isEditable(message))?.message ?? null
  );
}

export function isEditable(message) {
  return message.text !== undefined && message.forward_origin === undefined;
}

// The part of a message that is selected, if a reply can quote it; otherwise empty.
export function quotable(message, selectedText) {
  const text = message.text ?? message.caption ?? "";
  const isPart = selectedText.length <= MAX_QUOTE && selectedText !== text && text.includes(selectedText);
  return isPart ? selectedText : "";
}

// A text as the messages that clients make of it: Telegram takes 4096 UTF-16 units. Cut after a line or a word if
// there is one in the last quarter.
export function splitText(text, limit = 4096) {
  const parts = [];
  let rest = text.trim();
  while (rest.length > limit) {
    const end = cutPosition(rest, limit);
    parts.push(rest.slice(0, end).trimEnd());
    rest = rest.slice(end).trimStart();
  }
  return rest ? [...parts, rest] : parts;
}

function cutPosition(text, limit) {
  for (const separator of ["\n", " "]) {
    const position = text.lastIndexOf(separator, limit);
    if (position > (limit * 3) / 4) return position;
  }
  const code = text.charCodeAt(limit - 1);
  return code >= 0xd800 && code <= 0xdbff ? limit - 1 : limit;
}
