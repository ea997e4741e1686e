import assert from "node:assert/strict";
import { test } from "node:test";

import { commandText, commandsFor, matchingCommands } from "../../../../bots/sandbox/page/telegram/commands.js";
import { revealedLength } from "../../../../bots/sandbox/page/telegram/draft_animation.js";
import {
  chatsOf,
  lastEditable,
  reactionsOf,
  recordsIn,
  splitText,
  unreadCount,
} from "../../../../bots/sandbox/page/telegram/selection.js";
import { ANN, BEN, BOT, PRIVATE, botMessage } from "./context.mjs";

const GROUP = { id: -100, type: "supergroup", title: "Team", members: [1001, 1002], topics: [] };
const commands = (...names) => names.map((command) => ({ command, description: command }));
const record = (message, fields = {}) => ({ message, ...fields });

test("the menu of a chat comes from the most specific scope and the person's language", () => {
  const registered = [
    { scope: "default", language_code: "", commands: commands("help") },
    { scope: "default", language_code: "de", commands: commands("hilfe") },
    { scope: "all_group_chats", language_code: "", commands: commands("ask") },
    { scope: "all_chat_administrators", language_code: "", commands: commands("admin") },
    { scope: "all_private_chats", language_code: "de", commands: [] },
  ];
  const names = (options) => commandsFor(registered, options).map(({ command }) => command);
  assert.deepEqual(names({ chat: PRIVATE, language: "de-AT" }), ["hilfe"]);
  assert.deepEqual(names({ chat: PRIVATE, language: "fr" }), ["help"]);
  assert.deepEqual(names({ chat: GROUP, language: "de" }), ["ask"]);
  assert.deepEqual(names({ chat: GROUP, language: "de", isAdministrator: true }), ["admin"]);
});

test("commands are filtered while they are typed", () => {
  const all = commands("model", "models", "new");
  const names = (text) => matchingCommands(all, text)?.map(({ command }) => command) ?? null;
  assert.deepEqual(names("/"), ["model", "models", "new"]);
  assert.deepEqual(names("/Mod"), ["model", "models"]);
  assert.deepEqual(names("/zzz"), []);
  assert.equal(names("/model x"), null);
  assert.equal(names("hello /"), null);
});

test("in groups a command names the bot", () => {
  assert.equal(commandText("help", PRIVATE, "some_bot"), "/help");
  assert.equal(commandText("help", GROUP, "some_bot"), "/help@some_bot");
  assert.equal(commandText("/help@some_bot", GROUP, "some_bot"), "/help@some_bot");
});

test("people see their own chats, the one with the newest message first", () => {
  const world = { chats: [{ ...PRIVATE, members: [1001] }, GROUP, { ...PRIVATE, id: 1002, members: [1002] }] };
  const records = new Map([
    [GROUP.id, [record(botMessage({ date: 50 })), record(botMessage({ date: 99 }), { is_deleted: true })]],
    [1001, [record(botMessage({ date: 60 }))]],
  ]);
  const ids = (person) => chatsOf(world, person, (id) => records.get(id) ?? []).map((chat) => chat.id);
  assert.deepEqual(ids(1001), [1001, -100]);
  assert.deepEqual(ids(1002), [-100, 1002]);
});

test("a topic has its own messages, the general one the others", () => {
  const chat = { ...GROUP, is_forum: true, topics: [{ thread_id: 3, name: "Maths" }] };
  const records = [
    record({ message_id: 3, forum_topic_created: { name: "Maths" }, message_thread_id: 3, is_topic_message: true }),
    record({ message_id: 4, message_thread_id: 3, is_topic_message: true }),
    record({ message_id: 5 }),
    record({ message_id: 6, message_thread_id: 5 }),
    record({ message_id: 7, message_thread_id: 3, is_topic_message: true }, { is_deleted: true }),
  ];
  const ids = (thread) => recordsIn(chat, records, thread).map(({ message }) => message.message_id);
  assert.deepEqual(ids(3), [3, 4]);
  assert.deepEqual(ids(null), [5, 6]);
  assert.deepEqual(recordsIn(GROUP, records, null).length, 4);
});

test("own, read and service messages are not unread", () => {
  const records = [1, 2, 3].map((id) => record(botMessage({ message_id: id, from: id === 2 ? ANN : BEN })));
  records.push(record(botMessage({ message_id: 4, new_chat_title: "Team" })));
  assert.equal(unreadCount(records, 0, ANN.id), 2);
  assert.equal(unreadCount(records, 1, ANN.id), 1);
});

test("the arrow key edits the latest own message of text", () => {
  const records = [
    record(botMessage({ message_id: 1, from: ANN, text: "a" })),
    record(botMessage({ message_id: 2, from: ANN, text: "b" })),
    record(botMessage({ message_id: 3, from: ANN, text: "c", forward_origin: {} })),
    record(botMessage({ message_id: 4, from: ANN, photo: [] })),
    record(botMessage({ message_id: 5, text: "d" })),
  ];
  assert.equal(lastEditable(records, ANN.id).message_id, 2);
  assert.equal(lastEditable(records, BEN.id), null);
});

test("reactions name the people", () => {
  const names = { 1: "Parley", 1001: "Ann" };
  const reactions = reactionsOf({ reactions: { "👀": [BOT.id], "👍": [1001], "🔥": [] } }, ANN.id, (id) => names[id]);
  assert.deepEqual(reactions, [
    { emoji: "👀", names: ["Parley"], isOwn: false },
    { emoji: "👍", names: ["Ann"], isOwn: true },
  ]);
});

test("a long text becomes several messages, cut between words and never within a character", () => {
  assert.deepEqual(splitText("  hello  "), ["hello"]);
  assert.deepEqual(splitText("   "), []);
  assert.deepEqual(splitText("aaaa bbbb cccc", 9), ["aaaa bbbb", "cccc"]);
  assert.deepEqual(splitText("aaaaaaa\nb cc", 9), ["aaaaaaa", "b cc"]);
  assert.deepEqual(splitText("😀😀😀", 3), ["😀", "😀", "😀"]);
  const text = "word ".repeat(3000);
  assert.equal(splitText(text).join(" "), text.trim());
  assert.ok(splitText(text).every((part) => part.length <= 4096));
});

test("a draft grows from what was visible, and shrinks at once", () => {
  assert.equal(revealedLength(10, 110, 0), 10);
  assert.equal(revealedLength(10, 110, 175), 60);
  assert.equal(revealedLength(10, 110, 9999), 110);
  assert.equal(revealedLength(50, 20, 0), 20);
});
