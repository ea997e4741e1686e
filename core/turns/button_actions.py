"""What the buttons under answers and menus do, and who may press them."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial

import structlog

from core.buttons import ButtonAction, ButtonPress, parse_action
from core.commands.access import DECISIONS, REQUESTS_COMMAND, decide
from core.commands.language import choose_language
from core.commands.memory import clear_memory_reply
from core.commands.model_picker import family_reply, menu_reply
from core.commands.models import list_reply, menu_choice_reply, scoped_choice_reply
from core.commands.permissions import is_manager
from core.commands.privacy import confirmation_reply, data_reply, erasure_reply, privacy_page
from core.commands.request import CommandRequest, Reply
from core.commands.settings import persona_choice_reply, set_setting_reply, setting_menu_reply
from core.commands.transfer import apply_import_reply
from core.conversation.preferences import load_preferences
from core.delivery.draft_ids import turn_of_draft
from core.i18n.translation import gettext
from core.port import Adapter, EventKind, Incoming
from core.scopes import conversation_key, conversation_key_prefix
from core.services import Services
from core.store.answer_parts import list_sent_parts
from core.store.answers import get_answer, get_reasoning
from core.store.batches import message_order
from core.store.conversations import find_conversation
from core.store.turns import StoredTurn, find_shown_press, find_turn_of_message, get_turn
from core.texts import answers as texts
from core.turns.answer_files import send_files_reply
from core.turns.variants import choose_retry_model_reply, show_variant_reply, use_model_reply

log = structlog.get_logger(__name__)

MAX_SHOWN_REASONING_CHARS = 12_000
MENU_COMMANDS = ("model", "models", "import", "memory", "settings", "persona", "language", "privacy", REQUESTS_COMMAND)


def target_turn(incoming: Incoming) -> int | None:
    """The turn that an event asks to stop; None for any that runs, 0 if the event names none that exists."""
    if incoming.kind is EventKind.BUTTON:
        press = parse_action(incoming.text)
        return (press.turn_id if press else None) or 0
    if incoming.kind is EventKind.STOP:
        return turn_of_draft(int(incoming.text)) if re.fullmatch(r"[0-9]{1,18}", incoming.text) else 0
    return None


async def run_button(request: CommandRequest) -> Reply | None:
    press = parse_action(request.incoming.text)
    # The erasure also deletes what the bot knows of the pressed message.
    is_replaceable = press is not None and press.action is ButtonAction.ERASE_DATA and await _is_replaceable(request)
    reply = await _run_action(request, press)
    if reply is None or not reply.edits_message or is_replaceable or await _is_replaceable(request):
        return reply
    if reply.announcement:
        return Reply(reply.announcement, is_public=True)
    return replace(reply, edits_message=False)


async def _run_action(request: CommandRequest, press: ButtonPress | None) -> Reply | None:
    if press is not None and (turn_action := TURN_ACTIONS.get(press.action)):
        turn = await find_permitted_turn(request.services, request.adapter, request.incoming, press)
        return Reply(await refusal_text(request.services, press)) if turn is None else await turn_action(request, turn)
    if press is not None and press.action in DECISIONS:
        return await decide(request, press)
    if press is not None and (menu_action := MENU_ACTIONS.get(press.action)):
        return await menu_action(request, press)
    log.info("turn.button_unknown", turn=request.turn_id)
    return Reply(gettext(texts.OUTDATED_BUTTON))


async def _is_replaceable(request: CommandRequest) -> bool:
    """Whether the pressed message is a menu or an orphaned preview, and not an answer or another reply.

    The message of a menu or an answer whose turn is deleted is unknown: it stays as it is.

    A modified client of Telegram can send any action as if it had pressed a button of any message.
    """
    incoming = request.incoming
    key_prefix = conversation_key_prefix(incoming.place)
    turn = await request.services.store.read(find_turn_of_message, key_prefix, incoming.message_id or "")
    if turn is None:
        pressed = parse_action(incoming.text)
        is_stop = pressed is not None and pressed.action is ButtonAction.STOP
        return is_stop and await _is_after_question(request, pressed.turn_id if pressed else None)
    press = parse_action(turn.incoming.text) if turn.incoming.kind is EventKind.BUTTON else None
    return turn.incoming.command in MENU_COMMANDS or (press is not None and press.action in (*MENU_ACTIONS, *DECISIONS))


async def _is_after_question(request: CommandRequest, turn_id: int | None) -> bool:
    """Whether the pressed message came after the question of the turn, as a preview of its answer does."""
    turn = await request.services.store.read(get_turn, turn_id or 0)
    question = turn.incoming.message_id if turn is not None else None
    return question is None or message_order(request.incoming.message_id) > message_order(question)


async def find_permitted_turn(
    services: Services, adapter: Adapter, incoming: Incoming, press: ButtonPress
) -> StoredTurn | None:
    """The turn that `press` names, if its sender may act on it.

    That is the person who asked, a manager of the chat, and in a shared conversation everyone.
    """
    store = services.store
    turn = await store.read(get_turn, press.turn_id) if press.turn_id is not None else None
    if turn is None:
        return None
    question = turn.incoming
    preferences = await store.read(load_preferences, incoming, services.settings)
    if (question.place.account_key, question.place.chat) != (incoming.place.account_key, incoming.place.chat):
        return None
    if question.is_confidential and question.sender.user != incoming.sender.user:
        return None
    if question.sender.user == incoming.sender.user or await is_manager(adapter, incoming):
        return turn
    # A question asked before the chat shared a conversation belongs to another conversation.
    key = conversation_key(incoming.place, incoming.sender, shared=preferences.is_shared)
    current_conversation = await store.read(find_conversation, key)
    return turn if turn.conversation_id == current_conversation else None


async def refusal_text(services: Services, press: ButtonPress) -> str:
    """Why `find_permitted_turn` found none."""
    is_stored = press.turn_id is not None and await services.store.read(get_turn, press.turn_id) is not None
    return gettext(texts.NOT_YOUR_ANSWER if is_stored else texts.ANSWER_EXPIRED)


async def stop_draft(request: CommandRequest) -> Reply | None:
    """Handle the platform's own Stop control. Pressed too late, it must not stop the next answer.

    Drafts exist in private chats only, so the place says who may stop them.
    """
    target = await request.services.store.read(get_turn, target_turn(request.incoming) or 0)
    if target is None or target.incoming.place != request.incoming.place or target.state.is_final:
        return None
    return await _cancel_turns(request, target)


async def _stop(request: CommandRequest, target: StoredTurn) -> Reply | None:
    if target.state.is_final:
        return await _replace_orphaned_preview(request, target)
    return await _cancel_turns(request, target)


async def _replace_orphaned_preview(request: CommandRequest, turn: StoredTurn) -> Reply | None:
    """Replace a preview that no answer will ever replace: its process died before it stored the message's ID."""
    sent = await request.services.store.read(list_sent_parts, turn.id)
    if request.incoming.message_id in {part.message_id for part in sent.values()}:
        return None  # the preview became the final answer while the button was pressed
    return Reply(gettext(texts.PREVIEW_ORPHANED), edits_message=True)


async def _cancel_turns(request: CommandRequest, target: StoredTurn) -> Reply | None:
    """The stopped answer says so itself; only dropped messages need a reply."""
    result = await request.cancel_turns(target.conversation_id, target=target.id)
    return Reply(texts.messages_dropped(result.dropped)) if result.dropped else None


async def _send_again(request: CommandRequest, turn: StoredTurn) -> Reply:
    """Repeat an answer that may not have arrived, for everyone who should have seen it."""
    answer = await request.services.store.read(get_answer, turn.id)
    return Reply(answer, is_answer=True, is_public=True) if answer else Reply(gettext(texts.ANSWER_NOT_STORED))


async def _show_reasoning(request: CommandRequest, turn: StoredTurn) -> Reply:
    """Show the reasoning. Where everybody sees it, the next press hides it.

    Nobody knows whether a person has dismissed an ephemeral message, so a press shows it anew.
    """
    is_private = request.incoming.place.is_private
    is_ephemeral = request.capabilities.has_ephemeral_messages and not is_private
    # Others do not see an ephemeral message.
    user = request.incoming.sender.user if is_ephemeral else None
    find = partial(find_shown_press, text=request.incoming.text, before_turn=request.turn_id, user=user)
    shown_by = await request.services.store.read(find, request.conversation_id)
    if shown_by is not None and not is_ephemeral:
        return Reply("", removed_turn=shown_by)
    if shown_by is not None and shown_by.age_seconds > request.capabilities.max_ephemeral_age:
        shown_by = None
    reasoning = (await request.services.store.read(get_reasoning, turn.id) or "").strip()
    if not reasoning:
        return Reply(gettext(texts.REASONING_NOT_STORED))
    excerpt = reasoning[:MAX_SHOWN_REASONING_CHARS]
    text = excerpt + ("…" if len(reasoning) > MAX_SHOWN_REASONING_CHARS else "")
    return Reply(text, is_collapsed=True, is_public=is_private, removed_turn=shown_by)


async def _show_model_menu(request: CommandRequest, press: ButtonPress) -> Reply:
    return await menu_reply(request, _page_number(press.argument), edits_message=True)


async def _show_model_family(request: CommandRequest, press: ButtonPress) -> Reply:
    page, _, digest = press.argument.partition(":")
    return await family_reply(request, digest, _page_number(page))


async def _show_model_list(request: CommandRequest, press: ButtonPress) -> Reply:
    page, _, search = press.argument.partition(":")
    return await list_reply(request, search, _page_number(page), edits_message=True)


async def _show_setting(request: CommandRequest, press: ButtonPress) -> Reply:
    return await setting_menu_reply(request, press.argument)


async def _set_setting(request: CommandRequest, press: ButtonPress) -> Reply:
    name, _, value = press.argument.partition(":")
    return await set_setting_reply(request, name, value)


async def _choose_persona(request: CommandRequest, _press: ButtonPress) -> Reply:
    return await persona_choice_reply(request)


async def _choose_model(request: CommandRequest, _press: ButtonPress) -> Reply:
    return await menu_choice_reply(request)


async def _choose_model_for(request: CommandRequest, _press: ButtonPress) -> Reply:
    return await scoped_choice_reply(request)


async def _choose_language(request: CommandRequest, press: ButtonPress) -> Reply:
    return await choose_language(request, press.argument, edits_message=True)


async def _show_privacy(request: CommandRequest, _press: ButtonPress) -> Reply:
    return privacy_page(request, edits_message=True)


def _page_number(text: str) -> int:
    return int(text) if re.fullmatch(r"[0-9]{1,4}", text) else 0


TURN_ACTIONS: dict[ButtonAction, Callable[[CommandRequest, StoredTurn], Awaitable[Reply | None]]] = {
    ButtonAction.STOP: _stop,
    ButtonAction.SEND_AGAIN: _send_again,
    ButtonAction.SHOW_REASONING: _show_reasoning,
    ButtonAction.SEND_FILES: send_files_reply,
    ButtonAction.SHOW_VARIANT: show_variant_reply,
    ButtonAction.CHOOSE_RETRY_MODEL: choose_retry_model_reply,
    ButtonAction.USE_MODEL: use_model_reply,
    ButtonAction.IMPORT: apply_import_reply,
    ButtonAction.CLEAR_MEMORY: clear_memory_reply,
}
"""For those who may act on the turn."""
MENU_ACTIONS: dict[ButtonAction, Callable[[CommandRequest, ButtonPress], Awaitable[Reply]]] = {
    ButtonAction.SHOW_MODEL_MENU: _show_model_menu,
    ButtonAction.SHOW_MODEL_FAMILY: _show_model_family,
    ButtonAction.SHOW_MODEL_LIST: _show_model_list,
    ButtonAction.CHOOSE_MODEL: _choose_model,
    ButtonAction.CHOOSE_MODEL_FOR: _choose_model_for,
    ButtonAction.CHOOSE_PERSONA: _choose_persona,
    ButtonAction.SHOW_SETTING: _show_setting,
    ButtonAction.SET_SETTING: _set_setting,
    ButtonAction.CHOOSE_LANGUAGE: _choose_language,
    ButtonAction.SHOW_PRIVACY: _show_privacy,
    ButtonAction.EXPORT_DATA: data_reply,
    ButtonAction.ASK_TO_ERASE: confirmation_reply,
    ButtonAction.ERASE_DATA: erasure_reply,
}
