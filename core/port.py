"""The port: everything a chat platform's adapter and the core know about each other.

An adapter translates the platform's events to `Incoming` and passes them to an `Inbox`. The core answers through
the adapter's methods: `send`, `edit`, `delete`, `show_typing` and the optional `Supports...` protocols. All of
them raise `DeliveryError` with one of the `DeliveryFailure`s and nothing else. `tests/contract` checks, for every
adapter, what this module says.

The platform chooses the IDs of accounts, chats, threads, servers, people and messages. They are strings, and the
core only compares them. Rate limits, retries, splitting, storage and deduplication are the core's work: an adapter
makes one request per call, keeps no queue, and tells nothing to the platform before `Inbox` has returned.

A person writes "hi" in a private chat, and the model's answer grows in one message:

    inbox(Incoming(EventKind.PROMPT, key="m7", place, sender, "hi", message_id="7"))
    show_typing(place)
    send(place, Part("Hello, how"), key="12-0")        -> "8"
    edit(place, "8", Part("Hello, how are you?"))
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol, TypeAlias, runtime_checkable

from core.markdown.document import Document

# What an adapter hands to the core


@dataclass(frozen=True, slots=True)
class AccountKey:
    """The bot's account on a platform."""

    platform: str
    account: str

    def __str__(self) -> str:
        return f"{self.platform}:{self.account}"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a conversation happens."""

    platform: str
    """The adapter's `platform`."""
    account: str
    """The adapter's `account`."""
    chat: str
    """The chat, group or channel."""
    thread: str | None = None
    """A thread or topic inside the chat; None outside of any."""
    is_private: bool = False
    """Only one person and the bot are here."""
    server: str | None = None
    """The server (guild, workspace) that the chat belongs to, on platforms that have servers."""
    is_foreign: bool = False
    """The person asks from a chat that the bot does not see, and the answer is one message there, which the event's
    `interaction_token` names. `chat` is the person's private chat with the bot, whose settings apply. `thread` differs
    for each question."""

    @property
    def account_key(self) -> AccountKey:
        return AccountKey(self.platform, self.account)


@dataclass(frozen=True, slots=True)
class Sender:
    """The person who caused an event. Adapters drop events that bots caused."""

    platform: str
    user: str
    name: str
    """The display name."""
    language: str | None = None
    """The client's language as an IETF tag (`en-GB`); None if the platform does not say."""
    is_manager: bool = False
    """May change settings for everyone in this place's group or channel."""
    is_server_manager: bool = False
    """May change settings for everyone on the server."""
    may_create_threads: bool = False
    """May start threads in this place's channel."""
    is_anonymous: bool = False
    """An administrator who writes as the group: its other anonymous administrators have the same `user`."""
    roles: tuple[str, ...] | None = ()
    """The sender's roles on the server, by ID, on platforms that have roles; None if they are unknown. The core does
    not store them."""


@dataclass(frozen=True, slots=True)
class Attachment:
    kind: str
    """For people, after "a": "sticker", "photo", "voice message", "file"."""
    name: str = ""
    """The file name."""
    size: int = 0
    """In bytes; 0 if unknown."""
    file_id: str = ""
    """What `SupportsFiles.fetch` needs to download it; empty if it cannot be downloaded."""
    is_document: bool = False
    """A file whose text the bot may read, as opposed to a picture, a sound or a location."""
    is_image: bool = False
    """A still picture that a model may look at, or that of an animation; `file_id` is the picture's."""
    is_audio: bool = False
    """A recording that may contain spoken words."""
    is_quoted: bool = False
    """It came with the message that the person replies to."""
    is_forwarded: bool = False
    """It came with a message that the person forwarded: what it says is not the person's words."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Marks a message that a client may send as several: an album, or a text above the platform's limit.

    The core waits a moment for the rest and makes one question of all.
    """

    id: str | None = None
    """The messages of one batch carry the same ID. None: the person's next message belongs to it."""


class QuoteKind(StrEnum):
    REPLY = "reply"
    """The sender replies to it."""
    FORWARD = "forward"
    """The sender forwarded it."""
    LINK_PREVIEW = "link_preview"
    """The platform shows it under the sender's message, because that contains a link."""
    THREAD_START = "thread_start"
    """How the thread began in which the sender writes (`SupportsThreads`)."""


@dataclass(frozen=True, slots=True)
class Quote:
    """What comes with the sender's message and is not the sender's words. Neither a command nor instructions.

    Its readable files are among the event's attachments.
    """

    kind: QuoteKind
    text: str
    """For a person who reads it: a poll with its options, `[photo]` for a picture."""
    author: str = ""
    """The display name; empty if unknown."""
    message_id: str | None = None
    """The quoted message if it is in this place; for a forward, the message that contains it."""
    is_own: bool = False
    """The bot wrote it."""
    is_excerpt: bool = False
    """The sender selected a part of the message."""
    is_placeholder: bool = False
    """The text only names files of the message, as in `[photo]`. It is not a question by itself."""


class EventKind(StrEnum):
    PROMPT = "prompt"
    """A message for the model."""
    EDIT = "edit"
    """The person changed the message `message_id`, which was for the model: `text` is its new text. If it is a command,
    `command` is its name. Whether anything follows is the core's decision.
    """
    FORWARD = "forward"
    """A message that the person forwarded to a shared place and that is not for the bot: `quotes` has its text. It is
    a part of the question that the person writes just before or after it; without one, nothing happens. The same
    applies to a message of an album whose other messages may be for the bot.
    """
    COMMAND = "command"
    """`/model phi`: `command` is `model`, `text` is `phi`."""
    BUTTON = "button"
    """A press on a `Button` or `MenuItem`: `text` is its action, `message_id` the message it belongs to."""
    MOVED = "moved"
    """The chat goes on under another ID, which is `text`. `place.chat` is the old ID; the sender does not matter."""
    ADDED = "added"
    """The sender added the bot to the group or server; `place` is where it may write to all."""
    STOP = "stop"
    """A press on the platform's own Stop control of a draft: `text` is the draft's number (`SupportsDrafts`)."""


@dataclass(frozen=True, slots=True)
class Incoming:
    """One event. The core stores it as JSON, so every field that is added later needs a default."""

    kind: EventKind
    key: str
    """Unique for this event on this account. A redelivery of the event has the same key and is ignored."""
    place: Place
    sender: Sender
    text: str
    """The prompt without the bot's mention, the arguments of a command, or what `kind` says."""
    message_id: str | None = None
    """The person's message, or the message whose button was pressed. Answers in groups reply to it."""
    command: str = ""
    """The command's name in lower case, without the slash."""
    quotes: tuple[Quote, ...] = ()
    attachments: tuple[Attachment, ...] = ()
    batch: Batch | None = None
    """None: the message is complete."""
    place_language: str | None = None
    """The language of the server or channel as an IETF tag, for senders whose own is unknown."""
    is_confidential: bool = False
    """In a shared place, only the sender sees the question and the answer. They belong to a conversation of their own,
    of which nothing is ever shown to others. The core finds out itself whether a press belongs to one."""
    form_text: str = ""
    """What the person entered in the form that the pressed button opened (`Capabilities.has_forms`)."""
    interaction_token: str | None = None
    """For platforms that allow answers only through a token of the event (Discord's interactions). Opaque to the
    core, which stores it and passes it to every call that answers this event."""

    @property
    def language(self) -> str | None:
        """The IETF tag of the language in which to answer, as far as the event tells it."""
        return self.sender.language or self.place_language


class Inbox(Protocol):
    async def __call__(self, incoming: Incoming) -> None:
        """Store `incoming`. Acknowledge the event to the platform only after this has returned.

        Raises `StoreError` if the event could not be stored: let the platform deliver it again, or call again.
        Raises `AccessDeniedError` if the sender may not use the bot, or, for events with an interaction token,
        sends too fast: the event is done; show the error's text only to the sender, or nothing. If the error has no
        text, the sender is banned: do no more than the platform demands. `PressRefusedError` is one of them: show its
        text to the sender of a press in a foreign place.
        """


# What the core hands to an adapter


class StateStore(Protocol):
    """Stores a few small strings of an adapter beyond the process. Raises `StoreError`."""

    async def load_state(self, name: str) -> str | None: ...
    async def save_state(self, name: str, value: str) -> None: ...

    async def update_state(self, name: str, change: Callable[[str], str]) -> str:
        """Save what `change` makes of the value, of "" if there is none; no process changes it meanwhile.

        Returns the value before. `change` may be called again if the database fails.
        """


@dataclass(frozen=True, slots=True)
class Button:
    label: str
    action: str
    """At most 64 bytes. A press sends it back as the text of an `EventKind.BUTTON`."""
    is_destructive: bool = False
    """Shown in the platform's warning colour."""


@dataclass(frozen=True, slots=True)
class MenuItem:
    """One line of a menu. A press counts like that of a button."""

    label: str
    action: str
    description: str = ""
    is_selected: bool = False


@dataclass(frozen=True, slots=True)
class CardSection:
    """A text, and what can be done about it."""

    text: str
    """Like `Part.text`."""
    button: Button | None = None
    """Beside the text."""
    menu: tuple[MenuItem, ...] = ()
    """Under the text, instead of the button: one of the items can be chosen."""


@dataclass(frozen=True, slots=True)
class Card:
    """A panel, on platforms whose messages can have more structure than text, buttons and one menu."""

    sections: tuple[CardSection, ...]
    buttons: tuple[Button, ...] = ()
    """Under all sections."""


@dataclass(frozen=True, slots=True)
class File:
    """A file that the bot sends."""

    name: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Part:
    """One message, small enough for the platform: `Dialect.size(part) <= Dialect.limit`."""

    text: str
    native: Mapping[str, object] = field(default_factory=dict)
    """Formatting that `Dialect.render` adds and the same adapter's `send` reads (Telegram's entities); what msgspec can
    encode. The core drops it when the platform rejects the part and sends the plain text."""
    buttons: tuple[Button, ...] = ()
    menu: tuple[MenuItem, ...] = ()
    card: Card | None = None
    """Shown in place of the text, the buttons and the menu, where the platform can (`Capabilities.has_cards`). They
    offer the same more simply."""
    file: File | None = None
    """The part is the caption of this file. Only for adapters with `SupportsUploads`; see also `edits_attach_files`."""


class PreviewMode(StrEnum):
    """How people see an answer that is being written."""

    DRAFT = "draft"
    """As a draft (`SupportsDrafts`); each finished part becomes a message."""
    EDIT = "edit"
    """As a message that is edited until it is complete."""
    OFF = "off"
    """Only the typing indicator."""


@dataclass(frozen=True, slots=True)
class RateWindow:
    """At most `count` requests in any `seconds`."""

    count: int
    seconds: float
    spacing: float = 0.0
    """Seconds between two requests as soon as half of the window is full, so that it does not empty in bursts."""


RateLimit: TypeAlias = tuple[RateWindow, ...]
"""All windows hold at once. Without any, requests are not limited. Make a window a little longer than the platform's:
requests do not all take the same time to arrive."""


@dataclass(frozen=True, slots=True)
class FastStart:
    """The first previews of an answer follow each other faster."""

    interval: float
    """Seconds between two previews."""
    seconds: float
    """How long after the first text."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What one place on the platform can do. The defaults suit a platform whose messages can be edited."""

    rate_limit: RateLimit
    """For messages in this place's chat."""
    edit_rate_limit: RateLimit | None = None
    """For edits; None: they count as messages."""
    draft_rate_limit: RateLimit | None = None
    """For drafts, which then do not count in the account's limit either; None: they count as messages."""
    preview_mode: PreviewMode = PreviewMode.EDIT
    preview_interval: float = 1.0
    """Seconds between two previews of one answer."""
    fast_start: FastStart | None = None
    slow_preview_after_chars: int = 0
    """Answers longer than this are previewed at 1.5 times the interval; 0: never."""
    draft_refresh_interval: float | None = None
    """Seconds after which an unchanged draft is sent again, before the platform removes it; None: it stays."""
    typing_interval: float = 4.5
    """Seconds between two calls of `show_typing`."""
    has_stop_button: bool = True
    """A preview carries a Stop button. False if it cannot, or if the platform has its own Stop control."""
    deduplicates_sends: bool = False
    """A message that is sent twice with the same key appears once, with the later content, and both calls return its
    ID. A send whose reply is lost then raises `DeliveryFailure.TRANSIENT` instead of `UNKNOWN`: it is sent again.
    """
    has_ephemeral_messages: bool = False
    """`ephemeral` messages are visible to one person only, even while they are edited. A press on such a message
    can change that message and the replies to the press, but no other ephemeral message."""
    has_ephemeral_files: bool = False
    """An `ephemeral` message with a file is visible to one person only. False: everybody would see it, or the platform
    may refuse it with `DeliveryFailure.FORBIDDEN`."""
    max_ephemeral_age: float = 0.0
    """Seconds for which they can be deleted."""
    edits_attach_files: bool = False
    """`edit` can turn a message of text into one with a file (`Part.file`), and back. Sending again with
    the same key adds the file to the existing message."""
    has_forms: bool = False
    """A button can open a form with a text to edit. The adapter opens it, and the press arrives with `form_text`."""
    has_cards: bool = False
    """Messages can be cards (`Part.card`)."""
    answers_in_one_message: bool = False
    """An answer has one message; the rest of a longer one is left out (`Place.is_foreign`)."""
    menu_page_size: int = 8
    """Menu items per page."""
    list_page_size: int = 12
    """Lines per page of a list that has to fit one message."""


class Dialect(Protocol):
    """Renders documents as the platform's messages. Pure: the same document gives the same part."""

    @property
    def limit(self) -> int:
        """The largest `size` the platform accepts."""

    def render(self, document: Document) -> Part: ...

    def size(self, part: Part) -> int:
        """In the platform's unit: characters, UTF-16 units, bytes."""


class RichMode(StrEnum):
    """When answers use a platform's richer kind of messages."""

    AUTO = "auto"
    """Where it helps: tables, formulas, long answers."""
    ALWAYS = "always"
    OFF = "off"


@runtime_checkable
class SupportsThinking(Protocol):
    """Optional, for dialects: a draft can show that the model is at work."""

    def render_thinking(self, status: str) -> Part:
        """A draft that shows `status`, such as that the model reasons."""


class Adapter(Protocol):
    """One bot account on one platform. `send`, `edit`, `delete` and `show_typing` may be called before, during and
    after `run`, and concurrently.
    """

    @property
    def platform(self) -> str:
        """A fixed lower-case name, the same as in every `Place`."""

    @property
    def account(self) -> str:
        """The bot's own ID. It must survive restarts: stored events are found by it."""

    @property
    def dialect(self) -> Dialect: ...

    @property
    def account_rate_limit(self) -> RateLimit:
        """For all requests of the account together."""

    def capabilities(self, place: Place) -> Capabilities: ...

    async def run(self, inbox: Inbox) -> None:
        """Receive events until cancelled. May be called again after it has ended or raised.

        Raises `ConfigurationError` if the operator must change something (a wrong token), `UnavailableError` if
        only a new process may help. The supervisor calls again after any other exception. Lost connections are no
        reason to raise: reconnect.
        """

    async def send(
        self,
        place: Place,
        part: Part,
        *,
        key: str,
        reply_to: str | None = None,
        interaction_token: str | None = None,
        person: str = "",
        ephemeral: bool = False,
    ) -> str:
        """Send a new message and return its ID.

        `key` is an idempotency key of at most 25 characters: the core repeats it when it sends a message again.
        `reply_to` is a message of this place; if it no longer exists, send without it. `person` caused the event.
        `ephemeral`: only they should see the message, where the platform can do that. Raises `MessageLimitError` if
        the event may have no more messages.
        """

    async def edit(self, place: Place, message_id: str, part: Part, *, interaction_token: str | None = None) -> None:
        """Replace a message's text, buttons and menu. Editing without a change is no failure.

        `DeliveryFailure.GONE` if the message no longer exists.
        """

    async def delete(self, place: Place, message_id: str, *, interaction_token: str | None = None) -> None:
        """Remove a message. `DeliveryFailure.GONE` if it no longer exists."""

    async def show_typing(self, place: Place) -> None:
        """Show the typing indicator for the platform's usual few seconds."""


@runtime_checkable
class SupportsDrafts(Protocol):
    """Optional: previews that are not messages yet. Used where `preview_mode` is `PreviewMode.DRAFT`."""

    async def show_draft(self, place: Place, draft_id: int, part: Part) -> None:
        """Show `part` as the draft with this positive number, or update that draft. An empty text means that the
        model is thinking.
        """


@runtime_checkable
class SupportsFiles(Protocol):
    """Optional: downloads of what people send."""

    async def fetch(self, attachment: Attachment, max_bytes: int) -> bytes:
        """Download it. `DeliveryFailure.REJECTED` if it is larger, `DeliveryFailure.GONE` if it no longer exists."""


@dataclass(frozen=True, slots=True)
class UploadLimits:
    max_bytes: int
    max_caption_size: int
    """The largest `Dialect.size` of a caption."""


@runtime_checkable
class SupportsUploads(Protocol):
    """Optional: `send` accepts parts with a file. Without it, an answer takes as many messages as it needs.

    Within the limits, `DeliveryFailure.FORBIDDEN` may concern only files: the place may allow messages without them.
    """

    @property
    def upload_limits(self) -> UploadLimits: ...


@runtime_checkable
class SupportsModelDialect(Protocol):
    """Optional: for platforms on which the bot's own texts can do what a model's must not, such as name a command so
    that a click starts it.
    """

    @property
    def model_dialect(self) -> Dialect:
        """In place of `Adapter.dialect`, for a model's texts."""


@runtime_checkable
class SupportsRichMessages(Protocol):
    """Optional: for platforms with a second, richer kind of messages."""

    def answer_dialect(self, mode: RichMode | None) -> Dialect:
        """A dialect for one answer. `mode` is what the chat prefers; None: the operator's choice.

        It is `Adapter.dialect` if the mode is off or the platform has turned out to lack such messages. When the
        platform rejects a part of another dialect, the adapter raises `RichRejectedError`, and the core splits the
        answer again with `Adapter.dialect`.
        """


@runtime_checkable
class SupportsManagers(Protocol):
    """Optional: for platforms whose events do not say whether their sender manages the chat."""

    async def is_manager(self, place: Place, user: str) -> bool:
        """Whether the person manages the chat; False if the platform does not answer in time."""


@runtime_checkable
class SupportsPrivacyMode(Protocol):
    """Optional: for platforms where the bot may get only commands and replies to its messages in a group."""

    async def receives_mentions(self, place: Place) -> bool:
        """Whether messages that mention the bot arrive; False if the platform does not answer in time."""


@runtime_checkable
class SupportsPrivateChats(Protocol):
    """Optional: for platforms where the bot can write to a person first."""

    async def open_private_chat(self, user: str) -> Place:
        """Where the bot and this person are alone. Raises `DeliveryError`."""


@runtime_checkable
class SupportsWaitingMarks(Protocol):
    """Optional: for platforms where the bot can mark a message of a person without writing one."""

    async def mark_waiting(self, place: Place, message_id: str, *, is_waiting: bool) -> None:
        """Mark a question that waits for the answer to another one, or remove the mark.

        Raises `DeliveryError`, `DeliveryFailure.FORBIDDEN` where the chat allows no marks.
        """


@runtime_checkable
class SupportsThreads(Protocol):
    """Optional: for platforms whose threads begin with a message that people take as known."""

    async def thread_start(self, place: Place, question_message: str | None) -> Quote | None:
        """How the thread began: its title, tags and first message, which is left out if it is the question itself.

        None if the thread does not tell. Raises `DeliveryError`.
        """


@runtime_checkable
class SupportsTranscripts(Protocol):
    """Optional: for platforms that name places after what people ask in them."""

    def question_transcribed(self, question: Incoming) -> None:
        """The text of `question` contains what the person said in it. Returns at once."""


@runtime_checkable
class SupportsThreadCreation(Protocol):
    """Optional: for platforms where the bot can start a thread in a chat. `Sender.may_create_threads` says who may."""

    reads_own_threads: bool
    """Whether the bot answers all messages in the threads that it creates, also those that do not mention it."""

    async def create_thread(
        self, place: Place, title: str, *, interaction_token: str | None = None, is_repeated: bool = False
    ) -> str:
        """Returns the address of the thread, for people. Raises `DeliveryError`.

        `is_repeated`: an earlier call for the same command, with the same title, may have created the thread.
        """


@runtime_checkable
class SupportsOptionNames(Protocol):
    """Optional: for platforms that show the arguments of commands by translated names."""

    async def option_name(self, argument: str, language: str | None) -> str:
        """The name of an argument in a client of this language, an IETF tag."""


class ConnectionState(StrEnum):
    """Whether events can arrive."""

    CONNECTING = "connecting"
    """Not now: the connection is being opened, or was lost."""
    WAITING = "waiting"
    """Not now: the platform lets the bot connect only later. A new process would wait as well."""
    CONNECTED = "connected"
    STANDBY = "standby"
    """Other processes receive the events; this one is about to take over from them when they end."""


@runtime_checkable
class SupportsLiveness(Protocol):
    """Optional: lets the supervisor restart an adapter that has lost its platform without noticing."""

    @property
    def connection_state(self) -> ConnectionState: ...

    @property
    def last_activity(self) -> float | None:
        """When the platform last sent or answered something on the receiving side (`Clock.monotonic`); None while
        nothing is expected, such as in a process that waits for a lease.
        """
