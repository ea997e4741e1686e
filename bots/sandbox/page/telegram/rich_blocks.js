// Draws the blocks of rich messages, as the bot sent them. A block that is unknown or broken becomes a visible box.

import { formulaNode } from "./formula.js";
import { drawButton } from "./keyboard.js";
import { drawMedia } from "./media.js";
import { drawRichText, plainRichText } from "./rich_text.js";
import { drawCodeBlock, drawExpandableQuote } from "./text.js";
import { h } from "../dom.js";

// Telegram allows 16 levels.
const MAX_DEPTH = 32;
const ALIGNMENTS = { left: "left", center: "center", right: "right" };
const VERTICAL_ALIGNMENTS = { top: "top", middle: "middle", bottom: "bottom" };
const MEDIA_BLOCKS = ["photo", "video", "animation", "audio", "voice_note", "document"];

// Descriptions of the blocks of a `RichMessage`.
export function drawRichMessage(rich, context) {
  return h("div", { class: "rich", dir: rich.is_rtl ? "rtl" : "auto" }, drawBlocks(rich.blocks, context, 0));
}

// The text of a rich message in one line, for previews and quotes.
export function plainBlocks(blocks) {
  return array(blocks).map(plainBlock).filter(Boolean).join(" ");
}

function linesOf(blocks) {
  return array(blocks)
    .map((block) => plainRichText(block?.text) || plainBlock(block))
    .join("\n");
}

function plainBlock(block) {
  const cells = array(block?.cells)
    .flat()
    .map((cell) => plainRichText(cell?.text));
  const items = array(block?.items).map((item) => plainBlocks(item?.blocks));
  const texts = [block?.expression, plainRichText(block?.text), plainRichText(block?.summary), ...cells, ...items];
  return [...texts, plainBlocks(block?.blocks)].filter(Boolean).join(" ").replace(/\s+/g, " ").trim();
}

function drawBlocks(blocks, context, depth) {
  if (!Array.isArray(blocks)) return [unknownBlock("blocks that are no array")];
  return blocks.map((block) => drawBlock(block, context, depth));
}

function drawBlock(block, context, depth) {
  if (depth > MAX_DEPTH) return unknownBlock("a block that is nested too deeply");
  const draw = Object.hasOwn(DRAWINGS, block?.type) ? DRAWINGS[block.type] : null;
  if (draw === null) return unknownBlock(`unknown block: ${block?.type ?? "without a type"}`);
  try {
    return draw(block, context, depth);
  } catch (error) {
    return unknownBlock(`broken block: ${block.type} (${error.message})`);
  }
}

// What a view shows in place of something that it cannot draw.
export function unknownBlock(problem) {
  return h("div", { class: "unknown-block", role: "note" }, `⚠ ${problem}`);
}

const DRAWINGS = {
  paragraph: (block, context) => h("p", null, drawRichText(block.text, context)),
  heading: drawHeading,
  footer: (block, context) => h("footer", null, drawRichText(block.text, context)),
  thinking: (block, context) => h("p", { class: "thinking" }, drawRichText(block.text, context)),
  pre: (block, context) => drawCodeBlock(plainRichText(block.text), block.language, context),
  mathematical_expression: (block, context) => formulaNode(block.expression, true, context),
  divider: () => h("hr", null),
  anchor: (block) => h("span", { "data-anchor": block.name }),
  list: drawList,
  table: drawTable,
  blockquote: (block, context, depth) =>
    h("blockquote", null, drawBlocks(block.blocks, context, depth + 1), credit(block, context)),
  expandable_blockquote: (block, context, depth) =>
    // Before Bot API 10.5 with a text, since then with blocks.
    drawExpandableQuote(
      block.blocks ? drawBlocks(block.blocks, context, depth + 1) : drawRichText(block.text, context),
      block.blocks ? linesOf(block.blocks) : plainRichText(block.text),
      credit(block, context),
    ),
  pullquote: (block, context) =>
    h("blockquote", { class: "pull" }, drawRichText(block.text, context), credit(block, context)),
  details: drawDetails,
  buttons: (block, context) =>
    h(
      "div",
      { class: `button-row align-${ALIGNMENTS[block.align] ?? "left"}` },
      block.buttons.map((button) => drawButton(button, context)),
    ),
  collage: (block, context, depth) => drawGroup("collage", block, context, depth),
  slideshow: (block, context, depth) => drawGroup("slideshow", block, context, depth),
  map: (block, context) =>
    h(
      "figure",
      { class: "map" },
      `📍 ${block.location.latitude}, ${block.location.longitude}`,
      caption(block, context),
    ),
  ...Object.fromEntries(MEDIA_BLOCKS.map((type) => [type, drawMediaBlock])),
};

function drawHeading(block, context) {
  const size = Math.min(6, Math.max(1, Number(block.size) || 6));
  return h(
    "div",
    { class: `heading size-${size}`, role: "heading", "aria-level": size + 2 },
    drawRichText(block.text, context),
  );
}

function drawList(block, context, depth) {
  const items = block.items.map((item) =>
    h(
      "li",
      { class: item.has_checkbox ? "task" : null },
      h(
        "span",
        { class: "marker", "aria-hidden": item.has_checkbox ? "true" : null },
        item.has_checkbox && item.value === undefined ? "" : item.label,
      ),
      item.has_checkbox && drawCheckbox(item),
      h("div", { class: "item-content" }, drawBlocks(item.blocks, context, depth + 1)),
    ),
  );
  return h("ul", { class: "blocks", role: "list" }, items);
}

function drawCheckbox(item) {
  const label = item.is_checked ? "Done" : "To do";
  return h("span", { class: item.is_checked ? "checkbox checked" : "checkbox", role: "img", "aria-label": label });
}

function drawTable(block, context) {
  const flags = ["bordered", "striped", "compact"].filter((flag) => block[`is_${flag}`]);
  const rows = block.cells.map((row) =>
    h(
      "tr",
      null,
      row.map((cell) => drawCell(cell, context)),
    ),
  );
  return h(
    "figure",
    { class: "table", role: "region", "aria-label": plainRichText(block.caption) || "Table", tabindex: 0 },
    h("table", { class: flags.join(" ") }, h("tbody", null, rows)),
    block.caption && h("figcaption", null, drawRichText(block.caption, context)),
  );
}

function drawCell(cell, context) {
  const classes = [
    `align-${ALIGNMENTS[cell.align] ?? "left"}`,
    `valign-${VERTICAL_ALIGNMENTS[cell.valign] ?? "middle"}`,
  ];
  const spans = { colspan: span(cell.colspan), rowspan: span(cell.rowspan) };
  if (cell.text === undefined) classes.push("invisible");
  return h(cell.is_header ? "th" : "td", { class: classes.join(" "), ...spans }, drawRichText(cell.text, context));
}

function span(number) {
  return Number.isInteger(number) && number > 1 ? Math.min(number, 100) : null;
}

function drawDetails(block, context, depth) {
  return h(
    "details",
    { open: block.is_open || undefined },
    h("summary", null, drawRichText(block.summary, context)),
    h("div", { class: "details-content" }, drawBlocks(block.blocks, context, depth + 1)),
  );
}

function drawMediaBlock(block, context) {
  const field = block.type === "voice_note" ? "voice" : block.type;
  const media = drawMedia({ [field]: block[block.type], has_media_spoiler: block.has_spoiler }, context);
  return media === null
    ? unknownBlock(`a block without its ${block.type}`)
    : h("figure", null, media, caption(block, context));
}

function drawGroup(name, block, context, depth) {
  return h(
    "figure",
    { class: name },
    h("div", { class: "group" }, drawBlocks(block.blocks, context, depth + 1)),
    caption(block, context),
  );
}

function caption(block, context) {
  return (
    block.caption && h("figcaption", null, drawRichText(block.caption.text, context), credit(block.caption, context))
  );
}

function credit(block, context) {
  return block.credit ? h("cite", null, drawRichText(block.credit, context)) : null;
}

function array(value) {
  return Array.isArray(value) ? value : [];
}
