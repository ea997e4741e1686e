// Draws trees of plain objects into the document and changes only what differs from the last tree.
//
//     h("button", {class: "send", disabled: !text, onclick: send, "aria-label": "Send"}, "➤")
//     h(TAG, PROPERTIES, ...CHILDREN)       CHILDREN: trees, texts, numbers, arrays of these; null and false are left out
//     render(element, tree)                 makes `tree` the only child of `element`
//
// Properties: `on…` are event listeners; `value`, `checked`, `scrollTop` and so on (PROPERTIES below) are set as properties;
// true and false add and remove an attribute; the rest are attributes. Special: `key` identifies a child among its
// siblings, so that it keeps its element, its focus and its scroll position when siblings come and go; `style` is an
// object of CSS properties (`{"--used": 0.5}`); `hook` is called with the element after each drawing of it.

const SVG = "http://www.w3.org/2000/svg";
const MATHML = "http://www.w3.org/1998/Math/MathML";
const PROPERTIES = new Set(["value", "checked", "selected", "open", "indeterminate", "scrollTop"]);
const drawn = new WeakMap(); // element -> the tree it shows

export function h(tag, properties, ...children) {
  return { tag, properties: properties ?? {}, children: normalise(children) };
}

function normalise(children) {
  return children
    .flat(Infinity)
    .filter((child) => child !== null && child !== undefined && child !== false && child !== true)
    .map((child) => (typeof child === "object" ? child : String(child)));
}

export function render(parent, tree) {
  drawChildren(parent, [tree], null);
}

function create(tree, namespace) {
  if (typeof tree === "string") return document.createTextNode(tree);
  const own = tree.tag === "svg" ? SVG : tree.tag === "math" ? MATHML : namespace;
  const element = own ? document.createElementNS(own, tree.tag) : document.createElement(tree.tag);
  update(element, tree, own);
  return element;
}

function update(element, tree, namespace) {
  const previous = drawn.get(element);
  if (previous === tree) return;
  drawn.set(element, tree);
  drawChildren(element, tree.children, namespace);
  setProperties(element, previous?.properties ?? {}, tree.properties);
  tree.properties.hook?.(element);
}

function setProperties(element, before, after) {
  for (const name in before) if (!(name in after)) setProperty(element, name, before[name], undefined);
  for (const name in after) setProperty(element, name, before[name], after[name]);
}

function setProperty(element, name, before, after) {
  if (name === "key" || name === "hook") return;
  if (PROPERTIES.has(name)) {
    if (after !== undefined && element[name] !== after) element[name] = after;
  } else if (name.startsWith("on")) {
    if (before !== after) element[name] = after ?? null;
  } else if (name === "style") {
    for (const property in before ?? {}) if (!(property in (after ?? {}))) element.style.removeProperty(property);
    for (const property in after ?? {}) element.style.setProperty(property, String(after[property]));
  } else if (before !== after) {
    if (after === undefined || after === null || after === false) element.removeAttribute(name);
    else element.setAttribute(name, after === true ? "" : String(after));
  }
}

function matches(node, tree) {
  if (typeof tree === "string") return node.nodeType === Node.TEXT_NODE;
  const previous = drawn.get(node);
  return previous !== undefined && previous.tag === tree.tag && previous.properties.key === tree.properties.key;
}

function drawChildren(parent, trees, namespace) {
  const byKey = new Map();
  const wanted = new Set(trees.map((tree) => tree.properties?.key));
  for (const node of [...parent.childNodes]) {
    const key = drawn.get(node)?.properties.key;
    if (key === undefined) continue;
    // Removed first, so that those after it need not move: an element that moves loses its focus.
    if (wanted.has(key)) byKey.set(key, node);
    else node.remove();
  }
  let next = parent.firstChild;
  for (const tree of trees) {
    const key = typeof tree === "object" ? tree.properties.key : undefined;
    const keyed = key === undefined ? null : byKey.get(key);
    let node = keyed && matches(keyed, tree) ? keyed : null;
    if (!node && next && key === undefined && matches(next, tree)) node = next;
    if (!node) {
      node = create(tree, namespace);
      parent.insertBefore(node, next);
      continue;
    }
    if (node === next) next = next.nextSibling;
    else parent.insertBefore(node, next);
    if (typeof tree === "string") {
      if (node.data !== tree) node.data = tree;
    } else update(node, tree, node.namespaceURI === SVG || node.namespaceURI === MATHML ? node.namespaceURI : null);
  }
  while (next) {
    const following = next.nextSibling;
    next.remove();
    next = following;
  }
}

// Elements of MathML that latex2mathml creates. Others become <mrow>.
const MATH_TAGS = new Set(
  ("math mrow mi mn mo ms mtext mspace mfrac msqrt mroot msup msub msubsup munder mover munderover mtable mtr mtd mstyle " +
    "mpadded mphantom menclose mfenced merror").split(" "),
);
const MATH_ATTRIBUTES = new Set(
  ("display mathvariant stretchy fence separator form lspace rspace minsize maxsize largeop movablelimits accent " +
    "accentunder linethickness columnalign rowspacing columnspacing width height depth voffset scriptlevel displaystyle " +
    "notation open close columnlines rowlines").split(" "),
);

// A tree for `render` from the server's MathML tree ["math", {attributes}, [children]].
export function mathTree([tag, attributes, children], isBlock = false) {
  const allowed = {};
  for (const name in attributes) if (MATH_ATTRIBUTES.has(name)) allowed[name] = attributes[name];
  if (tag === "math") allowed.display = isBlock ? "block" : "inline";
  const trees = children.map((child) => (typeof child === "string" ? child : mathTree(child)));
  return h(MATH_TAGS.has(tag) ? tag : "mrow", allowed, ...trees);
}
