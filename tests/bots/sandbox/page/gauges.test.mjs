import assert from "node:assert/strict";
import { test } from "node:test";

import { gaugesView, usedAt } from "../../../../bots/sandbox/page/inside/gauges.js";
import { EMPTY_STATE } from "../../../../bots/sandbox/page/state.js";
import { findAll, textOf } from "./context.mjs";

const NOW = 1_800_000_000;
const BUDGET = {
  key: "telegram/chat/7", platform: "telegram", name: "chat", scope: "7", limit: 20, used: 5, seconds: 60, time: NOW,
  refill_per_second: 0, frees_in: [], resets_in: null, blocked_for: 0,
};
const WORLD = { chats: [{ id: 7, first_name: "Ann" }] };

// The gauges of one group, as [label, percent, text, class].
function gauges(group, { budgets = [], requests = [], quotas = [] }, seconds = 0) {
  const byKey = Object.fromEntries(budgets.map((one) => [one.key, one]));
  const inside = { ...EMPTY_STATE.inside, budgets: byKey, requests, quotas };
  const state = { ...EMPTY_STATE, telegram: { ...EMPTY_STATE.telegram, world: WORLD }, inside };
  const tree = gaugesView({ state, now: NOW + seconds });
  const [shown] = findAll(tree, (node) => node.properties["aria-label"] === group);
  return shown.children.map((row) => {
    const [meter] = findAll(row, (node) => node.properties.role === "meter");
    if (!meter) return textOf(row);
    const [label, text, bar] = row.children;
    assert.equal(meter.properties["aria-label"], textOf(label));
    assert.equal(meter.properties["aria-valuetext"], textOf(text));
    assert.equal(bar.children[0].properties.style.width, `${meter.properties["aria-valuenow"]}%`);
    return [textOf(label), Number(meter.properties["aria-valuenow"]), textOf(text), row.properties.class.trim()];
  });
}

test("a token bucket refills at its rate, and not beyond", () => {
  const bucket = { ...BUDGET, used: 5, refill_per_second: 0.5 };
  assert.deepEqual([0, 4, 10, 100].map((seconds) => usedAt(bucket, NOW + seconds)), [5, 3, 0, 0]);
  assert.equal(usedAt(bucket, NOW - 10), 5, "the browser's clock may be behind");
});

test("a sliding window frees each call at its own time", () => {
  const window = { ...BUDGET, used: 3, frees_in: [10, 20, 30], refill_per_second: 1 };
  assert.deepEqual([0, 9, 10, 25, 30].map((seconds) => usedAt(window, NOW + seconds)), [3, 3, 2, 1, 0]);
});

test("a fixed window frees all at once", () => {
  const window = { ...BUDGET, used: 4, resets_in: 5, refill_per_second: 1 };
  assert.deepEqual([0, 4.9, 5, 60].map((seconds) => usedAt(window, NOW + seconds)), [4, 4, 0, 0]);
  assert.equal(usedAt({ ...window, resets_in: 0 }, NOW), 0);
});

test("a limit says what is left, or how long a penalty still lasts", () => {
  const label = "Telegram chat, chat with Ann";
  const drawn = (changes, seconds) => gauges("Limits", { budgets: [{ ...BUDGET, ...changes }] }, seconds);
  assert.deepEqual(drawn({}), [[label, 25, "15 of 20 left", "gauge"]]);
  assert.deepEqual(drawn({ used: 16 }), [[label, 80, "4 of 20 left", "gauge full"]]);
  assert.deepEqual(drawn({ used: 30 }), [[label, 100, "0 of 20 left", "gauge full"]]);
  assert.deepEqual(drawn({ used: 10, refill_per_second: 0.5 }, 5), [[label, 38, "12 of 20 left", "gauge"]]);
  assert.deepEqual(drawn({ blocked_for: 10 }, 4), [[label, 25, "wait 6 s", "gauge bad"]]);
  assert.deepEqual(drawn({ blocked_for: 10 }, 10), [[label, 25, "15 of 20 left", "gauge"]]);
});

test("limits disappear: unused ones soon, used ones later", () => {
  const none = ["Limits appear when the bot writes something."];
  const drawn = (changes, seconds) => gauges("Limits", { budgets: [{ ...BUDGET, ...changes }] }, seconds);
  const count = (changes, seconds) => drawn(changes, seconds).filter(Array.isArray).length;
  assert.deepEqual(gauges("Limits", {}), none);
  assert.deepEqual([19, 20].map((seconds) => count({ used: 0 }, seconds)), [1, 0]);
  assert.deepEqual([59, 60].map((seconds) => count({ used: 1 }, seconds)), [1, 0]);
});

test("the fullest limits are shown, in the order of their names", () => {
  const budgets = Array.from({ length: 10 }, (_, index) => ({
    ...BUDGET, key: `telegram/${index}/7`, name: `${index}`, used: 10 - index,
  }));
  const labels = gauges("Limits", { budgets: budgets.toReversed() }).map(([label]) => label);
  assert.deepEqual(labels, budgets.slice(0, 8).map(({ name }) => `Telegram ${name}, chat with Ann`));
});

test("the context shows how full the windows of the latest requests are", () => {
  const request = (number, tokens, context_window = 8000) => ({
    number, model: `maker/m${number}`, prompt_tokens: tokens, completion_tokens: 500, context_window,
  });
  const requests = [request(1, 100), request(2, 1500), request(3, 6500), request(4, 9000, null), request(5, 7500)];
  assert.deepEqual(gauges("Context", { requests }), [
    ["Window of m2", 25, "2,000 of 8,000 tokens", "gauge"],
    ["Window of m3", 88, "7,000 of 8,000 tokens", "gauge full"],
    ["Window of m5", 100, "8,000 of 8,000 tokens", "gauge full"],
  ]);
  assert.deepEqual(gauges("Context", {}), ["The context appears with the first question."]);
});

test("a quota of the day is used up when nothing is left, and a model without one has no share", () => {
  const quotas = [
    { model: "maker/free", used: 1234, limit: null },
    { model: "maker/half", used: 2000, limit: 4000 },
    { model: "maker/used", used: 4100, limit: 4000 },
    { model: "maker/none", used: 0, limit: 0 },
  ];
  assert.deepEqual(gauges("Quotas", { quotas }), [
    ["Today: free", 0, "1,234 tokens today", "gauge"],
    ["Today: half", 50, "2,000 of 4,000 today", "gauge"],
    ["Today: used", 100, "4,100 of 4,000 today", "gauge bad"],
    ["Today: none", 100, "0 of 0 today", "gauge bad"],
  ]);
});
