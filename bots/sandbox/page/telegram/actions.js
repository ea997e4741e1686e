// What people do on Telegram's side.

import { commandText } from "./commands.js";
import { InlineQueries, inlineQuery } from "./inline_queries.js";
import { lastEditable, quotable, splitText } from "./selection.js";

const MAX_CAPTION = 1024;
const MAX_FILES = 10;
const TOAST_MILLISECONDS = 5000;

// `send(action, fields)` asks the server; a failure has been shown to the person, and its result is undefined.
// `upload(file)` does the same for a file, and its result is the upload's ID. `model()` is what is drawn at present, `redraw()` draws it again. `page` does what
// needs the page: `focusInput()`, `scrollTo(id)`, `scrollToEnd()`, `copy(text)`.
export function createActions({ ui, send, upload, model, redraw, page }) {
  const changing = (change) => {
    return (...parameters) => {
      change(...parameters);
      redraw();
    };
  };

  function toast(text) {
    const entry = { text };
    ui.toasts = [...ui.toasts.slice(-2), entry];
    setTimeout(
      changing(() => {
        ui.toasts = ui.toasts.filter((other) => other !== entry);
      }),
      TOAST_MILLISECONDS,
    );
    redraw();
  }

  // Whether it succeeded.
  const perform = async (action, fields) => (await send(`telegram.${action}`, fields)) !== undefined;

  const place = () => ({ person: ui.personId, chat: ui.chatId });
  // `fields`: the text, and what belongs to it. `reply` is `{replyTo, quote}`.
  const sendMessage = (fields, { replyTo = null, quote = "" } = {}) => {
    const reply = replyTo ? { reply_to: replyTo.message_id, quote } : {};
    return perform("send", { ...place(), thread: ui.threadId, ...fields, ...reply });
  };

  async function sendFiles(input) {
    let text = input.text.trim();
    const isAlbum = input.files.length > 1 && input.files.every(isPicture);
    const how = { as_file: input.asFiles, album: isAlbum ? crypto.randomUUID() : "" };
    for (const { file } of input.files) {
      const uploadId = await upload(file);
      if (uploadId === undefined || !(await sendMessage({ text, upload: uploadId, ...how }, input))) return false;
      text = "";
    }
    return true;
  }

  const inlineQueries = new InlineQueries({
    ui,
    ask: (text) => send("telegram.type_inline", { ...place(), text }),
    redraw,
    current: () => inlineQuery(ui.input.text, model().world.bot.username),
  });

  async function chooseOffer(resultId) {
    const { query } = ui.offers;
    inlineQueries.type(null);
    ui.clearInput();
    redraw();
    await perform("choose_result", { chat: ui.chatId, query, result: resultId });
    page.scrollToEnd();
    page.focusInput();
  }

  async function deliver(input) {
    if (input.editing) {
      return perform("edit", { ...place(), message: input.editing.message_id, text: input.text.trim() });
    }
    if (input.files.length > 0) return sendFiles(input);
    const [first, ...rest] = splitText(input.text);
    if (!(await sendMessage({ text: first }, input))) return false;
    for (const text of rest) {
      if (!(await sendMessage({ text }))) return false;
    }
    return true;
  }

  async function submit() {
    const { input } = ui;
    if (ui.isSending || (input.text.trim() === "" && input.files.length === 0)) return;
    if (input.files.length > 0 && input.text.trim().length > MAX_CAPTION) {
      toast(`The text with a file may have ${MAX_CAPTION} characters. This one has ${input.text.trim().length}.`);
      return;
    }
    ui.isSending = true;
    const isDone = await deliver(input);
    ui.isSending = false;
    if (isDone && ui.input === input) ui.clearInput();
    redraw();
    page.scrollToEnd();
    page.focusInput();
  }

  async function pressButton(message, data) {
    const key = pressKey(ui.personId, message, data);
    if (ui.pressedButtons.has(key)) return;
    ui.pressedButtons.add(key);
    redraw();
    await perform("press", { person: ui.personId, chat: message.chat.id, message: message.message_id, data });
    ui.pressedButtons.delete(key);
    redraw();
  }

  function openDeepLink({ username, start, startgroup }) {
    const { world } = model();
    if (username.toLowerCase() !== world.bot.username.toLowerCase()) {
      toast(`@${username} is not in the sandbox.`);
    } else if (startgroup !== null) {
      toast("On Telegram, this link offers to add the bot to a group.");
    } else {
      const chat = world.chats.find((one) => one.type === "private" && one.members.includes(ui.personId));
      if (chat === undefined) return;
      ui.open(chat.id, null);
      ui.startParameter = start;
      redraw();
    }
  }

  function startEditing(message) {
    if (message === null) return;
    ui.menuId = null;
    ui.prepare({ editing: message, replyTo: null, quote: "", text: message.text, files: [] });
    redraw();
    page.focusInput();
  }

  return {
    toast,
    submit,
    pressButton,
    chooseOffer,
    closeOffers: changing(() => inlineQueries.type(null)),
    openDeepLink,
    edit: startEditing,
    editLast: () => startEditing(lastEditable(model().records, ui.personId)),
    // In the same chat if the person is in it; from a private chat to the person's own.
    speakAs: changing((personId) => {
      const { world, chat } = model();
      const isThere = (one) => one.members.includes(personId) && (one.id === chat?.id || one.type === "private");
      const next = world.chats.filter(isThere).sort((one) => (one.id === chat?.id ? -1 : 1))[0];
      ui.speakAs(personId);
      if (chat !== null && next !== undefined) ui.open(next.id);
    }),
    openChat: (chatId) => {
      ui.open(chatId);
      redraw();
      // On a touch screen the keyboard would cover the messages.
      if (page.hasMouse()) page.focusInput();
    },
    showEarlier: changing(() => ui.showEarlier()),
    closeChat: changing(() => ui.open(null)),
    openTopic: changing((threadId) => ui.open(ui.chatId, threadId)),
    askForTopic: changing(() => (ui.dialog = "topic")),
    createTopic: async (name) => {
      ui.dialog = null;
      redraw();
      if (name.trim()) await perform("create_topic", { chat: ui.chatId, name: name.trim() });
    },
    openProfile: changing(() => (ui.dialog = "profile")),
    closeDialog: changing(() => (ui.dialog = null)),
    scrollToEnd: () => page.scrollToEnd(),
    closeAlert: changing(() => (ui.alert = null)),
    // `top`: where in the message the menu begins, in pixels; null: below it.
    openMessageMenu: changing((message, top) => {
      ui.menuTop = top;
      ui.menuId = ui.menuId === message.message_id ? null : message.message_id;
      ui.selection = quotable(message, page.selectedText(message.message_id));
    }),
    closeMenu: changing(() => (ui.menuId = null)),
    leaveMenu: () => {
      page.focusMenuButton(ui.menuId);
      ui.menuId = null;
      redraw();
    },
    copy: async (text) => toast((await page.copy(text)) ? "Copied." : "The browser does not allow copying."),
    scrollTo: (messageId) => page.scrollTo(messageId) || toast("This message is not here."),
    sendCommand: (command) => sendMessage({ text: commandText(command, model().chat, model().world.bot.username) }),
    sendSticker: async () => {
      const replyTo = ui.input.replyTo;
      const isSent = await perform("send_sticker", {
        ...place(),
        thread: ui.threadId,
        reply_to: replyTo?.message_id ?? null,
      });
      if (isSent && replyTo) ui.prepare({ replyTo: null, quote: "" });
      redraw();
      page.scrollToEnd();
    },
    sendAsFiles: changing((asFiles) => ui.prepare({ asFiles })),
    start: async () => {
      if (ui.isSending) return;
      ui.isSending = true;
      const text = ui.startParameter ? `/start ${ui.startParameter}` : "/start";
      ui.startParameter = null;
      await sendMessage({ text });
      ui.isSending = false;
    },
    react: (message, emoji) => {
      ui.menuId = null;
      redraw();
      return perform("react", { ...place(), message: message.message_id, emoji: emoji ?? "" });
    },
    reply: (message) => {
      ui.menuId = null;
      ui.prepare({ replyTo: message, quote: ui.selection, editing: null });
      redraw();
      page.focusInput();
    },
    remove: (message) => {
      ui.menuId = null;
      redraw();
      return perform("delete", { ...place(), message: message.message_id });
    },
    askWhereToForward: changing((message) => {
      ui.menuId = null;
      ui.dialog = "forward";
      ui.messageToForward = message;
    }),
    forwardTo: async (chatId) => {
      const message = ui.messageToForward;
      ui.dialog = null;
      redraw();
      const fields = {
        person: ui.personId,
        from_chat: message.chat.id,
        message: message.message_id,
        chat: chatId,
      };
      if (await perform("forward", fields)) {
        ui.open(chatId, null);
        redraw();
      }
    },
    stopDraft: (draft) =>
      perform("stop", { chat: ui.chatId, draft: draft.draft_id, thread: draft.message_thread_id ?? null }),
    write: changing((text) => {
      ui.prepare({ text });
      ui.closeCommandMenu();
      if (text.startsWith("/")) ui.selectedCommand = text.length > 1 ? 0 : -1;
      inlineQueries.type(inlineQuery(text, model().world.bot.username));
    }),
    cancelBar: changing(() =>
      ui.prepare(ui.input.editing ? { editing: null, text: "" } : { replyTo: null, quote: "" }),
    ),
    attach: changing((files) => {
      const known = ui.input.files;
      const added = files.slice(0, MAX_FILES - known.length).map((file) => ({
        id: crypto.randomUUID(),
        file,
        url: isPicture({ file }) ? URL.createObjectURL(file) : null,
      }));
      ui.prepare({ files: [...known, ...added], editing: null });
    }),
    detach: changing((id) => ui.prepare({ files: ui.input.files.filter((file) => file.id !== id) })),
    toggleCommandMenu: () => {
      const isOpen = ui.isMenuForced;
      ui.closeCommandMenu();
      ui.isMenuForced = !isOpen;
      redraw();
      page.focusInput();
    },
    closeCommandMenu: changing(() => {
      ui.closeCommandMenu();
      ui.isMenuHidden = true;
    }),
    selectCommand: changing((index) => (ui.selectedCommand = index)),
    chooseCommand: async (command) => {
      ui.prepare({ text: commandText(command, model().chat, model().world.bot.username) });
      await submit();
    },
  };
}

function isPicture({ file }) {
  return file.type.startsWith("image/");
}

// Identifies a pressed button while the bot has not answered.
export function pressKey(personId, message, data) {
  return `${personId}:${message.chat.id}/${message.message_id}:${data}`;
}
