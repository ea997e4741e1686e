// Text with entities as nested segments. Offsets and lengths are UTF-16 code units, as are the indices of strings here.
//
//     segments("a bold link", [{type: "bold", offset: 2, length: 9}, {type: "url", offset: 7, length: 4}])
//     -> ["a ", {entity: bold, children: ["bold ", {entity: url, children: ["link"]}]}]
//
// The Bot API only sends entities that are disjoint or nested. If they overlap, the later one is continued after the end of
// the earlier one.

// Entities that are lines of their own.
export const BLOCK_TYPES = new Set(["pre", "blockquote", "expandable_blockquote"]);

// Strings and `{entity, children}`, in order. Entities that are outside of the text are cut.
export function segments(text, entities) {
  const spans = (Array.isArray(entities) ? entities : [])
    .filter((entity) => Number.isInteger(entity?.offset) && Number.isInteger(entity?.length))
    .map((entity) => ({ entity, start: entity.offset, end: entity.offset + entity.length }));
  return trimLines(nest(text, 0, text.length, spans));
}

function nest(text, start, end, spans) {
  const nodes = [];
  let position = start;
  let rest = [...spans].sort(compare);
  while (rest.length > 0) {
    const [span, ...others] = rest;
    const from = Math.max(span.start, position);
    const to = Math.min(span.end, end);
    rest = others;
    if (from >= to) continue;
    if (from > position) nodes.push(text.slice(position, from));
    const inner = others.filter((other) => other.start < to);
    nodes.push({ entity: span.entity, children: nest(text, from, to, inner) });
    rest = others
      .filter((other) => other.end > to)
      .map((other) => ({ ...other, start: Math.max(other.start, to) }))
      .sort(compare);
    position = to;
  }
  if (position < end) nodes.push(text.slice(position, end));
  return nodes;
}

function compare(first, second) {
  return first.start - second.start || second.end - first.end;
}

// Without the line break before and after each block, which is a line of its own anyway.
function trimLines(nodes) {
  const trimmed = nodes.map((node) =>
    typeof node === "string" ? node : { ...node, children: trimLines(node.children) },
  );
  trimmed.forEach((node, index) => {
    if (typeof node === "string" || !BLOCK_TYPES.has(node.entity.type)) return;
    const [before, after] = [trimmed[index - 1], trimmed[index + 1]];
    if (typeof before === "string" && before.endsWith("\n")) trimmed[index - 1] = before.slice(0, -1);
    if (typeof after === "string" && after.startsWith("\n")) trimmed[index + 1] = after.slice(1);
  });
  return trimmed.filter((node) => node !== "");
}

// The first `length` units of a text, without half of a character at the end.
export function textStart(text, length) {
  if (length >= text.length) return text;
  const code = text.charCodeAt(length - 1);
  const endsInPair = code >= 0xd800 && code <= 0xdbff;
  return text.slice(0, endsInPair ? length - 1 : length);
}
