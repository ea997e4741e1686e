import assert from "node:assert/strict";
import { test } from "node:test";

import { drawScreen, selectModel } from "../../../../bots/sandbox/page/telegram/screen.js";
import { UiState } from "../../../../bots/sandbox/page/telegram/ui_state.js";
import { ANN, BEN, BOT, botMessage, recordingContext, textOf } from "./context.mjs";

const GROUP = { id: -100, type: "supergroup", title: "Team", members: [ANN.id, BEN.id], topics: [] };
const WORLD = { bot: BOT, people: [ANN, BEN], chats: [GROUP] };

// The text of the screen for a person who looks at the group, or at the list of chats.
function screenOf(person, messages, isOpen = true) {
  const records = Object.fromEntries(messages.map((message) => [message.message_id, { message, reactions: {} }]));
  const state = { world: WORLD, messages: { [GROUP.id]: records }, drafts: {}, typing: {}, commands: {}, notices: [] };
  const ui = new UiState();
  ui.speakAs(person.id);
  if (isOpen) ui.open(GROUP.id);
  const context = recordingContext();
  const drawing = { context, contextOf: () => context, memo: (_record, _item, draw) => draw() };
  return textOf(drawScreen(selectModel(state, ui, 1_800_022_000), drawing));
}

test("an ephemeral message is shown to its receiver alone, in the chat and in the list of chats", () => {
  const messages = [
    botMessage({ message_id: 1, chat: GROUP, text: "For all" }),
    botMessage({ message_id: 2, chat: GROUP, text: "A secret", receiver_user: ANN }),
  ];
  assert.match(screenOf(ANN, messages), /A secret.*Only you can see this/);
  assert.match(screenOf(ANN, messages, false), /A secret2Choose/);
  for (const isOpen of [true, false]) assert.doesNotMatch(screenOf(BEN, messages, isOpen), /secret|Only you/);
  assert.match(screenOf(BEN, messages, false), /For all1Choose/);
});
