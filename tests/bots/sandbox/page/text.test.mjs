import assert from "node:assert/strict";
import { test } from "node:test";

import { parseDeepLink, safeUrl } from "../../../../bots/sandbox/page/telegram/links.js";
import { drawText } from "../../../../bots/sandbox/page/telegram/text.js";
import { h } from "../../../../bots/sandbox/page/dom.js";
import { findAll, recordingContext, textOf } from "./context.mjs";

const draw = (text, entities, context = recordingContext()) => h("div", null, drawText(text, entities, context));
const only = (tree, tag) => {
  const found = findAll(tree, (node) => node.tag === tag);
  assert.equal(found.length, 1, `one <${tag}>`);
  return found[0];
};

test("code has its language and a button that copies it", () => {
  const context = recordingContext();
  const tree = draw("x = 1", [{ type: "pre", offset: 0, length: 5, language: "python" }], context);
  assert.equal(textOf(only(tree, "pre")), "x = 1");
  assert.match(textOf(tree), /python/);
  only(tree, "button").properties.onclick();
  assert.deepEqual(context.calls, [["copy", "x = 1"]]);
});

test("an unknown entity is visible as such, with its text", () => {
  const tree = draw("see here", [{ type: "hologram", offset: 4, length: 4 }]);
  const unknown = only(tree, "span");
  assert.equal(unknown.properties.class, "unknown");
  assert.match(unknown.properties.title, /hologram/);
  assert.equal(textOf(unknown), "here");
});

test("names of built-in properties are unknown entities, too", () => {
  const unknown = only(draw("here", [{ type: "constructor", offset: 0, length: 4 }]), "span");
  assert.match(unknown.properties.title, /constructor/);
});

test("a spoiler can be reached and revealed by keyboard, and does not announce its text", () => {
  const spoiler = findAll(
    draw("the end", [{ type: "spoiler", offset: 4, length: 3 }]),
    (node) => node.properties.role === "button",
  )[0];
  assert.equal(spoiler.properties.tabindex, 0);
  assert.doesNotMatch(spoiler.properties["aria-label"], /end/);
});

test("links open other sites and never run scripts", () => {
  const link = only(draw("site", [{ type: "text_link", offset: 0, length: 4, url: "https://example.org/a" }]), "a");
  assert.equal(link.properties.href, "https://example.org/a");
  assert.match(link.properties.rel, /noopener/);
  const script = draw("site", [{ type: "text_link", offset: 0, length: 4, url: "javascript:alert(1)" }]);
  assert.deepEqual(
    findAll(script, (node) => node.tag === "a"),
    [],
  );
  assert.equal(textOf(script), "site");
});

test("addresses without a scheme are web pages", () => {
  assert.equal(safeUrl("example.org/path"), "http://example.org/path");
  assert.equal(safeUrl("localhost:8080"), "http://localhost:8080");
  for (const url of [
    "javascript:alert(1)",
    " JavaScript:alert(1)",
    "data:text/html,x",
    "file:///etc/passwd",
    "",
    null,
  ]) {
    assert.equal(safeUrl(url), null, String(url));
  }
});

test("deep links name the chat and carry a parameter", () => {
  const expected = { username: "some_bot", start: "abc", startgroup: null };
  assert.deepEqual(parseDeepLink("https://t.me/some_bot?start=abc"), expected);
  assert.deepEqual(parseDeepLink("t.me/some_bot?start=abc"), expected);
  assert.deepEqual(parseDeepLink("tg://resolve?domain=some_bot&start=abc"), expected);
  assert.deepEqual(parseDeepLink("tg://resolve?domain=some_bot"), { ...expected, start: null });
  for (const url of ["https://example.org/some_bot?start=a", "https://t.me/c/12/34", "tg://settings", "", null]) {
    assert.equal(parseDeepLink(url), null, String(url));
  }
});

test("a command in a text is sent when it is pressed", () => {
  const context = recordingContext();
  const link = only(draw("try /help now", [{ type: "bot_command", offset: 4, length: 5 }], context), "a");
  link.properties.onclick({ preventDefault: () => {} });
  assert.deepEqual(context.calls, [["sendCommand", "/help"]]);
});

test("a long expandable quote is folded, a short one is not", () => {
  const fold = (text) =>
    findAll(
      draw(text, [{ type: "expandable_blockquote", offset: 0, length: text.length }]),
      (node) => node.tag === "button",
    );
  assert.equal(fold("a\nb\nc\nd").length, 1);
  assert.equal(fold("short").length, 0);
});
