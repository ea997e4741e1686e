import assert from "node:assert/strict";
import { test } from "node:test";

import { drawRichMessage, plainBlocks } from "../../../../bots/sandbox/page/telegram/rich_blocks.js";
import { findAll, recordingContext, textOf } from "./context.mjs";

const draw = (blocks, changes) => drawRichMessage({ blocks }, recordingContext(changes));
const tags = (tree, tag) => findAll(tree, (node) => node.tag === tag);
const problems = (tree) => findAll(tree, (node) => node.properties.class === "unknown-block").map(textOf);

test("a table has its header cells, alignments and spans", () => {
  const cell = (text, more) => ({ text, align: "left", valign: "middle", ...more });
  const cells = [
    [cell("Name", { is_header: true, colspan: 2 })],
    [cell({ type: "bold", text: "a" }), cell("1", { align: "right" })],
    [{ align: "left", valign: "top" }],
  ];
  const tree = draw([{ type: "table", cells, is_bordered: true, caption: "Sizes" }]);
  assert.deepEqual(
    tags(tree, "th").map((th) => [textOf(th), th.properties.colspan]),
    [["Name", 2]],
  );
  assert.match(tags(tree, "td")[1].properties.class, /align-right/);
  assert.match(tags(tree, "td")[2].properties.class, /invisible/);
  assert.equal(textOf(tags(tree, "strong")[0]), "a");
  assert.equal(tags(tree, "table")[0].properties.class, "bordered");
  assert.equal(tags(tree, "figure")[0].properties["aria-label"], "Sizes");
});

test("lists keep the labels that Telegram sends, checklists say what is done", () => {
  const paragraph = (text) => [{ type: "paragraph", text }];
  const items = [
    { label: "7.", value: 7, type: "1", blocks: paragraph("seven") },
    { label: "•", has_checkbox: true, is_checked: true, blocks: paragraph("bought") },
    { label: "•", has_checkbox: true, blocks: paragraph("cooked") },
  ];
  const tree = draw([{ type: "list", items }]);
  assert.deepEqual(tags(tree, "li").map(textOf), ["7.seven", "bought", "cooked"]);
  const checkboxes = findAll(tree, (node) => node.properties.role === "img");
  assert.deepEqual(
    checkboxes.map((box) => box.properties["aria-label"]),
    ["Done", "To do"],
  );
});

test("a formula is MathML if the server made it, otherwise its source", () => {
  const blocks = [{ type: "paragraph", text: ["so ", { type: "mathematical_expression", expression: "x^2" }] }];
  const math = [
    "math",
    {},
    [
      [
        "msup",
        { onclick: "x" },
        [
          ["mi", {}, ["x"]],
          ["mn", {}, ["2"]],
        ],
      ],
    ],
  ];
  const tree = draw(blocks, { mathml: (tex) => (tex === "x^2" ? math : undefined) });
  assert.equal(textOf(tags(tree, "msup")[0]), "x2");
  assert.deepEqual(tags(tree, "msup")[0].properties, {});
  const source = draw(blocks);
  assert.equal(tags(source, "math").length, 0);
  assert.equal(textOf(source), "so x^2");
});

test("unknown blocks become a visible box, and what follows is drawn", () => {
  const tree = draw([{ type: "hologram" }, null, { type: "constructor" }, { type: "paragraph", text: "end" }]);
  assert.equal(problems(tree).length, 3);
  assert.match(problems(tree)[0], /hologram/);
  assert.equal(textOf(tags(tree, "p")[0]), "end");
});

test("broken blocks and endless nesting become a visible box, never an exception", () => {
  let nested = { type: "paragraph", text: "deep" };
  for (let depth = 0; depth < 100; depth += 1) nested = { type: "blockquote", blocks: [nested] };
  for (const block of [
    nested,
    { type: "table" },
    { type: "list", items: 5 },
    { type: "details", summary: "s" },
    { type: "photo" },
  ]) {
    assert.equal(problems(draw([block])).length, 1, JSON.stringify(block).slice(0, 60));
  }
  assert.equal(problems(draw("no array")).length, 1);
});

test("unknown rich text shows its text", () => {
  const tree = draw([{ type: "paragraph", text: ["a ", { type: "hologram", text: "b" }, { type: "sparkle" }] }]);
  assert.equal(textOf(tree), "a b[sparkle]");
  assert.equal(findAll(tree, (node) => node.properties.class === "unknown").length, 2);
});

test("an expandable quote has a text before Bot API 10.5 and blocks since then", () => {
  const long = "line\n".repeat(9);
  for (const content of [{ text: long }, { blocks: [{ type: "paragraph", text: long }] }]) {
    const tree = draw([{ type: "expandable_blockquote", ...content }]);
    assert.match(textOf(tree), /^(line\n)+/);
    assert.equal(tags(tree, "button").length, 1);
  }
});

test("details are closed unless the bot opened them", () => {
  const block = { type: "details", summary: "More", blocks: [{ type: "paragraph", text: "inside" }] };
  assert.deepEqual(
    tags(draw([block, { ...block, is_open: true }]), "details").map((node) => node.properties.open),
    [undefined, true],
  );
});

test("the summary of a rich message has all texts in one line", () => {
  const blocks = [
    { type: "heading", size: 1, text: "Title" },
    {
      type: "list",
      items: [{ label: "•", blocks: [{ type: "paragraph", text: ["an ", { type: "bold", text: "item" }] }] }],
    },
    { type: "table", cells: [[{ text: "a" }, { text: "b" }]] },
    { type: "mathematical_expression", expression: "x^2" },
    { type: "details", summary: "More", blocks: [{ type: "paragraph", text: "inside" }] },
  ];
  assert.equal(plainBlocks(blocks), "Title an item a b x^2 More inside");
});
