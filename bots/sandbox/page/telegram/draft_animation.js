// Lets the text of drafts grow smoothly: what a new version has added appears within a moment, as on Telegram.

// Milliseconds in which the text that a draft has gained appears.
const REVEAL_MILLISECONDS = 350;

// How much of a growing text is visible, in UTF-16 units: `from` units at first, all `length` units after a moment. A
// text that became shorter is visible at once.
export function revealedLength(from, length, elapsedMilliseconds) {
  if (from >= length || elapsedMilliseconds >= REVEAL_MILLISECONDS) return length;
  return from + Math.floor(((length - from) * Math.max(0, elapsedMilliseconds)) / REVEAL_MILLISECONDS);
}

export class DraftAnimation {
  #drafts = new Map();
  #redraw;
  #isScheduled = false;

  constructor(redraw) {
    this.#redraw = redraw;
  }

  // The event with the visible length of each draft's text as `revealed`.
  apply(event) {
    const now = performance.now();
    const drafts = event.drafts.map((draft) => ({ ...draft, revealed: this.#reveal(draft, now) }));
    const ids = new Set(drafts.map(keyOf));
    for (const id of this.#drafts.keys()) {
      if (!ids.has(id)) this.#drafts.delete(id);
    }
    if (drafts.some((draft) => draft.revealed < draft.text.length)) this.#schedule();
    return { ...event, drafts };
  }

  #reveal(draft, now) {
    const key = keyOf(draft);
    let growth = this.#drafts.get(key);
    if (growth?.text !== draft.text) {
      const visible = growth ? revealedLength(growth.from, growth.text.length, now - growth.since) : 0;
      const isContinued = growth !== undefined && draft.text.startsWith(growth.text.slice(0, visible));
      growth = { text: draft.text, from: isContinued ? visible : 0, since: now };
      this.#drafts.set(key, growth);
    }
    const isCalm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    return isCalm ? draft.text.length : revealedLength(growth.from, draft.text.length, now - growth.since);
  }

  #schedule() {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    requestAnimationFrame(() => {
      this.#isScheduled = false;
      this.#redraw();
    });
  }
}

function keyOf(draft) {
  return `${draft.message_thread_id ?? ""}/${draft.draft_id}`;
}
