// Draws a message's components: rows of buttons and menus, and Discord's components of version 2 (containers, sections,
// texts and so on). `act` performs what the person does: {press(customId), choose(customId, values), isBusy}.

import { h } from "../dom.js";
import { markdown } from "./nodes.js";

const BUTTON_STYLES = { 1: "primary", 2: "secondary", 3: "success", 4: "danger", 5: "link" };
const SEPARATOR_LARGE = 2;

const DRAWN = {
  1: (row, context) => h("div", { class: "action-row" }, components(row.components, context)),
  2: button,
  3: menu,
  9: (section, context) =>
    h(
      "div",
      { class: "section" },
      h("div", null, components(section.components, context)),
      component(section.accessory, context),
    ),
  10: (text, context) => markdown(text.content, context.names),
  11: (thumbnail) => media(thumbnail, "thumbnail"),
  12: (gallery) => h("div", { class: "gallery" }, gallery.items.map((item) => media(item, "gallery-item"))),
  13: (file) => h("p", { class: "file" }, `📄 ${file.file.url.replace("attachment://", "")}`),
  14: (separator) =>
    h("hr", { class: `separator ${separator.spacing === SEPARATOR_LARGE ? "large" : ""} ${separator.divider === false ? "blank" : ""}` }),
  17: (container, context) =>
    h(
      "div",
      { class: "container", style: accent(container.accent_color) },
      components(container.components, context),
    ),
};

export function components(list, context) {
  return (list ?? []).map((one) => component(one, context));
}

function component(one, context) {
  if (!one) return null;
  const draw = DRAWN[one.type];
  return draw ? draw(one, context) : h("p", { class: "unknown" }, `Unknown component of type ${one.type}`);
}

function accent(colour) {
  return typeof colour === "number" ? { "--accent-colour": `#${colour.toString(16).padStart(6, "0")}` } : {};
}

function button(one, { act }) {
  const label = [one.emoji?.name, one.label].filter(Boolean).join(" ");
  const style = BUTTON_STYLES[one.style] ?? "secondary";
  if (one.url) {
    return h("a", { class: `button ${style}`, href: safeUrl(one.url), target: "_blank", rel: "noopener noreferrer" }, `${label} ↗`);
  }
  const properties = { type: "button", class: `button ${style}`, disabled: one.disabled || act.isBusy };
  return h("button", { ...properties, onclick: () => act.press(one.custom_id) }, label);
}

function safeUrl(url) {
  return /^(https?|discord):\/\//.test(url) ? url : "#";
}

// A menu opens below its placeholder. With several choices they are ticked first, and then sent together.
function menu(one, { act }) {
  const isMultiple = (one.max_values ?? 1) > 1;
  const chosen = one.options.find((option) => option.default);
  const close = (event) => event.currentTarget.closest("details").removeAttribute("open");
  const choose = (values) => (event) => {
    close(event);
    act.choose(one.custom_id, values(event));
  };
  const ticked = (event) =>
    [...event.currentTarget.closest("details").querySelectorAll("input:checked")].map((input) => input.value);
  const closeByKey = (event) => {
    if (event.key !== "Escape") return;
    event.preventDefault();
    event.currentTarget.removeAttribute("open");
    event.currentTarget.querySelector("summary").focus();
  };
  return h(
    "details",
    { class: "menu", "aria-disabled": String(Boolean(one.disabled)), onkeydown: closeByKey },
    h("summary", null, chosen?.label ?? one.placeholder ?? "Make a selection"),
    h(
      "ul",
      null,
      one.options.map((option) =>
        h(
          "li",
          null,
          isMultiple
            ? h(
                "label",
                null,
                h("input", { type: "checkbox", value: option.value, checked: Boolean(option.default) }),
                optionText(option),
              )
            : h(
                "button",
                {
                  type: "button",
                  "aria-pressed": String(Boolean(option.default)),
                  disabled: act.isBusy,
                  onclick: choose(() => [option.value]),
                },
                optionText(option),
              ),
        ),
      ),
      isMultiple ? h("li", null, h("button", { type: "button", class: "button primary", onclick: choose(ticked) }, "Choose")) : null,
    ),
  );
}

function optionText(option) {
  return [
    h("span", null, [option.emoji?.name, option.label].filter(Boolean).join(" ")),
    option.description ? h("small", null, option.description) : null,
  ];
}

// Pictures have addresses of their own only as attachments; others are not loaded.
function media(item, kind) {
  const url = item.media?.url ?? "";
  return h("span", { class: kind, title: item.description ?? "" }, `🖼 ${item.description ?? url.split("/").at(-1)}`);
}
