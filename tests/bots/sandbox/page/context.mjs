// What drawing needs, with actions that are recorded.

import { timeFormats } from "../../../../bots/sandbox/page/telegram/time.js";

export function recordingContext(changes = {}) {
  const calls = [];
  const actions = new Proxy(
    {},
    {
      get:
        (_target, name) =>
        (...parameters) =>
          calls.push([name, ...parameters]),
    },
  );
  return {
    calls,
    actions,
    time: timeFormats("en-GB", "UTC"),
    fileUrl: (fileId) => `/files/telegram/${fileId}`,
    mathml: () => undefined,
    isPressed: () => false,
    ...changes,
  };
}

export const BOT = { id: 1, is_bot: true, first_name: "Parley", username: "parley_sandbox_bot" };
export const ANN = { id: 1001, is_bot: false, first_name: "Ann" };
export const BEN = { id: 1002, is_bot: false, first_name: "Ben" };
export const PRIVATE = { id: 1001, type: "private", first_name: "Ann" };

/** A message of the bot in Ann's chat, at 14:00 UTC. */
export function botMessage(fields = {}) {
  return { message_id: 5, date: 1_800_021_600, chat: PRIVATE, from: BOT, ...fields };
}

// The text that a tree shows.
export function textOf(node) {
  return typeof node === "string" ? node : node.children.map(textOf).join("");
}

// All elements of a tree for which `condition` is true, in document order.
export function findAll(node, condition) {
  if (typeof node === "string") return [];
  return [...(condition(node) ? [node] : []), ...node.children.flatMap((child) => findAll(child, condition))];
}
