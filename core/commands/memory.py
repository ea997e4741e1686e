"""/remember and /memory: the notes and files of a conversation, and what is recalled."""

from core.buttons import ButtonAction, encode_action
from core.commands.declarations import MemoryAction
from core.commands.permissions import announce, find_conversation_scope
from core.commands.request import CommandRequest, Reply
from core.errors import DocumentError, DocumentFailure
from core.i18n.translation import gettext
from core.port import Button
from core.scopes import Scope
from core.store.memories import (
    RecallMode,
    delete_all,
    delete_entry,
    get_conversation_key,
    get_statistics,
    list_entries,
    set_recall_mode,
)
from core.store.turns import StoredTurn
from core.texts import memory as texts

MAX_NUMBER_DIGITS = 7
RECALL_MODES = {
    MemoryAction.ON: RecallMode.WITH_MESSAGES,
    MemoryAction.OFF: RecallMode.OFF,
    MemoryAction.RESET: RecallMode.NOTES_AND_FILES,
}


async def remember_reply(request: CommandRequest) -> Reply:
    if not request.argument:
        return Reply(gettext(texts.NOTE_MISSING))
    api_key = await request.api_key()
    conversation_key = await request.services.store.read(get_conversation_key, request.conversation_id)
    try:
        stored = await request.services.memory.add_note(
            api_key, conversation_key, request.argument, person=request.person_key, turn_id=request.turn_id
        )
    except DocumentError as error:
        is_too_long = error.failure is DocumentFailure.TOO_LARGE
        return Reply(texts.note_too_long() if is_too_long else texts.document_failed("", error))
    return Reply(texts.note_stored(stored.entry.number, stored.failure))


async def memory_reply(request: CommandRequest) -> Reply:
    """`/memory`, `/memory on|off|reset`, `/memory delete NUMBER`, `/memory clear`."""
    store = request.services.store
    conversation_key = await store.read(get_conversation_key, request.conversation_id)
    first_word, argument = request.first_word
    action = first_word.casefold()
    if action in ("", MemoryAction.LIST):
        entries = await store.read(list_entries, conversation_key)
        return Reply(texts.memory_list(entries, await store.read(get_statistics, conversation_key)))
    scope = await find_conversation_scope(request)
    if isinstance(scope, Reply):
        return scope
    match action:
        case MemoryAction.DELETE:
            return await _delete(request, scope, conversation_key, argument.lstrip("#"))
        case MemoryAction.CLEAR:
            is_confirmed = argument.casefold() == texts.CONFIRM_CLEAR
            return await (
                _clear(request, scope, conversation_key) if is_confirmed else _ask_to_clear(request, conversation_key)
            )
        case MemoryAction.ON | MemoryAction.OFF | MemoryAction.RESET:
            mode = RECALL_MODES[MemoryAction(action)]
            await store.write(set_recall_mode, conversation_key, mode)
            return announce(request, Reply(gettext(texts.RECALL_CHANGED[mode])), scope)
        case _:
            return Reply(gettext(texts.UNKNOWN_ACTION))


async def _ask_to_clear(request: CommandRequest, conversation_key: str) -> Reply:
    action = encode_action(ButtonAction.CLEAR_MEMORY, request.turn_id)
    text = texts.confirm_clear(await request.services.store.read(get_statistics, conversation_key))
    return Reply(text, (Button(gettext(texts.CLEAR_BUTTON), action, is_destructive=True),))


async def clear_memory_reply(request: CommandRequest, turn: StoredTurn) -> Reply:
    """Delete what an earlier `/memory clear` asked about."""
    if turn.incoming.command != "memory" or turn.conversation_id != request.conversation_id:
        return Reply(gettext(texts.CLEAR_EXPIRED))
    scope = await find_conversation_scope(request)
    if isinstance(scope, Reply):
        return scope
    return await _clear(request, scope, await request.services.store.read(get_conversation_key, turn.conversation_id))


async def _clear(request: CommandRequest, scope: Scope, conversation_key: str) -> Reply:
    await request.services.store.write(delete_all, conversation_key)
    return announce(request, Reply(gettext(texts.ALL_DELETED), edits_message=True), scope)


async def _delete(request: CommandRequest, scope: Scope, conversation_key: str, number: str) -> Reply:
    if not number:
        return Reply(texts.which_entry(await request.services.store.read(list_entries, conversation_key)))
    deleted = None
    if number.isdecimal() and len(number) <= MAX_NUMBER_DIGITS:
        deleted = await request.services.store.write(delete_entry, conversation_key, int(number))
    return (
        announce(request, Reply(texts.entry_deleted(deleted)), scope)
        if deleted
        else Reply(gettext(texts.UNKNOWN_ENTRY))
    )
