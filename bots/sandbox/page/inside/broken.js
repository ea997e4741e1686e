// What is broken at present, in words. `service` is the newest event of that type, or null.

import { shortName } from "./gauges.js";

export const PLATFORM_FAULTS = {
  "": "works",
  429: "says “too many requests” once, for 10 s",
  500: "answers 500",
  502: "answers 502",
  503: "answers 503",
  drop_before: "drops connections before it acts",
  drop_after: "drops connections after it has acted",
  delay: "takes 3 s for each call",
};
export const MODEL_FAULTS = {
  region: "403: country not supported",
  proxy: "403: blocked by a firewall",
  content: "403: content refused",
  streaming: "403: streaming not allowed",
  credit: "429: no credit",
  balance: "402: no balance",
  minute: "429: requests per minute",
  path: "404: wrong address",
  key: "401: wrong key",
  internal: "500: internal error",
  gateway: "502: bad gateway",
  rate: "429: wait 3 s",
  silence: "never answers",
  stall: "falls silent in mid-answer",
  alive: "sends only comments from mid-answer",
  reset: "resets the connection in mid-answer",
  close: "closes the connection in mid-answer",
  end: "ends in mid-answer without a reason",
  event: "reports an error in mid-answer",
  garbage: "sends an unreadable event",
  length: "stops for length",
  thought: "only reasons",
};
const ORIGINAL_OVERFLOW = "vllm";
const ORIGINAL_SHAPE = "stream";
const ORIGINAL_REASONING = "field";

// One text for each thing that “Repair everything” would undo.
export function brokenThings(service) {
  if (!service) return [];
  const platforms = [["Telegram", service.telegram], ["Discord", service.discord]]
    .filter(([, { fault }]) => fault)
    .map(([name, { fault, seconds }]) =>
      fault === "429" ? `${name} says “too many requests” once, for ${seconds} s` : `${name} ${PLATFORM_FAULTS[fault]}`,
    );
  return [...platforms, ...(service.model ? brokenInModel(service.model) : [])];
}

function brokenInModel(model) {
  return [
    model.fault && `Every question: ${MODEL_FAULTS[model.fault] ?? model.fault}`,
    model.tokens_per_second !== model.original_speed && `The models write ${model.tokens_per_second} tokens/s`,
    ...model.exhausted.map((id) => `Today's quota of ${shortName(id)} is used up`),
    ...model.removed.map((id) => `${shortName(id)} is not offered`),
    ...model.shrunk.map((one) => `The window of ${shortName(one.id)} has ${one.context_window} tokens`),
    model.overflow !== ORIGINAL_OVERFLOW && `Context-window errors are worded like those of ${model.overflow}`,
    model.shape !== ORIGINAL_SHAPE && `Answers come as ${model.shape}`,
    model.reasoning !== ORIGINAL_REASONING && `Reasoning comes as ${model.reasoning}`,
    model.rejects_system_role && "The system role is rejected",
    model.requires_alternation && "Questions and answers must alternate",
    ...model.rejected_fields.map((field) => `${field} is rejected`),
  ].filter(Boolean);
}
