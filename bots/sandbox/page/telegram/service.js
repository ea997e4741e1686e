// Service messages: what happened in a chat, in one line.

import { userName } from "./names.js";

const NOTICES = {
  forum_topic_created: (message, created) => `${userName(message.from)} created the topic “${created.name}”`,
  forum_topic_edited: (message, edited) => `${userName(message.from)} renamed the topic to “${edited.name ?? "…"}”`,
  forum_topic_closed: (message) => `${userName(message.from)} closed the topic`,
  forum_topic_reopened: (message) => `${userName(message.from)} reopened the topic`,
  new_chat_members: (message, members) => {
    const names = members.map(userName).join(", ");
    return names === userName(message.from) ? `${names} joined the group` : `${userName(message.from)} added ${names}`;
  },
  left_chat_member: (message, member) =>
    member.id === message.from?.id
      ? `${userName(member)} left the group`
      : `${userName(message.from)} removed ${userName(member)}`,
  new_chat_title: (message, title) => `${userName(message.from)} renamed the group to “${title}”`,
  pinned_message: (message) => `${userName(message.from)} pinned a message`,
  group_chat_created: (message) => `${userName(message.from)} created the group`,
  supergroup_chat_created: () => "The group was created",
  migrate_to_chat_id: () => "The group was upgraded to a supergroup",
  migrate_from_chat_id: () => "The group was upgraded to a supergroup",
};

// What a service message says; empty for any other message.
export function serviceText(message) {
  const field = Object.keys(NOTICES).find((name) => message[name] !== undefined);
  return field === undefined ? "" : NOTICES[field](message, message[field]);
}
