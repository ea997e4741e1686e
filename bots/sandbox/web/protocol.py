"""What the server and the page say to each other over the websocket, as JSON.

The page sends actions, which are the classes below. Each has its name in `action` and a number in `id`:

    {"action": "telegram.send", "id": 7, "person": 1001, "chat": 1001, "text": "Hello"}

The server answers each action with a reply, and announces what happens as events:

    {"reply": 7, "result": null}            or {"reply": 7, "error": "Ben is not in this chat."}
    {"events": [EVENT, ...], "epoch": "..."}

An event is an object with `type`, `key`, `seq` (its number) and `time` (seconds since 1970). It is a snapshot: it
replaces the event with the same type and key. So the server keeps only the latest event of each key, and a page that
connects gets these as a replay. A page that reconnects names the last `seq` it has seen, with its `epoch`: if the
server is the same, it gets the newer events only. Events without a key are not repeated after a reload: they are
notices of the moment. Of each type, the server keeps the 1,000 events that were set last.

Event types and their fields:

telegram.world      bot: {...User, description, short_description}, people: [User],
                    chats: [{...Chat, members: [user ID], topics: [{thread_id, name}]}]
telegram.message    chat_id, message: the Bot API's Message as clients get it, reactions: {emoji: [user ID]},
                    is_deleted, formulas: {TeX: MathML}
telegram.drafts     chat_id, drafts: [{draft_id, message_thread_id, text, entities, rich_message, can_stop}], formulas
telegram.typing     chat_id, message_thread_id, action, until (time)
telegram.commands   scope, language_code, commands: [BotCommand]
telegram.notice     no key. person, chat_id, message_id, text, show_alert: what the bot answers to a pressed button
discord.world       bot: User, people: [User], guilds: [{id, name, members: [user ID], channels: [Channel]}],
                    direct_channels: [Channel]. A thread is a channel with `parent_id`.
discord.message     channel_id, message: Discord's Message object, ephemeral_to: user ID or null, is_deleted,
                    reactions: {emoji: [user ID]}
discord.typing      channel_id, until (time)
discord.commands    commands: [ApplicationCommand], as the bot registered them
discord.interaction interaction_id, user_id, channel_id, state (pending, acknowledged, failed), modal: the form that the
                    bot opened, or null. `failed`: clients show "The application did not respond".
call                platform, number, method, target (chat or channel), status (0: the connection was lost), started_at,
                    seconds, request, response, wait (seconds that a refusal demands), cost: [{budget, used, limit}]
budget              platform, and the fields of `bots.sandbox.gauges.Gauge` at `time`
model.request       number, model, endpoint (chat, embeddings, speech), state (streaming, done, failed, aborted),
                    status, started_at, first_piece_at, ended_at, prompt_tokens, completion_tokens, context_window,
                    pieces, request, text: the answer so far, or the response of a refusal
model.quotas        quotas: [{model, used, limit}], used and limit in tokens of today
turn                turn_id, platform, chat, person, state, states: [[state, time, attempt]], model, attempt,
                    failed_attempts, created_at, finished_at, prompt_tokens, completion_tokens
bot                 state (starting, running, killed, stopped), pid
log                 number, level, event, fields: a line of the bot's log
service             what is broken at present. telegram, discord: {fault, seconds}; model: {fault, faults, shape,
                    shapes, reasoning, reasoning_formats, overflow, overflows, tokens_per_second, original_speed,
                    rejects_system_role, requires_alternation, rejected_fields, rejectable_fields,
                    models: [{id, context_window}], exhausted: [model ID], removed: [model ID],
                    shrunk: [{id, context_window}]}, or null for the real service
scenario            name, title, look_at, state (ready, running, done), steps: [{text, time}]

User, Chat, Message, Channel and so on are the platform's own objects. IDs are numbers on Telegram, strings on Discord.
MathML is a tree, so that the page builds elements from it: ["math", {attributes}, [children]]; text is a string.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

MAX_ACTION_BYTES = 64 * 1024

Name = Annotated[str, Meta(max_length=100)]
Emoji = Annotated[str, Meta(min_length=1, max_length=16)]
TelegramText = Annotated[str, Meta(max_length=4096)]
DiscordText = Annotated[str, Meta(max_length=2000)]
FieldText = Annotated[str, Meta(max_length=4000)]
Snowflake = Annotated[str, Meta(pattern=r"^\d{1,20}$")]
OptionValue = FieldText | bool | int | float
UploadId = Annotated[str, Meta(max_length=64)]


class Action(msgspec.Struct, frozen=True, kw_only=True, tag_field="action", forbid_unknown_fields=True):
    id: int


# -- Telegram: `person` and `chat` are IDs, `thread` is a topic's


class TelegramSend(Action, frozen=True, kw_only=True, tag="telegram.send"):
    """Write a message. With an upload, `text` is the caption; pictures and recordings are sent as such.

    `quote` is the part of the message `reply_to` that the reply is about. `as_file`: a picture is sent as a file.
    Messages with the same `album` belong together.
    """

    person: int
    chat: int
    text: TelegramText = ""
    thread: int | None = None
    reply_to: int | None = None
    quote: Annotated[str, Meta(max_length=1024)] = ""
    upload: UploadId = ""
    as_file: bool = False
    album: Name = ""


class TelegramSendSticker(Action, frozen=True, kw_only=True, tag="telegram.send_sticker"):
    person: int
    chat: int
    thread: int | None = None
    reply_to: int | None = None


class TelegramEdit(Action, frozen=True, kw_only=True, tag="telegram.edit"):
    person: int
    chat: int
    message: int
    text: TelegramText


class TelegramDelete(Action, frozen=True, kw_only=True, tag="telegram.delete"):
    person: int
    chat: int
    message: int


class TelegramPress(Action, frozen=True, kw_only=True, tag="telegram.press"):
    """Press a button of an inline keyboard. The bot's answer is a `telegram.notice`."""

    person: int
    chat: int
    message: int
    data: Name


class TelegramTypeInline(Action, frozen=True, kw_only=True, tag="telegram.type_inline"):
    """Type a question after the bot's name. Returns what the bot offers: `{"query": ID, "results": [...]}`."""

    person: int
    chat: int
    text: Annotated[str, Meta(max_length=256)]


class TelegramChooseResult(Action, frozen=True, kw_only=True, tag="telegram.choose_result"):
    """Send one of the results that the bot offered."""

    chat: int
    query: Name
    result: Name


class TelegramReact(Action, frozen=True, kw_only=True, tag="telegram.react"):
    """Set the person's reaction; "" takes it back."""

    person: int
    chat: int
    message: int
    emoji: Annotated[str, Meta(max_length=16)]


class TelegramStop(Action, frozen=True, kw_only=True, tag="telegram.stop"):
    """Press the stop button of a draft."""

    chat: int
    draft: int
    thread: int | None = None


class TelegramForward(Action, frozen=True, kw_only=True, tag="telegram.forward"):
    """Forward a message from one chat to another."""

    person: int
    from_chat: int
    message: int
    chat: int
    thread: int | None = None


class TelegramCreateTopic(Action, frozen=True, kw_only=True, tag="telegram.create_topic"):
    """Returns the thread ID."""

    chat: int
    name: Annotated[str, Meta(min_length=1, max_length=128)]


# -- Discord: `person`, `channel` and `message` are IDs


class DiscordSend(Action, frozen=True, kw_only=True, tag="discord.send"):
    person: Snowflake
    channel: Snowflake
    text: DiscordText = ""
    reply_to: Snowflake | None = None
    upload: UploadId = ""


class DiscordEdit(Action, frozen=True, kw_only=True, tag="discord.edit"):
    person: Snowflake
    channel: Snowflake
    message: Snowflake
    text: DiscordText


class DiscordDelete(Action, frozen=True, kw_only=True, tag="discord.delete"):
    person: Snowflake
    channel: Snowflake
    message: Snowflake


class DiscordReact(Action, frozen=True, kw_only=True, tag="discord.react"):
    """Add the person's reaction, or take it back if it is there."""

    person: Snowflake
    channel: Snowflake
    message: Snowflake
    emoji: Emoji


class DiscordCommand(Action, frozen=True, kw_only=True, tag="discord.command"):
    """Use a slash command. An option of type 11 (attachment) has the ID of an upload as its value.

    Returns the interaction ID, whose `discord.interaction` events say what became of it.
    """

    person: Snowflake
    channel: Snowflake
    name: Name
    options: dict[Name, OptionValue] = {}


class DiscordMessageCommand(Action, frozen=True, kw_only=True, tag="discord.message_command"):
    """Choose a command from the context menu of a message. Returns the interaction ID."""

    person: Snowflake
    channel: Snowflake
    message: Snowflake
    name: Name


class DiscordAutocomplete(Action, frozen=True, kw_only=True, tag="discord.autocomplete"):
    """Returns the choices for the option that is being typed: [{name, value}]."""

    person: Snowflake
    channel: Snowflake
    name: Name
    option: Name
    current: FieldText
    options: dict[Name, OptionValue] = {}


class DiscordPress(Action, frozen=True, kw_only=True, tag="discord.press"):
    """Press a button. Returns the interaction ID."""

    person: Snowflake
    channel: Snowflake
    message: Snowflake
    custom_id: Name


class DiscordSelect(Action, frozen=True, kw_only=True, tag="discord.select"):
    """Choose options of a select menu. Returns the interaction ID."""

    person: Snowflake
    channel: Snowflake
    message: Snowflake
    custom_id: Name
    values: Annotated[list[Name], Meta(max_length=25)]


class DiscordSubmit(Action, frozen=True, kw_only=True, tag="discord.submit"):
    """Submit the form that an interaction opened. Returns the new interaction ID."""

    interaction: Snowflake
    text: FieldText


class DiscordCreateThread(Action, frozen=True, kw_only=True, tag="discord.create_thread"):
    """Create a thread that begins with a message, or without one. Returns the ID of the thread, which is a channel."""

    person: Snowflake
    channel: Snowflake
    message: Snowflake | None = None
    name: Annotated[str, Meta(min_length=1, max_length=100)]


# -- the bot


class KillBot(Action, frozen=True, kw_only=True, tag="bot.kill"):
    """Kill the bot's process at once (SIGKILL)."""


class StartBot(Action, frozen=True, kw_only=True, tag="bot.start"):
    """Start the bot if it does not run."""


# -- what is broken


class ServiceCommand(Action, frozen=True, kw_only=True, tag="service.command"):
    """A command of `bots.sandbox.model_controls`, such as ":refuse" with "credit". Returns a text."""

    command: Name
    argument: Annotated[str, Meta(max_length=200)] = ""


class ServiceFail(Action, frozen=True, kw_only=True, tag="service.fail"):
    """Make a platform fail the next `times` calls (null: all). `kind` is a value of `FaultKind`; "": it works again."""

    platform: Literal["telegram", "discord"]
    kind: Literal["", "429", "500", "502", "503", "drop_before", "drop_after", "delay"]
    seconds: Annotated[float, Meta(ge=0, le=300)] = 0.0
    times: Annotated[int, Meta(ge=1, le=1000)] | None = None


class ServiceDrop(Action, frozen=True, kw_only=True, tag="service.drop"):
    """Close all connections that the bot has with a service at present."""

    platform: Literal["telegram", "discord", "model"]


class ServiceRepair(Action, frozen=True, kw_only=True, tag="service.repair"):
    """Everything works again. Returns a text."""


class StartScenario(Action, frozen=True, kw_only=True, tag="scenario.start"):
    name: Name


AnyAction = (
    TelegramSend
    | TelegramSendSticker
    | TelegramEdit
    | TelegramDelete
    | TelegramPress
    | TelegramTypeInline
    | TelegramChooseResult
    | TelegramReact
    | TelegramStop
    | TelegramForward
    | TelegramCreateTopic
    | DiscordSend
    | DiscordEdit
    | DiscordDelete
    | DiscordReact
    | DiscordCommand
    | DiscordMessageCommand
    | DiscordAutocomplete
    | DiscordPress
    | DiscordSelect
    | DiscordSubmit
    | DiscordCreateThread
    | KillBot
    | StartBot
    | ServiceCommand
    | ServiceFail
    | ServiceDrop
    | ServiceRepair
    | StartScenario
)

ACTION_DECODER = msgspec.json.Decoder(AnyAction)
