// A slash command that is being filled in: a field for each option, with the bot's autocomplete.

import { h } from "../dom.js";
import { localDescription, localName } from "./names.js";

const INTEGER = 4;
const BOOLEAN = 5;
const NUMBER = 10;
const ATTACHMENT = 11;
const AUTOCOMPLETE_DELAY_MS = 250;
let autocompleteTimer = 0;

// `text` becomes the value of the first option.
export function newCommand(command, text = "") {
  const [first] = command.options ?? [];
  return { name: command.name, values: first && text ? { [first.name]: text } : {}, names: {}, choices: {} };
}

// Runs the command, unless a required option is missing. Whether it was run.
export async function runCommand(command, { values }, { send, setUi, person, channel }) {
  const options = {};
  for (const option of command.options ?? []) {
    const value = values[option.name];
    if (value === undefined || value === "") {
      if (option.required) return false;
    } else {
      options[option.name] = typed(option, value);
    }
  }
  const target = { person: person.id, channel: channel.id };
  const isRun = (await send("discord.command", { ...target, name: command.name, options })) !== undefined;
  if (isRun) setUi({ command: null, text: "" });
  return isRun;
}

function typed(option, value) {
  if (option.type === INTEGER || option.type === NUMBER) return Number(value);
  if (option.type === BOOLEAN) return value === "true";
  return value;
}

export function commandForm(context) {
  const { ui, setUi, commands, person } = context;
  const command = commands.find((one) => one.name === ui.command.name);
  if (!command) return h("p", { class: "composer-note" }, "This command no longer exists.");
  const submit = async (event) => {
    event.preventDefault();
    await runCommand(command, ui.command, context);
  };
  const onkeydown = (event) => {
    if (event.key === "Escape") setUi({ command: null });
  };
  return h(
    "form",
    { class: "composer command-form", key: `command-${command.name}`, onsubmit: submit, onkeydown },
    h("p", null, h("b", null, `/${localName(command, person)}`), ` ${localDescription(command, person)}`),
    (command.options ?? []).map((option, index) => optionField(command, option, index === 0, context)),
    h(
      "div",
      { class: "modal-buttons" },
      h("button", { type: "button", class: "button secondary", onclick: () => setUi({ command: null }) }, "Cancel"),
      h("button", { type: "submit", class: "button primary", hook: command.options?.length ? null : focusOnce }, "Run command"),
    ),
  );
}

function focusOnce(element) {
  if (element.dataset.focused) return;
  element.dataset.focused = "yes";
  queueMicrotask(() => element.focus()); // it is in the document only after it was drawn
}

function optionField(command, option, isFirst, context) {
  const { getUi, setUi, person } = context;
  const [name, description] = [localName(option, person), localDescription(option, person)];
  const set = (value) => {
    const started = getUi().command; // an upload may end after other options were filled in, or the form was closed
    if (started?.name === command.name) setUi({ command: { ...started, values: { ...started.values, [option.name]: value } } });
  };
  const common = { required: option.required, "aria-label": `${name}: ${description}`, hook: isFirst ? focusOnce : null };
  return h(
    "label",
    { class: "option" },
    h("span", null, name, option.required ? " *" : ""),
    field(command, option, common, set, context),
    h("small", null, description),
  );
}

function field(command, option, common, set, context) {
  const value = context.ui.command.values[option.name] ?? "";
  const listed = option.choices ?? (option.type === BOOLEAN ? [{ name: "True", value: "true" }, { name: "False", value: "false" }] : null);
  if (listed) {
    return h(
      "select",
      { ...common, onchange: (event) => set(event.target.value) },
      h("option", { value: "" }, "–"),
      listed.map((choice) => h("option", { value: String(choice.value), selected: String(choice.value) === value }, localName(choice, context.person))),
    );
  }
  if (option.type === ATTACHMENT) {
    const pick = async (event) => {
      const input = event.currentTarget;
      const [file] = input.files;
      const id = file && (await context.upload(file));
      if (!id) input.value = "";
      set(id ?? "");
    };
    return h("input", { ...common, type: "file", onchange: pick });
  }
  const listId = `discord-choices-${option.name}`;
  const type = option.type === INTEGER || option.type === NUMBER ? "number" : "text";
  const limits = { minlength: option.min_length, maxlength: option.max_length, min: option.min_value, max: option.max_value };
  const oninput = (event) => {
    set(event.target.value);
    if (option.autocomplete) autocomplete(command, option, event.target.value, context);
  };
  const onfocus = () => option.autocomplete && autocomplete(command, option, value, context);
  const input = h("input", { ...common, ...limits, type, value, list: option.autocomplete ? listId : null, autocomplete: "off", oninput, onfocus });
  if (!option.autocomplete) return input;
  const choices = context.ui.command.choices[option.name] ?? [];
  return [input, h("datalist", { id: listId }, choices.map((choice) => h("option", { value: choice.value }, choice.name)))];
}

function autocomplete(command, option, current, { send, setUi, getUi, person, channel }) {
  clearTimeout(autocompleteTimer);
  autocompleteTimer = setTimeout(async () => {
    const fields = { person: person.id, channel: channel.id, name: command.name, option: option.name, current };
    const choices = await send("discord.autocomplete", fields);
    const started = getUi().command;
    if (choices && started?.name === command.name) {
      setUi({ command: { ...started, choices: { ...started.choices, [option.name]: choices } } });
    }
  }, AUTOCOMPLETE_DELAY_MS);
}
