"""What the buttons under answers and menus do, and who may press them."""

import re
from collections.abc import Awaitable, Callable

import structlog

from core.buttons import ButtonAction, ButtonPress, parse_action
from core.commands.handlers import CommandHandlers
from core.commands.reply import Reply
from core.commands.request import CommandRequest
from core.conversation.preferences import load_preferences
from core.delivery.draft_ids import turn_of_draft
from core.port import EventKind, Incoming
from core.scopes import conversation_key
from core.settings import Settings
from core.store.answer_parts import list_sent_parts
from core.store.answers import get_answer, get_reasoning
from core.store.claims import cancel_turns
from core.store.conversations import find_conversation
from core.store.database import Store
from core.store.turns import StoredTurn, Turn, get_turn
from core.texts import answers as texts

__all__ = ["ButtonActions", "target_turn"]

log = structlog.get_logger(__name__)

MAX_SHOWN_REASONING_CHARS = 12_000


def target_turn(incoming: Incoming) -> int | None:
    """The turn that an event asks to stop. None: any that is running; 0: the event names none that exists."""
    if incoming.kind is EventKind.BUTTON:
        press = parse_action(incoming.text)
        return (press.turn_id if press else None) or 0
    if incoming.kind is EventKind.STOP:
        return turn_of_draft(int(incoming.text)) if re.fullmatch(r"[0-9]{1,18}", incoming.text) else 0
    return None


class ButtonActions:
    def __init__(self, store: Store, settings: Settings, commands: CommandHandlers) -> None:
        self._store = store
        self._settings = settings
        self._commands = commands
        self._actions: dict[ButtonAction, Callable[[CommandRequest, ButtonPress], Awaitable[Reply | None]]] = {
            ButtonAction.STOP: self._stop,
            ButtonAction.SEND_AGAIN: self._send_again,
            ButtonAction.SHOW_REASONING: self._show_reasoning,
            ButtonAction.SHOW_MODEL_MENU: self._show_model_menu,
            ButtonAction.SHOW_MODEL_LIST: self._show_model_list,
            ButtonAction.CHOOSE_MODEL: self._choose_model,
        }

    async def run(self, request: CommandRequest) -> Reply | None:
        press = parse_action(request.incoming.text)
        action = self._actions.get(press.action) if press else None
        if press is None or action is None:
            log.info("turn.button_unknown", turn=request.turn_id)
            return Reply(texts.OUTDATED_BUTTON)
        return await action(request, press)

    async def find_permitted_turn(self, incoming: Incoming, press: ButtonPress) -> StoredTurn | None:
        """The turn that `press` names, if its sender may act on it.

        That is the person who asked, a manager of the chat, and in a shared conversation everyone.
        """
        turn = await self._store.read(get_turn, press.turn_id) if press.turn_id is not None else None
        if turn is None:
            return None
        question = turn.incoming
        preferences = await self._store.read(load_preferences, incoming.place, incoming.sender, self._settings)
        if (question.place.account_key, question.place.chat) != (incoming.place.account_key, incoming.place.chat):
            return None
        if question.sender.user == incoming.sender.user or incoming.sender.is_manager:
            return turn
        # A question asked before the chat shared a conversation belongs to another conversation.
        key = conversation_key(incoming.place, incoming.sender, shared=preferences.is_shared)
        current_conversation = await self._store.read(find_conversation, key)
        return turn if turn.conversation_id == current_conversation else None

    async def stop_draft(self, turn: Turn) -> Reply | None:
        """Handle the platform's own Stop control. Pressed too late, it must not stop the next answer.

        Drafts exist in private chats only, so the place says who may stop them.
        """
        target = await self._store.read(get_turn, target_turn(turn.incoming) or 0)
        if target is None or target.incoming.place != turn.incoming.place or target.state.is_final:
            return None
        return await self._cancel_turns(target.conversation_id, turn.id)

    async def _stop(self, request: CommandRequest, press: ButtonPress) -> Reply | None:
        target = await self.find_permitted_turn(request.incoming, press)
        if target is None:
            return Reply(texts.NOT_YOUR_ANSWER)
        if target.state.is_final:
            return await self._replace_orphaned_preview(request, press)
        return await self._cancel_turns(target.conversation_id, request.turn_id)

    async def _replace_orphaned_preview(self, request: CommandRequest, press: ButtonPress) -> Reply | None:
        """Replace a preview that no answer will ever replace: its process died before it stored the message's ID."""
        sent = await self._store.read(list_sent_parts, press.turn_id or 0)
        if request.incoming.message_id in {part.message_id for part in sent.values()}:
            return None  # the preview became the final answer while the button was pressed
        return Reply(texts.PREVIEW_ORPHANED, edits_message=True)

    async def _cancel_turns(self, conversation_id: int, before_turn: int) -> Reply | None:
        """The stopped answer says so itself; only dropped messages need a reply."""
        result = await self._store.write(cancel_turns, conversation_id, before_turn)
        self._commands.stop_local_turns(result.running)
        return Reply(texts.messages_dropped(result.dropped)) if result.dropped else None

    async def _send_again(self, request: CommandRequest, press: ButtonPress) -> Reply:
        """Repeat an answer that may not have arrived."""
        if await self.find_permitted_turn(request.incoming, press) is None:
            return Reply(texts.NOT_YOUR_ANSWER)
        return Reply(await self._store.read(get_answer, press.turn_id or 0) or texts.ANSWER_NOT_STORED)

    async def _show_reasoning(self, request: CommandRequest, press: ButtonPress) -> Reply:
        if await self.find_permitted_turn(request.incoming, press) is None:
            return Reply(texts.NOT_YOUR_ANSWER)
        reasoning = (await self._store.read(get_reasoning, press.turn_id or 0) or "").strip()
        if not reasoning:
            return Reply(texts.REASONING_NOT_STORED)
        excerpt = reasoning[:MAX_SHOWN_REASONING_CHARS]
        return Reply(excerpt + ("…" if len(reasoning) > MAX_SHOWN_REASONING_CHARS else ""), is_collapsed=True)

    async def _show_model_menu(self, request: CommandRequest, press: ButtonPress) -> Reply:
        return await self._commands.models.show_menu(request, _page_number(press.argument), edits_message=True)

    async def _show_model_list(self, request: CommandRequest, press: ButtonPress) -> Reply:
        page, _, search = press.argument.partition(":")
        return await self._commands.models.show_list(request, search, _page_number(page), edits_message=True)

    async def _choose_model(self, request: CommandRequest, _press: ButtonPress) -> Reply:
        return await self._commands.models.choose_by_action(request, request.incoming.text)


def _page_number(text: str) -> int:
    return int(text) if re.fullmatch(r"[0-9]{1,4}", text) else 0
