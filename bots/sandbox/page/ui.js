// What belongs to this window and not to the sandbox: who speaks, which chat is open, what is being typed. It survives a
// reload. Views read it as a plain object and change it with `setUi("telegram", {chat: 1001})`.

const STORAGE_KEY = "parley-sandbox-ui";

const DEFAULTS = {
  frame: { tab: "telegram", theme: "auto" },
  telegram: { person: null, chat: null, thread: null },
  discord: {
    person: null, channel: null, text: "", replyTo: null, editing: null, file: null, command: null, selectedCommand: 0,
    threadOf: null, closedForms: [], read: {},
  },
  inside: { filter: "all", opened: null, window: 2048, key: null },
};

export function createUi(onChange) {
  const ui = structuredClone(DEFAULTS);
  for (const [part, values] of Object.entries(load())) Object.assign(ui[part] ?? {}, values);

  function setUi(part, values) {
    ui[part] = { ...ui[part], ...values };
    save(ui);
    onChange();
  }

  return { ui, setUi };
}

function load() {
  try {
    return JSON.parse(sessionStorage.getItem(STORAGE_KEY)) ?? {};
  } catch {
    return {};
  }
}

function save(ui) {
  try {
    sessionStorage.setItem(STORAGE_KEY, JSON.stringify(ui));
  } catch {
    // The page works without it.
  }
}
