"""The boundary between the core and a platform, on one screen.

An adapter translates events to `Incoming` and hands them to `Inbox`; the core speaks back through
`Chat`. Failures come as `DeliveryError` with one of the closed list of `Fault`. Places, people
and messages are named by strings the platform chose; the core never looks inside them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol, runtime_checkable

from core.markdown.document import Document

__all__ = [
    "FILE_KIND",
    "Adapter",
    "Attachment",
    "Button",
    "Capabilities",
    "Dialect",
    "EventKind",
    "Inbox",
    "Incoming",
    "MenuItem",
    "Part",
    "Place",
    "RateLimit",
    "Sender",
    "SupportsDrafts",
    "SupportsFiles",
    "SupportsLiveness",
]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a conversation happens."""

    platform: str
    account: str
    """The bot's own id there."""
    chat: str
    thread: str | None = None
    private: bool = False
    """One person and the bot, nobody else."""
    server: str | None = None


@dataclass(frozen=True, slots=True)
class Sender:
    platform: str
    user: str
    name: str
    language: str | None = None
    is_bot: bool = False
    is_manager: bool = False
    """May change settings for everybody in this place's server or group."""


FILE_KIND = "file"


@dataclass(frozen=True, slots=True)
class Attachment:
    kind: str
    """What it is, in words for a person: "sticker", "photo", "voice message"; `FILE` is what may
    be read.
    """
    name: str = ""
    size: int = 0
    """In bytes; 0 when unknown."""
    file_id: str = ""
    """By which the platform hands it out (`Files`); "" where it cannot be had."""
    media_type: str = ""
    """As the sender's client said, e.g. application/pdf."""


class EventKind(StrEnum):
    PROMPT = "prompt"
    COMMAND = "command"
    BUTTON = "button"
    MOVED = "moved"
    """The chat goes on under another id: `text`."""
    STOP = "stop"
    """The platform's own Stop control: `text` is the draft's id."""


@dataclass(frozen=True, slots=True)
class Incoming:
    """Something a person said or did."""

    kind: EventKind
    key: str
    """Unique for this event on this account; a redelivery carries the same."""
    place: Place
    sender: Sender
    text: str
    """The prompt; a command's argument; a button's action."""
    message: str | None = None
    """The id of the message this is, or on which a button was pressed."""
    command: str = ""
    reply_to: str | None = None
    attachments: tuple[Attachment, ...] = ()
    batch: str | None = None
    """Names what a client sent as several messages, of which more may follow in a moment; "" where
    it has no name: then what the person says next belongs to it.
    """
    pieces: tuple[tuple[str, int], ...] = ()
    """Of a batch that is one question by now: the messages `text` is made of, a line break between
    them, each with its characters.
    """
    interaction_token: str | None = None
    """The adapter's own right to answer this event (Discord: the interaction); kept with the turn
    and handed back with everything sent in answer."""


@dataclass(frozen=True, slots=True)
class Button:
    label: str
    action: str
    """At most 64 bytes; comes back as the text of a `Kind.BUTTON`."""
    danger: bool = False


@dataclass(frozen=True, slots=True)
class MenuItem:
    """One line of a menu, pressed like a button."""

    label: str
    action: str
    description: str = ""
    is_selected: bool = False


@dataclass(frozen=True, slots=True)
class Part:
    """One platform message, certain to fit. `native` is the dialect's own (entities and such)."""

    text: str
    native: Mapping[str, object] = field(default_factory=dict)
    buttons: tuple[Button, ...] = ()
    menu: tuple[MenuItem, ...] = ()


@dataclass(frozen=True, slots=True)
class RateLimit:
    """How often a chat may be written to: `burst` at once, refilled at `rate` a second."""

    burst: float
    rate: float
    reserve: float = 0
    """Of the burst, what only finals and answers to commands may use."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """Facts about a place, not about a platform."""

    rate_limit: RateLimit
    preview_mode: str = "edit"
    """How an answer is shown while it grows: "draft", "edit" or "off" (typing only)."""
    preview_interval: float = 1.0
    """Seconds between two previews of one answer."""
    slow_preview_after_chars: int = 0
    """Characters after which previews come half as often again; 0: never."""
    draft_lifetime: float | None = None
    """Seconds after which an unchanged draft vanishes."""
    typing_interval: float = 4.5
    has_stop_button: bool = True
    """Whether the message that grows can carry a Stop button."""
    has_retry_button: bool = False
    """Whether a finished answer carries a Retry button."""
    deduplicates_sends: bool = False
    """Whether a message that is sent again with the same key appears once."""
    menu_page_size: int = 8
    """Lines of a menu on one page."""
    list_page_size: int = 12
    """Lines of a list on one page, which fit one message."""


class Dialect(Protocol):
    """Renders documents; the only judge of size. Pure."""

    @property
    def limit(self) -> int:
        """What `size` may reach."""

    def render(self, document: Document) -> Part: ...

    def size(self, part: Part) -> int: ...


class Inbox(Protocol):
    async def __call__(self, incoming: Incoming) -> None:
        """Keep `incoming` for good. Only when this returns may the platform be told that it
        arrived. Raises `StoreError` when it cannot be kept: let the platform deliver it again;
        `DeniedError` when its sender is not let in, or with a ticket is too fast: say so where
        nobody else hears it, or nothing.
        """


class Adapter(Protocol):
    """An adapter. Every method raises `DeliveryError` only."""

    @property
    def platform(self) -> str: ...

    @property
    def account(self) -> str: ...

    @property
    def dialect(self) -> Dialect: ...

    @property
    def account_rate_limit(self) -> RateLimit:
        """What the whole account may do, whatever the place."""

    def capabilities(self, place: Place) -> Capabilities: ...

    async def run(self, inbox: Inbox) -> None:
        """Serve until cancelled. Raises `ConfigurationError` or `UnavailableError`."""

    async def send(
        self,
        place: Place,
        part: Part,
        *,
        key: str,
        reply_to: str | None = None,
        interaction_token: str | None = None,
        ephemeral: bool = False,
    ) -> str:
        """Send a new message and return its id. `key` (at most 25 characters) is the same when
        the same message is sent again. `quiet`: for the person who asked alone, where the
        platform can.
        """

    async def edit(self, place: Place, message: str, part: Part, *, interaction_token: str | None = None) -> None: ...

    async def delete(self, place: Place, message: str, *, interaction_token: str | None = None) -> None: ...

    async def typing(self, place: Place) -> None: ...


@runtime_checkable
class SupportsDrafts(Protocol):
    """An optional power: a preview that is no message yet (`Capabilities.preview == "draft"`)."""

    async def draft(self, place: Place, draft_id: int, part: Part) -> None:
        """Show `part` as draft number `draft` (non-zero); an empty text shows that it thinks."""


@runtime_checkable
class SupportsFiles(Protocol):
    """An optional power: to hand out what a person sent."""

    async def fetch(self, attachment: Attachment, max_bytes: int) -> bytes:
        """Its content, of `most` bytes at most: `Fault.REJECTED` for more, `Fault.GONE` where it
        is there no more.
        """


@runtime_checkable
class SupportsLiveness(Protocol):
    """An optional power: to tell whether it still hears its platform."""

    @property
    def last_activity(self) -> float | None:
        """When the platform last answered the side that receives, by `time.monotonic`; None
        while nothing is to be heard (standing by, connecting).
        """
