// What the user has opened and prepared on Telegram's side. The rest of what the view draws comes from the server.

const FIRST_MESSAGES = 100;
const EMPTY_INPUT = Object.freeze({ text: "", replyTo: null, quote: "", editing: null, files: [], asFiles: false });

// Identifies a topic of a chat.
export function placeKey(chatId, threadId) {
  return `${chatId}/${threadId ?? ""}`;
}

export class UiState {
  constructor() {
    this.personId = null;
    this.chatId = null;
    this.threadId = null;
    // The ID of the message whose menu is open, or null.
    this.menuId = null;
    this.menuTop = null;
    // What was selected in that message when the menu was opened.
    this.selection = "";
    // `profile`, `forward`, `topic`, or null. `messageToForward` belongs to `forward`.
    this.dialog = null;
    this.messageToForward = null;
    // The index in the command menu, and whether the menu is open without or closed in spite of a "/".
    this.selectedCommand = -1;
    this.isMenuForced = false;
    this.isMenuHidden = false;
    // What the bot offers for what is typed after its name, or null.
    this.offers = null;
    // The parameter of a link that opened the chat, until Start is pressed.
    this.startParameter = null;
    this.toasts = [];
    this.alert = null;
    this.isSending = false;
    this.pressedButtons = new Set();
    // The ID of the last message that a person has read, by person and place.
    this.lastReadIds = new Map();
    this.inputs = new Map();
    this.shownCounts = new Map();
    this.openThreads = new Map();
  }

  // How many messages of the open chat are drawn.
  get shownCount() {
    return this.shownCounts.get(this.place) ?? FIRST_MESSAGES;
  }

  showEarlier() {
    this.shownCounts.set(this.place, this.shownCount + FIRST_MESSAGES);
  }

  get place() {
    return `${this.personId}:${placeKey(this.chatId, this.threadId)}`;
  }

  // What is prepared in the open chat or topic.
  get input() {
    return this.inputs.get(this.place) ?? EMPTY_INPUT;
  }

  prepare(changes) {
    this.inputs.set(this.place, { ...this.input, ...changes });
  }

  clearInput() {
    for (const { url } of this.input.files) {
      if (url) URL.revokeObjectURL(url);
    }
    this.inputs.delete(this.place);
    this.offers = null;
    this.closeCommandMenu();
  }

  open(chatId, threadId = this.openThreads.get(chatId) ?? null) {
    this.chatId = chatId;
    this.threadId = threadId;
    this.openThreads.set(chatId, threadId);
    this.menuId = null;
    this.startParameter = null;
    this.offers = null;
    this.closeCommandMenu();
  }

  speakAs(personId) {
    this.personId = personId;
    this.dialog = null;
    this.open(null);
  }

  closeCommandMenu() {
    this.isMenuForced = false;
    this.isMenuHidden = false;
    this.selectedCommand = -1;
  }

  lastRead(chatId, threadId) {
    return this.lastReadIds.get(`${this.personId}:${placeKey(chatId, threadId)}`) ?? 0;
  }

  markRead(messageId) {
    this.lastReadIds.set(this.place, Math.max(messageId, this.lastReadIds.get(this.place) ?? 0));
  }
}
