// The state that the views draw, as a pure function of the events: `reduce(state, event)` returns a new state and changes
// nothing. Replaying the events after a reload gives the same state. The events are described in
// bots/sandbox/web/protocol.py.
//
//     telegram.world      {bot, people, chats} or null before the first event
//     telegram.messages   {chat ID: {message ID: event}}    events of type telegram.message, not deleted ones
//     telegram.drafts     {chat ID: event}                  telegram.drafts
//     telegram.typing     {"chat ID/thread ID or ''": event}
//     telegram.commands   {"scope/language": event}
//     telegram.notices    [event]                           the last few answers to pressed buttons
//     discord.world       {bot, people, guilds, direct_channels} or null
//     discord.messages    {channel ID: {message ID: event}}
//     discord.typing      {channel ID: event}
//     discord.commands    [ApplicationCommand]
//     discord.interactions {interaction ID: event}
//     inside.calls        [event]                           oldest first, the last MAX_ENTRIES
//     inside.requests     {number: event}                   of the model
//     inside.quotas, inside.budgets, inside.turns, inside.logs, inside.bot, inside.service, inside.scenario

const MAX_ENTRIES = 1000;
const MAX_NOTICES = 5;

export const EMPTY_STATE = Object.freeze({
  telegram: { world: null, messages: {}, drafts: {}, typing: {}, commands: {}, notices: [] },
  discord: { world: null, messages: {}, typing: {}, commands: [], interactions: {} },
  inside: {
    calls: [], requests: {}, quotas: [], budgets: {}, turns: {}, logs: [], bot: null, service: null, scenarios: {},
  },
});

export function reduceAll(state, events) {
  return events.reduce(reduce, state);
}

export function reduce(state, event) {
  const reducer = REDUCERS[event.type];
  if (!reducer) return state;
  const [part] = reducer.part;
  return { ...state, [part]: reducer(state[part], event) };
}

const REDUCERS = {
  "telegram.world": telegram((state, event) => ({ ...state, world: event })),
  "telegram.message": telegram((state, event) => ({
    ...state,
    messages: withMessage(state.messages, event.chat_id, event.message.message_id, event),
  })),
  "telegram.drafts": telegram((state, event) => ({ ...state, drafts: { ...state.drafts, [event.chat_id]: event } })),
  "telegram.typing": telegram((state, event) => ({ ...state, typing: { ...state.typing, [event.key]: event } })),
  "telegram.commands": telegram((state, event) => ({ ...state, commands: { ...state.commands, [event.key]: event } })),
  "telegram.notice": telegram((state, event) => ({ ...state, notices: [...state.notices, event].slice(-MAX_NOTICES) })),
  "discord.world": discord((state, event) => ({ ...state, world: event })),
  "discord.message": discord((state, event) => ({
    ...state,
    messages: withMessage(state.messages, event.channel_id, event.message.id, event),
  })),
  "discord.typing": discord((state, event) => ({ ...state, typing: { ...state.typing, [event.channel_id]: event } })),
  "discord.commands": discord((state, event) => ({ ...state, commands: event.commands })),
  "discord.interaction": discord((state, event) => ({
    ...state,
    interactions: { ...state.interactions, [event.interaction_id]: event },
  })),
  call: inside((state, event) => ({ ...state, calls: [...state.calls, event].slice(-MAX_ENTRIES) })),
  "model.request": inside((state, event) => ({ ...state, requests: bounded(state.requests, event.number, event) })),
  "model.quotas": inside((state, event) => ({ ...state, quotas: event.quotas })),
  budget: inside((state, event) => ({ ...state, budgets: bounded(state.budgets, event.key, event) })),
  turn: inside((state, event) => ({ ...state, turns: bounded(state.turns, event.turn_id, event) })),
  log: inside((state, event) => ({ ...state, logs: [...state.logs, event].slice(-MAX_ENTRIES) })),
  bot: inside((state, event) => ({ ...state, bot: event })),
  service: inside((state, event) => ({ ...state, service: event })),
  scenario: inside((state, event) => ({ ...state, scenarios: { ...state.scenarios, [event.name]: event } })),
};

function telegram(reducer) {
  return Object.assign(reducer, { part: ["telegram"] });
}

function discord(reducer) {
  return Object.assign(reducer, { part: ["discord"] });
}

function inside(reducer) {
  return Object.assign(reducer, { part: ["inside"] });
}

function withMessage(messages, chatId, messageId, event) {
  const chat = { ...messages[chatId], [messageId]: event };
  if (event.is_deleted) delete chat[messageId];
  return { ...messages, [chatId]: chat };
}

// `entries` with one more, without those of the lowest keys if there are too many.
function bounded(entries, key, event) {
  const result = { ...entries, [key]: event };
  const keys = Object.keys(result);
  if (keys.length > MAX_ENTRIES) delete result[keys[0]];
  return result;
}
