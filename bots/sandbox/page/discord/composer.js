// Where messages and slash commands are written. A message that begins with a slash opens the list of commands; choosing
// one shows a field for each of its options, as Discord's clients do.
//
//     "/"            the list of commands: arrow keys select one, Enter or Tab chooses it
//     "/mod"         the commands whose names contain "mod", in the person's language or by default
//     "/model qwen"  Enter runs /model with "qwen" for its first option

import { h } from "../dom.js";
import { commandForm, newCommand, runCommand } from "./commands.js";
import { localDescription, localName } from "./names.js";

const CHAT_INPUT = 1;
const MAX_LISTED = 12;
const STEPS = { ArrowDown: 1, ArrowUp: -1 };

// `context`: {ui, setUi, send, upload, person, channel, commands, names, messages}.
export function composer(context) {
  const { ui } = context;
  if (ui.command) return commandForm(context);
  const matches = matchingCommands(context);
  return h(
    "form",
    { class: "composer", onsubmit: (event) => submit(event, context, matches) },
    note(context),
    matches.length ? commandList(matches, context) : null,
    h(
      "div",
      { class: "composer-row" },
      uploadButton(context),
      h("textarea", {
        "aria-label": `Message to Discord, ${context.title}`,
        placeholder: ui.editing ? "Edit your message" : `Message ${context.title}`,
        rows: String(Math.min(6, ui.text.split("\n").length)),
        maxlength: 2000,
        value: ui.text,
        "aria-autocomplete": "list",
        "aria-controls": matches.length ? "discord-commands" : null,
        "aria-activedescendant": matches.length ? `discord-command-${selectedIndex(matches, ui)}` : null,
        oninput: (event) => context.setUi({ text: event.target.value, selectedCommand: 0 }),
        onkeydown: (event) => handleKey(event, context, matches),
      }),
      h("button", { type: "submit", class: "button primary", "aria-label": "Send" }, "➤"),
    ),
  );
}

function matchingCommands({ ui, commands, person }) {
  const typed = /^\/([\p{L}\p{N}_-]*)/u.exec(ui.text)?.[1]?.toLowerCase();
  if (typed === undefined || ui.editing) return [];
  const names = (command) => [localName(command, person), command.name];
  const fits = /\s/.test(ui.text) ? (name) => name === typed : (name) => name.includes(typed);
  const begins = (command) => Number(names(command).some((name) => name.startsWith(typed)));
  return commands
    .filter((one) => one.type === CHAT_INPUT && names(one).some(fits))
    .sort((a, b) => begins(b) - begins(a) || localName(a, person).localeCompare(localName(b, person)))
    .slice(0, MAX_LISTED);
}

function selectedIndex(matches, ui) {
  return Math.min(ui.selectedCommand, matches.length - 1);
}

function commandList(matches, context) {
  const selected = selectedIndex(matches, context.ui);
  return h(
    "ul",
    { class: "command-list", id: "discord-commands", role: "listbox", "aria-label": "Commands", tabindex: "-1" },
    matches.map((command, index) =>
      h(
        "li",
        {
          key: command.name,
          id: `discord-command-${index}`,
          role: "option",
          "aria-selected": String(index === selected),
          onclick: () => choose(command, context),
          hook: index === selected ? (element) => element.scrollIntoView({ block: "nearest" }) : null,
        },
        h("b", null, `/${localName(command, context.person)}`),
        h("span", null, localDescription(command, context.person)),
      ),
    ),
  );
}

function choose(command, context) {
  const started = newCommand(command, context.ui.text.replace(/^\/\S*\s*/, ""));
  context.setUi({ command: started, text: "" });
}

async function submit(event, context, matches) {
  event.preventDefault();
  const command = matches[selectedIndex(matches, context.ui)];
  if (command) {
    const started = newCommand(command, context.ui.text.replace(/^\/\S*\s*/, ""));
    const typed = context.ui.text.split(/\s/)[0].slice(1);
    const isTypedInFull = [localName(command, context.person), command.name].includes(typed);
    if (!isTypedInFull || !(await runCommand(command, started, context))) context.setUi({ command: started, text: "" });
    return;
  }
  if (!isWaitingForCommands(context)) await sendText(context);
}

function isWaitingForCommands({ ui, commands }) {
  return ui.text.startsWith("/") && commands.length === 0;
}

async function sendText({ ui, setUi, send, person, channel, mention }) {
  if (!ui.text.trim() && !ui.file) return;
  const target = { person: person.id, channel: channel.id };
  const text = mention(ui.text);
  const sent = ui.editing
    ? await send("discord.edit", { ...target, message: ui.editing, text })
    : await send("discord.send", { ...target, text, reply_to: ui.replyTo, upload: ui.file?.id ?? "" });
  if (sent !== undefined) setUi({ text: "", replyTo: null, editing: null, file: null });
}

function handleKey(event, context, matches) {
  if (event.isComposing) return;
  if (event.key === "Enter" && !event.shiftKey) {
    event.preventDefault();
    event.currentTarget.form.requestSubmit();
  } else if (event.key === "Escape") {
    context.setUi({ replyTo: null, editing: null, file: null, text: context.ui.editing || matches.length ? "" : context.ui.text });
  } else if (event.key === "Tab" && matches.length) {
    event.preventDefault();
    choose(matches[selectedIndex(matches, context.ui)], context);
  } else if (event.key in STEPS && matches.length) {
    event.preventDefault();
    const index = selectedIndex(matches, context.ui) + STEPS[event.key] + matches.length;
    context.setUi({ selectedCommand: index % matches.length });
  } else if (event.key === "ArrowUp" && !context.ui.text) {
    const own = context.messages.findLast(({ message }) => message.author.id === context.person.id);
    if (own) context.setUi({ editing: own.message.id, text: own.message.content });
  }
}

function note(context) {
  const { ui, setUi, messages } = context;
  if (isWaitingForCommands(context)) return h("p", { class: "composer-note" }, "The bot has not registered its commands yet.");
  const target = messages.find(({ message }) => message.id === (ui.editing ?? ui.replyTo))?.message;
  const text = ui.editing ? "Editing your message" : target ? `Replying to ${target.author.global_name}` : "";
  const file = ui.file ? `📎 ${ui.file.name}` : "";
  if (!text && !file) return null;
  const cancel = () => setUi({ replyTo: null, editing: null, file: null, text: ui.editing ? "" : ui.text });
  return h(
    "p",
    { class: "composer-note" },
    h("span", null, [text, file].filter(Boolean).join(" · ")),
    h("button", { type: "button", "aria-label": "Cancel", onclick: cancel }, "✕"),
  );
}

function uploadButton({ upload, setUi }) {
  const pick = async (event) => {
    const input = event.currentTarget;
    const [file] = input.files;
    const id = file && (await upload(file));
    input.value = "";
    if (id) setUi({ file: { id, name: file.name } });
  };
  return h(
    "label",
    { class: "upload", title: "Attach a file" },
    h("span", { "aria-hidden": "true" }, "+"),
    h("input", { type: "file", class: "visually-hidden", "aria-label": "Attach a file to Discord", onchange: pick }),
  );
}
