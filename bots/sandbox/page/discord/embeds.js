// Draws embeds.

import { h } from "../dom.js";
import { markdown } from "./nodes.js";

export function embed(one, names) {
  const colour = typeof one.color === "number" ? { "--accent-colour": `#${one.color.toString(16).padStart(6, "0")}` } : {};
  return h(
    "article",
    { class: "embed", style: colour },
    one.author ? h("p", { class: "embed-author" }, one.author.name) : null,
    one.title ? h("p", { class: "embed-title" }, one.url ? link(one.url, one.title) : one.title) : null,
    one.description ? markdown(one.description, names) : null,
    (one.fields ?? []).length
      ? h(
          "div",
          { class: "embed-fields" },
          one.fields.map((field) =>
            h(
              "div",
              { class: field.inline ? "embed-field inline" : "embed-field" },
              h("strong", null, field.name),
              markdown(field.value, names),
            ),
          ),
        )
      : null,
    one.footer ? h("small", { class: "embed-footer" }, one.footer.text) : null,
  );
}

function link(url, text) {
  return /^https?:\/\//.test(url) ? h("a", { href: url, target: "_blank", rel: "noopener noreferrer" }, text) : text;
}
