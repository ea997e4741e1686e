import assert from "node:assert/strict";
import { test } from "node:test";

import { segments, textStart } from "../../../../bots/sandbox/page/telegram/entities.js";

const entity = (type, offset, length) => ({ type, offset, length });

/** Segments as text: <b>…</b> with the entity's type as the tag. */
function markup(text, entities) {
  const draw = (node) =>
    typeof node === "string" ? node : `<${node.entity.type}>${node.children.map(draw).join("")}</${node.entity.type}>`;
  return segments(text, entities).map(draw).join("");
}

test("nested entities are nested, the longer one outside", () => {
  const entities = [entity("italic", 2, 3), entity("bold", 0, 7), entity("underline", 2, 3)];
  assert.equal(markup("ab cd e", entities), "<bold>ab<italic><underline> cd</underline></italic> e</bold>");
});

test("an overlapping entity goes on after the end of the first", () => {
  const entities = [entity("bold", 0, 4), entity("italic", 2, 4), entity("code", 3, 5)];
  assert.equal(
    markup("abcdefgh", entities),
    "<bold>ab<italic>c<code>d</code></italic></bold><code><italic>ef</italic>gh</code>",
  );
});

test("offsets count UTF-16 units, so emoji count twice", () => {
  const text = "😀 bold 👩‍👩‍👧 end";
  assert.equal(
    markup(text, [entity("bold", 3, 4), entity("italic", 8, 8)]),
    "😀 <bold>bold</bold> <italic>👩‍👩‍👧</italic> end",
  );
});

test("entities outside of the text are cut and broken ones ignored", () => {
  const entities = [entity("bold", 2, 50), entity("italic", -3, 4), entity("code", 90, 2), { type: "pre" }, null];
  assert.equal(markup("abcd", entities), "<italic>a</italic>b<bold>cd</bold>");
  assert.equal(markup("abcd", undefined), "abcd");
});

test("the line breaks around a block belong to the block", () => {
  assert.equal(markup("a\nx = 1\n\nb", [entity("pre", 2, 5)]), "a<pre>x = 1</pre>\nb");
  assert.equal(
    markup("a\nb\n", [entity("blockquote", 0, 1), entity("pre", 2, 1)]),
    "<blockquote>a</blockquote><pre>b</pre>",
  );
});

test("a growing text never ends with half of a character", () => {
  assert.equal(textStart("a😀b", 2), "a");
  assert.equal(textStart("a😀b", 3), "a😀");
  assert.equal(textStart("a😀b", 99), "a😀b");
});
