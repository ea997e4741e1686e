// Reads Discord's Markdown as Discord's clients do, into nodes that `nodes.js` draws. Pure functions.
//
//     parseMarkdown("**a** b")    [{type: "bold", children: [{type: "text", text: "a"}]}, {type: "text", text: " b"}]
//
// Blocks (headings, quotes, lists, code) begin at the start of a line. Whatever is not Markdown is text.

const MAX_DEPTH = 12;
const FENCE = /```(?:([\w+\-.#]+)\n)?\n*([^]*?)\n*```/y;
const HEADING = /(#{1,3}) +([^\n]+)/y;
const SUBTEXT = /-# +([^\n]+)/y;
const WHOLE_QUOTE = />>> ([^]*)/y;
const QUOTE = /(?:> [^\n]*(?:\n|$)|>(?:\n|$))+/y;
const LIST = /(?:(?: *)(?:[-*]|\d{1,9}\.) +[^\n]*(?:\n(?= *(?:[-*]|\d{1,9}\.) )|\n(?= +\S)|$|\n)(?: +(?![-*] |\d{1,9}\. )\S[^\n]*(?:\n|$))*)+/y;
const ITEM = /^( *)([-*]|\d{1,9}\.) +(.*)$/;
const PLAIN = /[^\\`*_~|<[@h\n]+/y;

// Each rule: a sticky pattern, and what its match becomes. The first that matches wins.
const INLINE_RULES = [
  [/\\([^0-9A-Za-z\s])/y, ([, char]) => text(char)],
  [FENCE, ([, language, code]) => ({ type: "codeBlock", language: language ?? "", text: code })],
  [/(`+)([^]*?[^`])\1(?!`)/y, ([, , code]) => ({ type: "code", text: code.trim() })],
  [/\*\*\*((?:[^*\\]|\\.)+)\*\*\*(?!\*)/y, ([, inner], parse) => wrap("bold", [wrap("italic", parse(inner))])],
  [/\*\*((?:[^\\]|\\[^])+?)\*\*(?!\*)/y, ([, inner], parse) => wrap("bold", parse(inner))],
  [/__((?:[^\\]|\\[^])+?)__(?!_)/y, ([, inner], parse) => wrap("underline", parse(inner))],
  [/\*(?=\S)((?:\*\*|\\[^]|[^*\\])+?)(?<!\s)\*(?!\*)/y, ([, inner], parse) => wrap("italic", parse(inner))],
  [/(?<![\p{L}\p{N}_])_((?:__|\\[^]|[^_\\])+?)_(?![\p{L}\p{N}_])/uy, ([, inner], parse) => wrap("italic", parse(inner))],
  [/~~((?:[^\\]|\\[^])+?)~~(?!~)/y, ([, inner], parse) => wrap("strike", parse(inner))],
  [/\|\|([^]+?)\|\|/y, ([, inner], parse) => wrap("spoiler", parse(inner))],
  [
    /\[((?:\[[^\]\n]*\]|[^[\]\n])+)\]\(\s*<?(https?:\/\/[^\s()<>]*(?:\([^\s()<>]*\)[^\s()<>]*)*)>?(?:\s+"[^"\n]*")?\s*\)/y,
    ([, label, url], parse) => ({ type: "link", url, children: parse(label) }),
  ],
  [/<(https?:\/\/[^\s<>]+)>/y, ([, url]) => ({ type: "link", url, children: [text(url)] })],
  [/(?<![\p{L}\p{N}])https?:\/\/[^\s<>]*[^\s<>.,:;"')\]]/uy, ([url]) => ({ type: "link", url, children: [text(url)] })],
  [/<@!?(\d+)>/y, ([, id]) => ({ type: "mention", kind: "user", id })],
  [/<@&(\d+)>/y, ([, id]) => ({ type: "mention", kind: "role", id })],
  [/<#(\d+)>/y, ([, id]) => ({ type: "mention", kind: "channel", id })],
  [/<\/([\w\- ]{1,100}):\d+>/y, ([, name]) => ({ type: "mention", kind: "command", id: name })],
  [/<a?:(\w{2,32}):\d+>/y, ([, name]) => text(`:${name}:`)],
  [/<t:(-?\d{1,13})(?::([tTdDfFR]))?>/y, ([, seconds, style]) => ({ type: "time", seconds: Number(seconds), style })],
];

export function parseMarkdown(source) {
  return parseBlocks(source, 0);
}

function parseBlocks(source, depth) {
  const nodes = [];
  let paragraph = "";
  const flush = () => {
    if (paragraph) nodes.push(...parseInline(paragraph, depth));
    paragraph = "";
  };
  for (let position = 0; position < source.length; ) {
    const block = depth < MAX_DEPTH ? readBlock(source, position, depth) : null;
    if (block) {
      flush();
      nodes.push(block.node);
      position = block.end;
      continue;
    }
    const end = lineEnd(source, position);
    paragraph += source.slice(position, end);
    position = end;
  }
  flush();
  return nodes;
}

// The end of the paragraph line that begins at `position`; a code block may begin in it and extend it.
function lineEnd(source, position) {
  const newline = source.indexOf("\n", position);
  const end = newline < 0 ? source.length : newline + 1;
  const fence = source.indexOf("```", position);
  if (fence < 0 || fence >= end) return end;
  FENCE.lastIndex = fence;
  return FENCE.exec(source) ? FENCE.lastIndex : end;
}

function readBlock(source, position, depth) {
  const read = (pattern) => {
    pattern.lastIndex = position;
    return pattern.exec(source);
  };
  const withLineBreak = (end) => (source[end] === "\n" ? end + 1 : end);
  let match;
  if ((match = read(WHOLE_QUOTE))) return block({ type: "quote", children: parseBlocks(match[1], depth + 1) }, source.length);
  if ((match = read(QUOTE))) {
    const inner = match[0].replace(/\n$/, "").replace(/^> ?/gm, "");
    return block({ type: "quote", children: parseBlocks(inner, depth + 1) }, position + match[0].length);
  }
  if ((match = read(FENCE))) {
    return block({ type: "codeBlock", language: match[1] ?? "", text: match[2] }, withLineBreak(position + match[0].length));
  }
  if ((match = read(HEADING))) {
    const node = { type: "heading", level: match[1].length, children: parseInline(match[2], depth) };
    return block(node, withLineBreak(position + match[0].length));
  }
  if ((match = read(SUBTEXT))) {
    return block({ type: "subtext", children: parseInline(match[1], depth) }, withLineBreak(position + match[0].length));
  }
  if ((match = read(LIST)) && match[0]) return block(buildList(match[0], depth), position + match[0].length);
  return null;
}

function block(node, end) {
  return { node, end };
}

function buildList(source, depth) {
  const root = { indent: -1, items: [] };
  const open = [root];
  for (const line of source.replace(/\n+$/, "").split("\n")) {
    const match = ITEM.exec(line);
    if (!match) {
      const last = open.at(-1).items.at(-1);
      if (last) last.text += `\n${line.trimStart()}`;
      continue;
    }
    const indent = match[1].length;
    while (open.length > 1 && indent < open.at(-1).indent) open.pop();
    if (indent > open.at(-1).indent && open.length <= MAX_DEPTH) {
      const number = Number.parseInt(match[2], 10);
      const list = { type: "list", start: Number.isNaN(number) ? null : number, indent, items: [] };
      const parentItem = open.at(-1).items.at(-1);
      if (parentItem) parentItem.lists.push(list);
      else root.items.push({ text: "", lists: [list] });
      open.push(list);
    }
    open.at(-1).items.push({ text: match[3], lists: [] });
  }
  return toNode(root.items[0].lists[0], depth);
}

function toNode(list, depth) {
  return {
    type: "list",
    start: list.start,
    items: list.items.map((item) => [
      ...parseInline(item.text, depth + 1),
      ...item.lists.map((inner) => toNode(inner, depth + 1)),
    ]),
  };
}

function parseInline(source, depth) {
  const nodes = [];
  const parse = (inner) => (depth < MAX_DEPTH ? parseInline(inner, depth + 1) : [text(inner)]);
  for (let position = 0; position < source.length; ) {
    const found = matchRule(source, position, parse);
    if (found) {
      nodes.push(found.node);
      position = found.end;
      continue;
    }
    PLAIN.lastIndex = position;
    const plain = PLAIN.exec(source)?.[0] ?? source[position];
    const last = nodes.at(-1);
    if (last?.type === "text") last.text += plain;
    else nodes.push(text(plain));
    position += plain.length;
  }
  return nodes;
}

function matchRule(source, position, parse) {
  for (const [pattern, build] of INLINE_RULES) {
    pattern.lastIndex = position;
    const match = pattern.exec(source);
    if (match) return { node: build(match, parse), end: position + match[0].length };
  }
  return null;
}

function text(value) {
  return { type: "text", text: value };
}

function wrap(type, children) {
  return { type, children };
}
