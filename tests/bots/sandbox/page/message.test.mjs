import assert from "node:assert/strict";
import { test } from "node:test";

import { drawMessage, isEmojiOnly, summaryOf } from "../../../../bots/sandbox/page/telegram/message.js";
import { timelineItems } from "../../../../bots/sandbox/page/telegram/timeline.js";
import { ANN, BEN, botMessage, findAll, recordingContext, textOf } from "./context.mjs";

const POSITION = { isOwn: false, isFirst: true, isLast: true, hasSender: false };
const draw = (message, context = recordingContext(), options = {}) =>
  drawMessage(message, { position: POSITION, ...options }, context);
const byClass = (tree, name) =>
  findAll(tree, (node) =>
    String(node.properties.class ?? "")
      .split(" ")
      .includes(name),
  );

test("buttons press, copy or open", () => {
  const context = recordingContext();
  const keyboard = [
    [
      { text: "Stop", callback_data: "stop:1", style: "danger" },
      { text: "Copy", copy_text: { text: "x = 1" } },
    ],
    [
      { text: "Site", url: "https://example.org" },
      { text: "Pay", pay: true },
    ],
  ];
  const tree = draw(botMessage({ text: "Hi", reply_markup: { inline_keyboard: keyboard } }), context);
  const [stop, copy, site, pay] = byClass(tree, "inline-button");
  assert.equal(byClass(tree, "keyboard-row").length, 2);
  stop.properties.onclick();
  copy.properties.onclick();
  assert.deepEqual(context.calls, [
    ["pressButton", "stop:1"],
    ["copy", "x = 1"],
  ]);
  assert.match(stop.properties.class, /danger/);
  assert.equal(site.properties.href, "https://example.org");
  assert.equal(pay.properties.disabled, true);
});

test("a pressed button is busy until the bot answers", () => {
  const markup = {
    inline_keyboard: [
      [
        { text: "One", callback_data: "1" },
        { text: "Two", callback_data: "2" },
      ],
    ],
  };
  const context = recordingContext({ isPressed: (data) => data === "2" });
  const buttons = byClass(draw(botMessage({ text: "Hi", reply_markup: markup }), context), "inline-button");
  assert.deepEqual(
    buttons.map((button) => button.properties["aria-busy"]),
    [null, "true"],
  );
});

test("an edited message says so", () => {
  assert.equal(byClass(draw(botMessage({ text: "Hi" })), "edited").length, 0);
  assert.equal(byClass(draw(botMessage({ text: "Hi", edit_date: 1_800_021_700 })), "edited").length, 1);
});

test("a reply shows who and what it answers, and the quoted part if there is one", () => {
  const original = { message_id: 3, date: 1_800_021_500, from: ANN, text: "What is a monad?" };
  const plain = byClass(draw(botMessage({ text: "…", reply_to_message: original })), "reply-quote")[0];
  assert.equal(textOf(plain), "Reply to AnnWhat is a monad?");
  const quoted = draw(botMessage({ text: "…", reply_to_message: original, quote: { text: "monad", position: 10 } }));
  assert.equal(textOf(byClass(quoted, "reply-text")[0]), "monad");
});

test("the first message of a topic is not shown as a quote", () => {
  const root = { message_id: 3, date: 1, from: ANN, forum_topic_created: { name: "Maths" } };
  const message = botMessage({ text: "Hi", message_thread_id: 3, is_topic_message: true, reply_to_message: root });
  assert.equal(byClass(draw(message), "reply-quote").length, 0);
});

test("a message with nothing that can be drawn is a visible box", () => {
  assert.equal(byClass(draw(botMessage({ hologram: {} })), "unknown-block").length, 1);
  assert.equal(byClass(draw(botMessage({ text: "Hi" })), "unknown-block").length, 0);
});

test("files can be downloaded, and say so when they are gone", () => {
  const document = { file_id: "file-1", file_name: "notes.md", file_size: 2048 };
  const link = byClass(draw(botMessage({ document, caption: "Here" })), "file")[0];
  assert.deepEqual([link.properties.href, link.properties.download], ["/files/telegram/file-1", "notes.md"]);
  const gone = byClass(draw(botMessage({ document }), recordingContext({ fileUrl: () => null })), "file")[0];
  assert.equal(gone.tag, "div");
  assert.match(textOf(gone), /No longer stored/);
});

test("reactions name who reacted, and pressing one's own takes it back", () => {
  const context = recordingContext();
  const reactions = [
    { emoji: "👀", names: ["Parley"], isOwn: false },
    { emoji: "👍", names: ["Ann", "Ben"], isOwn: true },
  ];
  const message = botMessage({ text: "Hi" });
  const [eyes, thumb] = byClass(draw(message, context, { reactions }), "reaction");
  assert.equal(textOf(thumb), "👍2, Ann, Ben");
  eyes.properties.onclick();
  thumb.properties.onclick();
  assert.deepEqual(context.calls, [
    ["react", message, "👀"],
    ["react", message, null],
  ]);
});

test("summaries name what a message carries", () => {
  assert.equal(summaryOf(botMessage({ text: "two\nlines" })), "two lines");
  assert.equal(summaryOf(botMessage({ photo: [{}], caption: "a cat" })), "Photo, a cat");
  assert.equal(summaryOf(botMessage({ document: { file_name: "a.pdf" } })), "a.pdf");
  assert.equal(summaryOf(botMessage({ from: ANN, new_chat_members: [BEN] })), "Ann added Ben");
});

test("up to three emoji alone are large", () => {
  for (const text of ["👍", "👩‍👩‍👧", "❤️", "🎉 🎉 🎉"]) assert.equal(isEmojiOnly(text), true, text);
  for (const text of ["1", "👍 yes", "", "👍👍👍👍", "#"]) assert.equal(isEmojiOnly(text), false, text);
});

test("messages of one sender within minutes form a group, and days are marked", () => {
  const time = recordingContext().time;
  const message = (id, from, date, fields = { text: "x" }) => ({ message_id: id, from, date, ...fields });
  const noon = 1_800_014_400;
  const messages = [
    message(1, ANN, noon),
    message(2, ANN, noon + 60),
    message(3, BEN, noon + 90),
    message(4, BEN, noon + 4000),
    message(5, BEN, noon + 4001, { new_chat_title: "Team" }),
    message(6, BEN, noon + 90_000),
  ];
  const summary = timelineItems(messages, ANN.id, true, time).map(
    ({ kind, message: { message_id: id }, position: at }) =>
      kind === "message"
        ? `${id}${at.isFirst ? " first" : ""}${at.isLast ? " last" : ""}${at.hasSender ? " named" : ""}`
        : `${kind} ${id}`,
  );
  assert.deepEqual(summary, [
    "day 1",
    "1 first",
    "2 last",
    "3 first last named",
    "4 first last named",
    "service 5",
    "day 6",
    "6 first last named",
  ]);
});
