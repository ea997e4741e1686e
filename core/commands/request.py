"""A command, with everything its handler needs to know about the person and the place, and the reply to it."""

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Connection

from core.conversation.api_keys import ApiKey
from core.conversation.preferences import Preferences, load_preferences, with_available_model
from core.port import Adapter, Button, Capabilities, Card, File, Incoming, MenuItem, SupportsPrivacyMode
from core.scopes import person_key
from core.services import Services
from core.store.claims import CancelResult, cancel_turns
from core.store.preferences import Preference, PreferenceName, set_preference
from core.store.turns import StoredTurn, Turn, replace_event_text

MAX_SET_BY_CHARS = 100


@dataclass(frozen=True, slots=True)
class CommandRequest:
    services: Services
    on_cancelled: Callable[[CancelResult], None]
    """Stops those of the turns that run in this process, and removes the marks of dropped questions."""
    turn: Turn
    preferences: Preferences
    """With a model that is available (`with_available_model`)."""
    adapter: Adapter

    @property
    def incoming(self) -> Incoming:
        return self.turn.incoming

    @property
    def turn_id(self) -> int:
        return self.turn.id

    @property
    def conversation_id(self) -> int:
        return self.turn.conversation_id

    @property
    def is_repeated(self) -> bool:
        """An earlier process may have carried out some of it."""
        return self.turn.attempt > 1

    @property
    def argument(self) -> str:
        return self.incoming.text.strip()

    @property
    def first_word(self) -> tuple[str, str]:
        """The first word of the argument, and the rest; either may be empty."""
        first, rest = (*self.argument.split(maxsplit=1), "", "")[:2]
        return first, rest

    @property
    def capabilities(self) -> Capabilities:
        return self.adapter.capabilities(self.incoming.place)

    async def receives_mentions(self) -> bool:
        """Whether messages here that mention the bot arrive."""
        adapter, place = self.adapter, self.incoming.place
        return not isinstance(adapter, SupportsPrivacyMode) or await adapter.receives_mentions(place)

    @property
    def person_key(self) -> str:
        return person_key(self.incoming.sender)

    async def api_key(self) -> ApiKey:
        """The key that pays for the sender's questions."""
        return await self.services.api_keys.for_sender(self.incoming)

    async def set_preference(self, scope_key: str, name: PreferenceName, value: str) -> None:
        preference = Preference(value, self.incoming.sender.name[:MAX_SET_BY_CHARS], self.person_key)
        await self.services.store.write(set_preference, scope_key, name, preference)

    async def current_preferences(self) -> Preferences:
        """What holds after a change."""
        services = self.services
        preferences = await services.store.read(load_preferences, self.incoming, services.settings)
        return with_available_model(preferences, services.models)

    async def store_argument(self, text: str) -> None:
        """Have the command repeated with this argument, if this process dies. Raises `LostLeaseError`."""
        await self.services.store.write(replace_event_text, self.turn, text)

    async def cancel_turns(self, conversation_id: int, *, target: int | None = None) -> CancelResult:
        """Stop what is running and waiting in a conversation, up to this request. `target`: see `cancel_turns`."""
        result = await self.services.store.write(cancel_turns, conversation_id, self.turn_id, target=target)
        self.on_cancelled(result)
        return result


@dataclass(frozen=True, slots=True)
class Reply:
    """A message that the bot itself writes, not a model."""

    text: str
    """Markdown; plain text if `is_collapsed`."""
    buttons: tuple[Button, ...] = ()
    menu: tuple[MenuItem, ...] = ()
    card: Card | None = None
    """The same as the text, the buttons and the menu, for platforms with cards. Its texts are Markdown."""
    edits_message: bool = False
    """Replaces the message whose button was pressed."""
    is_public: bool = False
    """Everyone in the chat sees it, even if only the person sees the other replies to this command."""
    announcement: str = ""
    """What everyone in the chat is told besides, where only the person sees the replaced message."""
    is_collapsed: bool = False
    """Hidden until the person expands it: long, and interesting to few."""
    is_answer: bool = False
    """An earlier answer of a model, which may take only some messages."""
    note: str = ""
    """Plain text under an answer."""
    files: tuple[File, ...] = ()
    """Sent under the text. If the chat refuses files, the reply only says so."""
    removed_turn: StoredTurn | None = None
    """The turn whose messages are deleted first; without a text, that is all."""
    shown_turn: int | None = None
    """The turn whose stored answer this is. The messages that show it then belong to that turn."""
    replaced_turn: int | None = None
    """The turn in whose messages it is shown; None: in new ones."""
    on_taken_over: Callable[[Connection], None] | None = None
    """A transaction that follows when no other press has taken those messages."""
