// The messages of a chat in order: days, groups of messages of one sender, drafts and typing.

import { drawDraft } from "./draft.js";
import { drawMessage } from "./message.js";
import { serviceText } from "./service.js";
import { h } from "../dom.js";

// Seconds between two messages of one sender that still belong together.
const MAX_GROUP_GAP = 600;

// `{kind, message, position}`: `day`, `service` or `message`. `personId` is who looks at the chat.
export function timelineItems(messages, personId, isGroup, time) {
  const items = [];
  messages.forEach((message, index) => {
    const [previous, next] = [messages[index - 1], messages[index + 1]];
    if (previous === undefined || time.dayKey(previous.date) !== time.dayKey(message.date)) {
      items.push({ kind: "day", message });
    }
    if (serviceText(message)) {
      items.push({ kind: "service", message });
      return;
    }
    const isOwn = message.from?.id === personId;
    const position = {
      isOwn,
      isFirst: !belongTogether(previous, message, time),
      isLast: !belongTogether(message, next, time),
      hasSender: isGroup && !isOwn,
    };
    items.push({ kind: "message", message, position });
  });
  return items;
}

function belongTogether(first, second, time) {
  return (
    first !== undefined &&
    second !== undefined &&
    first.from?.id === second.from?.id &&
    second.date - first.date <= MAX_GROUP_GAP &&
    time.dayKey(first.date) === time.dayKey(second.date) &&
    !serviceText(first) &&
    !serviceText(second)
  );
}

// Draws the log of a chat. `contextOf(message)` and `contextOfDraft()` are what drawing needs, `detailsOf(message)`
// are its reactions and its open menu. `memo(item, draw)` is what was drawn last if nothing of the item has changed.
export function drawTimeline(
  { items, drafts, label, now, hasEarlier },
  { contextOf, contextOfDraft, detailsOf, memo },
) {
  return h(
    "div",
    { class: "timeline", key: "timeline", role: "log", "aria-live": "polite", "aria-label": label, tabindex: 0 },
    hasEarlier &&
      h(
        "button",
        { key: "earlier", type: "button", class: "earlier", onclick: contextOfDraft().actions.showEarlier },
        "Earlier messages",
      ),
    items.map((item) =>
      item.kind === "message"
        ? memo(item, () => drawItem(item, contextOf, detailsOf))
        : drawNotice(item, now, contextOf),
    ),
    drafts.map((draft) => drawDraft(draft, contextOfDraft())),
  );
}

function drawItem({ message, position }, contextOf, detailsOf) {
  return drawMessage(message, { position, ...detailsOf(message) }, contextOf(message));
}

function drawNotice({ kind, message }, now, contextOf) {
  const text = kind === "day" ? contextOf(message).time.day(message.date, now) : serviceText(message);
  return h("div", { key: `${kind}-${message.message_id}`, class: "notice" }, h("span", null, text));
}
