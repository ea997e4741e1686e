"""What the buttons under answers do, and who may press them."""

import re
from collections.abc import Awaitable, Callable

import structlog

from core.commands.handlers import CommandHandlers, CommandRequest
from core.commands.menus import model_by_action
from core.commands.reply import Reply
from core.conversation.model_registry import ModelRegistry
from core.conversation.preferences import load_preferences
from core.conversation.scope import conversation_key
from core.port import EventKind, Incoming
from core.settings import Settings
from core.store.conversations import find_conversation
from core.store.database import Store
from core.store.turns import (
    Turn,
    TurnState,
    cancel_turns,
    get_answer,
    get_reasoning,
    get_turn,
    list_sent_parts,
)
from core.turns import texts

__all__ = ["ButtonActions", "target_turn"]

log = structlog.get_logger(__name__)

DRAFTS_PER_TURN = 64  # as `core.delivery.preview` numbers them
FINISHED_STATES = (TurnState.DONE, TurnState.STOPPED, TurnState.FAILED)
MAX_SHOWN_REASONING_CHARS = 12_000  # characters shown
OUTDATED_BUTTON = "That button is from an older version and does nothing any more."
MODEL_UNAVAILABLE = "That model is not there any more. /model shows the present ones."


def target_turn(incoming: Incoming) -> int | None:
    """The turn whose answer a press wants to end; None: whichever is written, 0: none there is."""
    if incoming.kind not in (EventKind.BUTTON, EventKind.STOP):
        return None
    number = incoming.text.rpartition(":")[2]
    if not re.fullmatch(r"[0-9]{1,18}", number):
        return 0
    # The platform's own control names the draft.
    return int(number) if incoming.kind is EventKind.BUTTON else (int(number) - 1) // DRAFTS_PER_TURN


class ButtonActions:
    def __init__(self, store: Store, settings: Settings, models: ModelRegistry, commands: CommandHandlers) -> None:
        self._store = store
        self._settings = settings
        self._models = models
        self._commands = commands
        self._actions: dict[str, Callable[[CommandRequest, str], Awaitable[Reply | None]]] = {
            "stop": self._stop,
            "again": self._send_again,
            "think": self._show_reasoning,
            "mp": self._show_model_menu,
            "ml": self._show_model_list,
            "m": self._choose_model,
        }

    async def run(self, request: CommandRequest) -> Reply | None:
        action, _, argument = request.incoming.text.partition(":")
        if action.startswith("m#"):  # an id too long for a button goes by its digest
            action = "m"
        handler = self._actions.get(action)
        if handler is None:
            log.info("unknown button", turn=request.turn_id)
            return Reply(OUTDATED_BUTTON)
        return await handler(request, argument)

    async def find_turn(self, incoming: Incoming, argument: str) -> tuple[int, TurnState] | None:
        """The conversation and state of the turn a button names, if the presser may touch it."""
        if not re.fullmatch(r"\d{1,18}", argument):
            return None
        row = await self._store.read(get_turn, int(argument))
        if row is None:
            return None
        conversation, question, state = row
        choices = await self._store.read(load_preferences, incoming.place, incoming.sender, self._settings)
        same_place = (question.place.platform, question.place.account, question.place.chat) == (
            incoming.place.platform,
            incoming.place.account,
            incoming.place.chat,
        )
        if not same_place:
            return None
        if question.sender.user == incoming.sender.user or incoming.sender.is_manager:
            return conversation, state
        # What was asked before the chat shared a conversation is not of it.
        key = conversation_key(incoming.place, incoming.sender, shared=choices.is_shared)
        own_conversation = await self._store.read(find_conversation, key)
        return (conversation, state) if conversation == own_conversation else None

    async def stop_draft(self, turn: Turn) -> Reply | None:
        """The platform's own Stop control. Pressed as the answer ends it ends no other."""
        row = await self._store.read(get_turn, target_turn(turn.incoming) or 0)
        if row is None or row[1].place != turn.incoming.place or row[2] in FINISHED_STATES:
            return None
        return await self._cancel_turns(row[0], turn.id)

    async def _stop(self, request: CommandRequest, argument: str) -> Reply | None:
        target = await self.find_turn(request.incoming, argument)
        if target is None:
            return Reply(texts.NOT_YOUR_ANSWER)
        if target[1] in FINISHED_STATES:
            return await self._replace_orphaned_preview(request, int(argument))
        return await self._cancel_turns(target[0], request.turn_id)

    async def _replace_orphaned_preview(self, request: CommandRequest, turn_id: int) -> Reply | None:
        """The message looks as if it grew, and nobody writes it: its writer died before it could
        note that it stands there.
        """
        sent = await self._store.read(list_sent_parts, turn_id)
        if request.incoming.message in {part.message_id for part in sent.values()}:
            return None  # pressed in the instant in which it became final
        return Reply(texts.PREVIEW_ORPHANED, edits_message=True)

    async def _cancel_turns(self, conversation: int, before: int) -> Reply | None:
        """The answer itself shows that it stopped; what waited shows nothing."""
        running, dropped = await self._store.write(cancel_turns, conversation, before)
        self._commands.cancel_turns(running)
        return Reply(texts.messages_dropped(dropped)) if dropped else None

    async def _send_again(self, request: CommandRequest, argument: str) -> Reply:
        """An answer of which it is not known whether it arrived."""
        if await self.find_turn(request.incoming, argument) is None:
            return Reply(texts.NOT_YOUR_ANSWER)
        return Reply(await self._store.read(get_answer, int(argument)) or texts.ANSWER_NOT_STORED)

    async def _show_reasoning(self, request: CommandRequest, argument: str) -> Reply:
        """What the model thought, for who asks to see it."""
        if await self.find_turn(request.incoming, argument) is None:
            return Reply(texts.NOT_YOUR_ANSWER)
        reasoning = (await self._store.read(get_reasoning, int(argument)) or "").strip()
        if not reasoning:
            return Reply("What it thought was not kept.")
        excerpt = reasoning[:MAX_SHOWN_REASONING_CHARS]
        return Reply(excerpt + ("…" if len(reasoning) > MAX_SHOWN_REASONING_CHARS else ""), is_collapsed=True)

    async def _show_model_menu(self, request: CommandRequest, argument: str) -> Reply:
        page = int(argument) if re.fullmatch(r"\d{1,4}", argument) else 0
        return await self._commands.model_page(request, page, edits_message=True)

    async def _show_model_list(self, request: CommandRequest, argument: str) -> Reply:
        page, _, search = argument.partition(":")
        number = int(page) if re.fullmatch(r"\d{1,4}", page, re.ASCII) else 0
        return await self._commands.models_command.page(request, search, number, edits_message=True)

    async def _choose_model(self, request: CommandRequest, _argument: str) -> Reply:
        model = model_by_action(self._models.chat_models(), request.incoming.text)
        if model is None:
            return Reply(MODEL_UNAVAILABLE)
        reply = await self._commands.set_model(request, model)
        return Reply(reply.text, edits_message=True)
