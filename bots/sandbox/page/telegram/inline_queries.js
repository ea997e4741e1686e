// What the bot offers while a person types a question after its name, in any chat.
//
//     "@parley_sandbox_bot why"    asks the bot, once the person pauses, what "why" could become; a result is sent when
//     chosen

import { h } from "../dom.js";

const PAUSE_MS = 400;
const MAX_QUERY = 256;

// What is typed after the bot's name; null when the text does not begin with it.
export function inlineQuery(text, username) {
  const [name, ...rest] = text.split(/\s/);
  return rest.length > 0 && name.toLowerCase() === `@${username}`.toLowerCase() ? rest.join(" ").trim().slice(0, MAX_QUERY) : null;
}

// Asks after a pause in typing. `ask(query)` resolves with the bot's offers, or undefined; `current()` is the query in the
// field of the open chat, or null: the person may have sent the text meanwhile, or gone to another chat.
export class InlineQueries {
  #ui;
  #ask;
  #redraw;
  #current;
  #timer = null;

  constructor({ ui, ask, redraw, current }) {
    this.#ui = ui;
    this.#ask = ask;
    this.#redraw = redraw;
    this.#current = current;
  }

  // `query` is what `inlineQuery` returned for the newest text.
  type(query) {
    clearTimeout(this.#timer);
    this.#ui.offers = null;
    if (query !== null) this.#timer = setTimeout(() => this.#request(query), PAUSE_MS);
  }

  async #request(query) {
    if (query !== this.#current()) return;
    const offers = await this.#ask(query);
    if (query !== this.#current() || offers === undefined) return;
    this.#ui.offers = offers;
    this.#redraw();
  }
}

// `offers` is `{query, results}`, `results` are Telegram's.
export function drawOffers({ results }, actions) {
  return h(
    "ul",
    { class: "command-menu", key: "offers", role: "listbox", "aria-label": "What the bot offers" },
    results.length === 0 &&
      h(
        "li",
        { class: "empty", role: "option", "aria-disabled": "true", "aria-selected": "false" },
        "The bot offers nothing.",
      ),
    results.map((result, index) =>
      h(
        "li",
        {
          key: result.id,
          class: index === 0 ? "command-option selected" : "command-option",
          role: "option",
          "aria-selected": String(index === 0),
          onclick: () => actions.chooseOffer(result.id),
        },
        h("span", { class: "command-name" }, result.title),
        h("span", { class: "command-description" }, result.description ?? ""),
      ),
    ),
  );
}
