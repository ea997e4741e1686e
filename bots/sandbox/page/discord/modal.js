// Shows the form that the bot opened in answer to the person's last interaction.

import { h } from "../dom.js";
import { dialog } from "./dialog.js";

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
  const submit = async (form) => {
    const text = form.elements.answer.value;
    return (await send("discord.submit", { interaction: interaction.interaction_id, text })) !== undefined;
  };
  const input = {
    id: "discord-form-field",
    name: "answer",
    required: field.required,
    minlength: field.minLength,
    maxlength: field.maxLength,
    placeholder: field.placeholder,
    hook: (element) => fillOnce(element, field.value),
  };
  return dialog(
    { key: `form-${interaction.interaction_id}`, title, button: "Submit", submit, close },
    h("label", { for: input.id }, field.label),
    field.description ? h("small", null, field.description) : null,
    field.style === PARAGRAPH ? h("textarea", { ...input, rows: "8" }) : h("input", input),
  );
}

function fillOnce(element, value) {
  if (element.dataset.opened) return;
  element.dataset.opened = "yes";
  element.value = value;
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
