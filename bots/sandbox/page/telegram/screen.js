// Draws the whole of Telegram's side: the chats, the open chat, dialogs and notices.

import { icon } from "./icons.js";
import { drawChatList } from "./chat_list.js";
import { commandsFor, matchingCommands } from "./commands.js";
import { drawComposer } from "./composer.js";
import { drawAlert, drawForward, drawNewTopic, drawToasts } from "./dialogs.js";
import { activityLabel, drawHeader, drawTopics } from "./header.js";
import { drawMessageMenu } from "./message_menu.js";
import { chatName, userName } from "./names.js";
import { drawEmptyChat, drawProfile, drawStart } from "./profile.js";
import { chatsOf, hasTopics, reactionsOf, recordsIn, unreadCount, visibleTo } from "./selection.js";
import { drawTimeline, timelineItems } from "./timeline.js";
import { h } from "../dom.js";
import { placeKey } from "./ui_state.js";

const GENERAL = { thread_id: null, name: "General" };

// What is drawn: `state` is that of Telegram in state.js, narrowed to what `ui` has opened. `now` in seconds.
export function selectModel(state, ui, now) {
  const { world } = state;
  const recordsOf = (chatId) => visibleTo(ui.personId, Object.values(state.messages[chatId] ?? {}));
  const chats = chatsOf(world, ui.personId, recordsOf);
  const chat = chats.find((one) => one.id === ui.chatId) ?? null;
  const person = world.people.find((one) => one.id === ui.personId);
  const records = chat === null ? [] : recordsIn(chat, recordsOf(chat.id), ui.threadId);
  const isAdministrator = chat !== null && chat.type !== "private" && chat.members[0] === ui.personId;
  const commands =
    chat === null
      ? []
      : commandsFor(Object.values(state.commands), { chat, language: person?.language_code, isAdministrator });
  return { state, ui, now, world, bot: world.bot, chats, chat, person, records, commands, recordsOf };
}

export function drawScreen(model, drawing) {
  const { ui, chat } = model;
  const { context } = drawing;
  return h(
    "div",
    { class: chat === null ? "telegram-screen" : "telegram-screen chat-open" },
    drawChats(model, context),
    chat === null
      ? h(
          "div",
          { class: "conversation nothing-open", key: "none" },
          h("p", { class: "notice" }, h("span", null, "Choose a chat to start messaging")),
          drawToasts(ui.toasts),
        )
      : drawConversation(model, drawing),
    drawOpenDialog(model, context),
    drawAlert(ui.alert, context),
  );
}

function drawChats({ state, ui, world, bot, chats, recordsOf, now }, context) {
  const entries = chats.map((chat) => ({
    chat,
    last: recordsIn({ ...chat, topics: [], is_forum: false }, recordsOf(chat.id), null).at(-1)?.message,
    unread: [GENERAL, ...topicsOf(chat)].reduce((sum, { thread_id: id }) => sum + unreadIn(chat, recordsOf, ui, id), 0),
    activity:
      [GENERAL, ...topicsOf(chat)].map(({ thread_id: id }) => activityIn(state, chat, id, now)).find(Boolean) ?? "",
  }));
  return drawChatList(
    { people: world.people, personId: ui.personId, entries, openChatId: ui.chatId, bot, now },
    context,
  );
}

function topicsOf(chat) {
  return chat.topics ?? [];
}

function unreadIn(chat, recordsOf, ui, threadId) {
  return unreadCount(recordsIn(chat, recordsOf(chat.id), threadId), ui.lastRead(chat.id, threadId), ui.personId);
}

// What the bot does in a chat or topic at the moment; empty: nothing.
function activityIn(state, chat, threadId, now) {
  const typing = state.typing[placeKey(chat.id, threadId)];
  if (!typing?.action || typing.until <= now) return "";
  const label = activityLabel(typing.action);
  return chat.type === "private" ? label : `${userName(state.world.bot)} is ${label}`;
}

function draftsIn(state, chat, threadId) {
  const event = state.drafts[chat.id];
  const drafts = event?.drafts ?? [];
  return drafts.filter((draft) => !hasTopics(chat) || (draft.message_thread_id ?? null) === threadId);
}

function drawConversation(model, drawing) {
  const { context } = drawing;
  const { state, ui, chat, bot, records, now } = model;
  const drafts = draftsIn(state, chat, ui.threadId);
  const activity = drafts.length > 0 ? "typing" : activityIn(state, chat, ui.threadId, now);
  const isNew = records.length === 0 && drafts.length === 0;
  return h(
    "div",
    {
      class: "conversation",
      key: `chat-${ui.place}`,
      ondragover: (event) => markDrop(event, true),
      ondragleave: (event) => markDrop(event, false),
      ondrop: (event) => {
        markDrop(event, false);
        context.actions.attach([...event.dataTransfer.files]);
      },
    },
    drawHeader(
      {
        chat,
        bot,
        activity,
        canHaveTopics: chat.is_forum === true || chat.type === "private",
        people: model.world.people,
        personId: ui.personId,
      },
      context,
    ),
    hasTopics(chat) && drawTopicTabs(model, context),
    isNew ? drawEmptyChat(chat, bot) : drawMessages(model, drafts, drawing),
    drawAboveComposer(ui.toasts, context),
    (isNew && chat.type === "private" && ui.threadId === null) || ui.startParameter !== null
      ? drawStart(context)
      : drawComposer(composerState(model), context),
  );
}

function drawAboveComposer(toasts, { actions }) {
  const label = "Go to the newest message";
  return h(
    "div",
    { class: "above-composer", key: "above" },
    h("button", { type: "button", class: "to-end", "aria-label": label, onclick: actions.scrollToEnd }, icon("down")),
    drawToasts(toasts),
  );
}

function markDrop(event, isOver) {
  if (![...event.dataTransfer.types].includes("Files")) return;
  event.preventDefault();
  event.currentTarget.classList.toggle("drop-target", isOver && event.type === "dragover");
}

function drawTopicTabs({ ui, chat, recordsOf }, context) {
  const entries = [GENERAL, ...topicsOf(chat)].map(({ thread_id: threadId, name }) => ({
    threadId,
    name,
    unread: unreadIn(chat, recordsOf, ui, threadId),
  }));
  return drawTopics(entries, ui.threadId, context);
}

function drawMessages(model, drafts, { context, contextOf, memo }) {
  const { ui, chat, bot, records, now, world, person } = model;
  const recordById = new Map(records.map((record) => [record.message.message_id, record]));
  const recent = records.slice(-ui.shownCount);
  const items = timelineItems(
    recent.map((record) => record.message),
    ui.personId,
    chat.type !== "private",
    context.time,
  );
  const nameOf = (id) => userName(id === bot.id ? bot : world.people.find((one) => one.id === id));
  const detailsOf = (message) => {
    const reactions = reactionsOf(recordById.get(message.message_id), ui.personId, nameOf);
    const ownReaction = reactions.find((reaction) => reaction.isOwn)?.emoji ?? null;
    const isOpen = ui.menuId === message.message_id;
    const menu = isOpen
      ? drawMessageMenu(
          message,
          { isOwn: message.from?.id === person?.id, ownReaction, quote: ui.selection, top: ui.menuTop },
          context,
        )
      : null;
    return { reactions, menu };
  };
  const drawers = {
    detailsOf,
    contextOf: (message) => contextOf(recordById.get(message.message_id)),
    contextOfDraft: () => contextOf(model.state.drafts[chat.id]),
    memo: (item, draw) => memo(recordById.get(item.message.message_id), item, draw),
  };
  return drawTimeline(
    { items, drafts, label: `Messages with ${chatName(chat, bot)}`, now, hasEarlier: recent.length < records.length },
    drawers,
  );
}

function composerState({ ui, commands, chat, bot }) {
  const { input } = ui;
  const matching = ui.isMenuForced && input.text === "" ? commands : matchingCommands(commands, input.text);
  const isOpen = matching !== null && !ui.isMenuHidden && !input.editing && input.files.length === 0;
  return {
    input,
    menu: isOpen ? { commands: matching, selected: Math.min(ui.selectedCommand, matching.length - 1) } : null,
    offers: ui.offers,
    label: `Message to ${chatName(chat, bot)}`,
    isBusy: ui.isSending,
  };
}

function drawOpenDialog({ ui, chat, chats, bot, world, commands }, context) {
  switch (chat === null ? null : ui.dialog) {
    case "profile":
      return drawProfile(
        { chat, bot, people: world.people.filter((one) => chat.members.includes(one.id)), commands },
        context,
      );
    case "forward":
      return drawForward(chats, bot, context);
    case "topic":
      return drawNewTopic(context);
    default:
      return null;
  }
}
