"""What the buttons under answers do, and who may press them."""

import re
from collections.abc import Awaitable, Callable

import structlog

from core.commands.handlers import Asking, Commands
from core.commands.menus import model_of
from core.commands.reply import Reply
from core.conversation.choices import read_choices
from core.conversation.models import Models
from core.conversation.scope import conversation_key
from core.port import Incoming, Kind
from core.settings import Settings
from core.store.conversations import find
from core.store.database import Store
from core.store.turns import State, Turn, answer_of, cancel, sent_parts, thoughts_of, turn_of
from core.turns import words

__all__ = ["Buttons", "named"]

log = structlog.get_logger(__name__)

DRAFTS_A_TURN = 64  # as `core.delivery.preview` numbers them
ENDED = (State.DONE, State.STOPPED, State.FAILED)
MOST_THOUGHTS = 12_000  # characters shown
OLD_BUTTON = "That button is from an older version and does nothing any more."
GONE_MODEL = "That model is not there any more. /model shows the present ones."


def named(incoming: Incoming) -> int | None:
    """The turn whose answer a press wants to end; None: whichever is written, 0: none there is."""
    if incoming.kind not in (Kind.BUTTON, Kind.STOP):
        return None
    number = incoming.text.rpartition(":")[2]
    if not re.fullmatch(r"[0-9]{1,18}", number):
        return 0
    # The platform's own control names the draft.
    return int(number) if incoming.kind is Kind.BUTTON else (int(number) - 1) // DRAFTS_A_TURN


class Buttons:
    def __init__(
        self, store: Store, settings: Settings, models: Models, commands: Commands
    ) -> None:
        self._store = store
        self._settings = settings
        self._models = models
        self._commands = commands
        self._actions: dict[str, Callable[[Asking, str], Awaitable[Reply | None]]] = {
            "stop": self._stop,
            "again": self._again,
            "think": self._thoughts,
            "mp": self._page,
            "ml": self._list,
            "m": self._model,
        }

    async def pressed(self, asking: Asking) -> Reply | None:
        action, _, argument = asking.incoming.text.partition(":")
        if action.startswith("m#"):  # an id too long for a button goes by its digest
            action = "m"
        do = self._actions.get(action)
        if do is None:
            log.info("unknown button", turn=asking.turn)
            return Reply(OLD_BUTTON)
        return await do(asking, argument)

    async def of(self, incoming: Incoming, argument: str) -> tuple[int, State] | None:
        """The conversation and state of the turn a button names, if the presser may touch it."""
        if not re.fullmatch(r"\d{1,18}", argument):
            return None
        found = await self._store.read(turn_of, int(argument))
        if found is None:
            return None
        conversation, asked, state = found
        choices = await self._store.read(
            read_choices, incoming.place, incoming.sender, self._settings
        )
        same_place = (asked.place.platform, asked.place.account, asked.place.chat) == (
            incoming.place.platform, incoming.place.account, incoming.place.chat,
        )  # fmt: skip
        if not same_place:
            return None
        if asked.sender.user == incoming.sender.user or incoming.sender.manages:
            return conversation, state
        # What was asked before the chat shared a conversation is not of it.
        key = conversation_key(incoming.place, incoming.sender, shared=choices.shared)
        theirs = await self._store.read(find, key)
        return (conversation, state) if conversation == theirs else None

    async def stop_draft(self, turn: Turn) -> Reply | None:
        """The platform's own Stop control. Pressed as the answer ends it ends no other."""
        found = await self._store.read(turn_of, named(turn.incoming) or 0)
        if found is None or found[1].place != turn.incoming.place or found[2] in ENDED:
            return None
        return await self._cancel(found[0], turn.id)

    async def _stop(self, asking: Asking, argument: str) -> Reply | None:
        found = await self.of(asking.incoming, argument)
        if found is None:
            return Reply(words.NOT_YOURS)
        if found[1] in ENDED:
            return await self._left_behind(asking, int(argument))
        return await self._cancel(found[0], asking.turn)

    async def _left_behind(self, asking: Asking, turn: int) -> Reply | None:
        """The message looks as if it grew, and nobody writes it: its writer died before it could
        note that it stands there.
        """
        known = await self._store.read(sent_parts, turn)
        if asking.incoming.message in {part.message for part in known.values()}:
            return None  # pressed in the instant in which it became final
        return Reply(words.LEFT_BEHIND, replace=True)

    async def _cancel(self, conversation: int, before: int) -> Reply | None:
        """The answer itself shows that it stopped; what waited shows nothing."""
        running, dropped = await self._store.write(cancel, conversation, before)
        self._commands.stop_running(running)
        return Reply(words.dropped(dropped)) if dropped else None

    async def _again(self, asking: Asking, argument: str) -> Reply:
        """An answer of which it is not known whether it arrived."""
        if await self.of(asking.incoming, argument) is None:
            return Reply(words.NOT_YOURS)
        return Reply(await self._store.read(answer_of, int(argument)) or words.GONE_ANSWER)

    async def _thoughts(self, asking: Asking, argument: str) -> Reply:
        """What the model thought, for who asks to see it."""
        if await self.of(asking.incoming, argument) is None:
            return Reply(words.NOT_YOURS)
        thoughts = (await self._store.read(thoughts_of, int(argument)) or "").strip()
        if not thoughts:
            return Reply("What it thought was not kept.")
        shown = thoughts[:MOST_THOUGHTS]
        return Reply(shown + ("…" if len(thoughts) > MOST_THOUGHTS else ""), folded=True)

    async def _page(self, asking: Asking, argument: str) -> Reply:
        page = int(argument) if re.fullmatch(r"\d{1,4}", argument) else 0
        return await self._commands.model_page(asking, page, replace=True)

    async def _list(self, asking: Asking, argument: str) -> Reply:
        page, _, search = argument.partition(":")
        number = int(page) if re.fullmatch(r"\d{1,4}", page, re.ASCII) else 0
        return await self._commands.listing.page(asking, search, number, replace=True)

    async def _model(self, asking: Asking, _argument: str) -> Reply:
        model = model_of(self._models.chat(), asking.incoming.text)
        if model is None:
            return Reply(GONE_MODEL)
        said = await self._commands.set_model(asking, model)
        return Reply(said.text, replace=True)
