import assert from "node:assert/strict";
import { test } from "node:test";

import { brokenThings } from "../../../../bots/sandbox/page/inside/broken.js";

const MODEL = {
  fault: null, tokens_per_second: 40, original_speed: 40, exhausted: [], removed: [], shrunk: [], overflow: "vllm", shape: "stream",
  reasoning: "field", rejects_system_role: false, requires_alternation: false, rejected_fields: [],
};
const WORKING = { telegram: { fault: null, seconds: 0 }, discord: { fault: null, seconds: 0 }, model: MODEL };

test("each thing that is broken has its own line", () => {
  assert.deepEqual(brokenThings(null), []);
  assert.deepEqual(brokenThings(WORKING), []);
  assert.deepEqual(brokenThings({ ...WORKING, model: null }), []);
  const model = { ...MODEL, exhausted: ["a/one"], removed: ["a/two", "b/three"], tokens_per_second: 5, fault: "credit" };
  assert.deepEqual(brokenThings({ ...WORKING, telegram: { fault: "429", seconds: 20 }, model }), [
    "Telegram says “too many requests” once, for 20 s",
    "Every question: 429: no credit",
    "The models write 5 tokens/s",
    "Today's quota of one is used up",
    "two is not offered",
    "three is not offered",
  ]);
});
