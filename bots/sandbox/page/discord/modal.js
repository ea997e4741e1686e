// Shows the form that the bot opened in answer to the person's last interaction.

import { h } from "../dom.js";

const PARAGRAPH = 2;

// The newest form of the person that is neither submitted nor closed.
export function openForm(interactions, person, closed) {
  return Object.values(interactions)
    .filter((one) => one.modal && one.user_id === person.id && !closed.includes(one.interaction_id))
    .at(-1);
}

export function modal(interaction, { close, send }) {
  const { title, components } = interaction.modal;
  const [field] = components.map(readField);
  const submit = async (event) => {
    event.preventDefault();
    const text = event.currentTarget.elements.answer.value;
    if ((await send("discord.submit", { interaction: interaction.interaction_id, text })) !== undefined) close();
  };
  const input = {
    id: "discord-form-field",
    name: "answer",
    required: field.required,
    minlength: field.minLength,
    maxlength: field.maxLength,
    placeholder: field.placeholder,
  };
  const focusOnce = (element) => {
    if (element.dataset.opened) return;
    element.dataset.opened = "yes";
    element.value = field.value;
    element.focus();
  };
  const onkeydown = (event) => {
    if (event.key === "Escape") close();
  };
  return h(
    "div",
    { class: "modal-layer", key: interaction.interaction_id, onkeydown },
    h(
      "form",
      { class: "modal", role: "dialog", "aria-modal": "true", "aria-labelledby": "discord-form-title", onsubmit: submit },
      h("h3", { id: "discord-form-title" }, title),
      h("label", { for: input.id }, field.label),
      field.description ? h("small", null, field.description) : null,
      field.style === PARAGRAPH
        ? h("textarea", { ...input, rows: "8", hook: focusOnce })
        : h("input", { ...input, hook: focusOnce }),
      h(
        "div",
        { class: "modal-buttons" },
        h("button", { type: "button", class: "button secondary", onclick: close }, "Cancel"),
        h("button", { type: "submit", class: "button primary" }, "Submit"),
      ),
    ),
  );
}

// A field stands in a label, or in a row as in older forms.
function readField(component) {
  const field = component.component ?? component.components[0];
  return {
    label: component.label ?? field.label ?? "",
    description: component.description ?? "",
    style: field.style,
    required: field.required ?? true,
    minLength: field.min_length,
    maxLength: field.max_length,
    placeholder: field.placeholder ?? "",
    value: field.value ?? "",
  };
}
