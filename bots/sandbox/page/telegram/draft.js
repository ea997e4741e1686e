// Draws a draft: the answer that the bot is still writing, which is not a message yet.

import { textStart } from "./entities.js";
import { drawRichMessage } from "./rich_blocks.js";
import { drawText } from "./text.js";
import { h } from "../dom.js";

// `draft`: the parameters of sendMessageDraft or sendRichMessageDraft, and `revealed`, the visible length of its
// text.
export function drawDraft(draft, context) {
  return h(
    "article",
    {
      key: `draft-${draft.draft_id}`,
      class: "message other draft first last",
      "aria-live": "off",
      "aria-busy": "true",
      "aria-label": "The bot is writing",
    },
    h(
      "div",
      { class: "message-column" },
      h("div", { class: draft.rich_message ? "bubble with-rich" : "bubble" }, drawDraftContent(draft, context)),
      draft.can_stop &&
        h(
          "button",
          { type: "button", class: "stop-button", onclick: () => context.actions.stopDraft(draft) },
          h("span", { class: "stop-icon", "aria-hidden": "true" }),
          "Stop",
        ),
    ),
  );
}

function drawDraftContent(draft, context) {
  if (draft.rich_message) return drawRichMessage(draft.rich_message, context);
  if (!draft.text) return h("div", { class: "text thinking" }, "Thinking…");
  const text = textStart(draft.text, draft.revealed ?? draft.text.length);
  return h("div", { class: "text", dir: "auto" }, drawText(text, draft.entities, context));
}
