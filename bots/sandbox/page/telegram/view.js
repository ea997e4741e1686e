// The Telegram client: `telegramView(context)` returns the pane's tree. See frame.js for `context`.

import { createActions, pressKey } from "./actions.js";
import { DraftAnimation } from "./draft_animation.js";
import { h } from "../dom.js";
import { drawScreen, selectModel } from "./screen.js";
import { TimelineScroll } from "./timeline_scroll.js";
import { timeFormats } from "./time.js";
import { UiState } from "./ui_state.js";

export function telegramView(context) {
  return view.draw(context);
}

class TelegramView {
  #context = null;
  #element = null;
  #ui = new UiState();
  #time = timeFormats();
  #scroll = new TimelineScroll(() => this.#markRead());
  #animation = new DraftAnimation(() => this.#redraw());
  #shownNotices = new WeakSet();
  // What was drawn of each message event, so that unchanged messages are not drawn again.
  #trees = new WeakMap();
  #actions = createActions({
    ui: this.#ui,
    send: (action, fields) => this.#context.send(action, fields),
    upload: (file) => this.#context.upload(file),
    model: () => this.#model(),
    redraw: () => this.#redraw(),
    page: this.#page(),
  });

  draw(context) {
    this.#context = context;
    const { world, notices } = context.state.telegram;
    if (world === null) return h("p", { class: "telegram loading", role: "status" }, "Waiting for the chats…");
    if (this.#ui.personId === null) this.#restore(context.ui.telegram, world);
    this.#choosePerson(world);
    notices.forEach((notice) => this.#notify(notice));
    const drawn = drawScreen(this.#animated(this.#model()), {
      context: this.#drawingContext(null),
      contextOf: (record) => this.#drawingContext(record),
      memo: (record, item, draw) => this.#memo(record, item, draw),
    });
    return h("div", { class: "telegram", hook: (element) => this.#afterDrawing(element) }, drawn);
  }

  #redraw() {
    const { personId: person, chatId: chat, threadId: thread } = this.#ui;
    this.#context.setUi("telegram", { person, chat, thread });
  }

  #model() {
    return selectModel(this.#context.state.telegram, this.#ui, Date.now() / 1000);
  }

  // What was open before a reload.
  #restore({ person, chat, thread }, world) {
    const isMember = world.chats.some((one) => one.id === chat && one.members.includes(person));
    if (!world.people.some((one) => one.id === person)) return;
    this.#ui.speakAs(person);
    if (isMember) this.#ui.open(chat, thread);
  }

  #choosePerson({ people, chats }) {
    const ui = this.#ui;
    if (people.some((person) => person.id === ui.personId)) return;
    ui.speakAs(people[0]?.id ?? null);
    const chat = chats.find((one) => one.members.includes(ui.personId));
    if (chat !== undefined) ui.open(chat.id);
  }

  // Shows what the bot answers to a pressed button, once.
  #notify(notice) {
    if (this.#shownNotices.has(notice)) return;
    this.#shownNotices.add(notice);
    const { person, text, show_alert: isAlert } = notice;
    if (person !== this.#ui.personId) return;
    if (isAlert) this.#ui.alert = text;
    else this.#actions.toast(text);
  }

  #animated(model) {
    const { drafts } = model.state;
    const event = drafts[this.#ui.chatId];
    if (event === undefined) return model;
    const animated = { ...drafts, [this.#ui.chatId]: this.#animation.apply(event) };
    return { ...model, state: { ...model.state, drafts: animated } };
  }

  // What drawing needs besides the objects. `record` is the event of the message, or of the drafts of a chat.
  #drawingContext(record) {
    const { message, formulas } = record ?? {};
    const isPressed = (data) =>
      message !== undefined && this.#ui.pressedButtons.has(pressKey(this.#ui.personId, message, data));
    return {
      time: this.#time,
      fileUrl: (fileId) => `/files/telegram/${encodeURIComponent(fileId)}`,
      mathml: (expression) => formulas?.[expression],
      isPressed,
      actions: message
        ? { ...this.#actions, pressButton: (data) => this.#actions.pressButton(message, data) }
        : this.#actions,
    };
  }

  #memo(record, { message, position }, draw) {
    const ui = this.#ui;
    const pressedKeys = [...ui.pressedButtons]
      .filter((key) => key.startsWith(pressKey(ui.personId, message, "")))
      .join();
    const inputs = [ui.personId, pressedKeys, ui.menuId === message.message_id, ...Object.values(position)].join("|");
    const last = this.#trees.get(record);
    if (last?.inputs === inputs) return last.tree;
    const tree = draw();
    this.#trees.set(record, { inputs, tree });
    return tree;
  }

  #afterDrawing(element) {
    if (this.#element === null) document.addEventListener("pointerdown", (event) => this.#closeMenuOutside(event));
    if (element !== this.#element) {
      this.#element = element;
      this.#scroll.watch(element);
    }
    // The element may not be in the document yet.
    queueMicrotask(() => {
      this.#scroll.follow(this.#ui.place);
      this.#markRead();
    });
  }

  #markRead() {
    const ui = this.#ui;
    const { chat, records } = this.#model();
    const newest = records.at(-1)?.message.message_id;
    if (chat === null || newest === undefined || document.hidden || !this.#scroll.isAtEnd) return;
    if (this.#element.clientHeight === 0 || ui.lastRead(chat.id, ui.threadId) >= newest) return;
    ui.markRead(newest);
    this.#redraw();
  }

  #closeMenuOutside(event) {
    if (this.#ui.menuId === null || event.target.closest?.(".menu, .message-menu-button")) return;
    this.#actions.closeMenu();
  }

  // Unless the person has gone on to another pane while a message was being sent.
  #focusInput() {
    const { activeElement: focused, body } = document;
    if (focused !== body && !this.#element.contains(focused)) return;
    this.#element.querySelector(".composer-text")?.focus();
  }

  #page() {
    return {
      // After the next drawing: what is to get the focus may be new.
      hasMouse: () => matchMedia("(pointer: fine)").matches,
      focusMenuButton: (messageId) =>
        this.#element.querySelector(`[data-message="${messageId}"] > .message-menu-button`)?.focus(),
      selectedText: (messageId) => selectedText(this.#element.querySelector(`[data-message="${messageId}"] .bubble`)),
      focusInput: () => requestAnimationFrame(() => this.#focusInput()),
      scrollToEnd: () => this.#scroll.toEnd("smooth"),
      scrollTo: (messageId) => this.#scroll.to(messageId),
      copy: async (text) => {
        try {
          await navigator.clipboard.writeText(text);
          return true;
        } catch {
          return false;
        }
      },
    };
  }
}

// What is selected within an element.
function selectedText(element) {
  const selection = document.getSelection();
  if (selection.rangeCount === 0 || element === null) return "";
  return element.contains(selection.getRangeAt(0).commonAncestorContainer) ? selection.toString().trim() : "";
}

const view = new TelegramView();
