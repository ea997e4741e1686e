// Draws formulas. The server turns TeX into MathML; a formula without MathML is shown as its TeX.

import { h, mathTree } from "../dom.js";

// `context.mathml(expression)` is the server's MathML tree, or undefined if there is none.
export function formulaNode(expression, isBlock, context) {
  const source = String(expression ?? "");
  const tree = context.mathml(source);
  const tag = isBlock ? "div" : "span";
  if (!tree) return h(tag, { class: "formula source", title: "TeX" }, h("code", null, source));
  const properties = { class: isBlock ? "formula block" : "formula", title: source, tabindex: isBlock ? 0 : null };
  return h(tag, properties, mathTree(tree, isBlock));
}
