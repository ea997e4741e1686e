"""/remember and /memory: the notes and files of a conversation, and what is recalled."""

from core.commands.declarations import MemoryAction
from core.commands.reply import Reply
from core.commands.request import CommandRequest
from core.conversation.api_keys import ApiKeys
from core.errors import DocumentError, DocumentFailure, ModelError
from core.memory.service import MemoryService
from core.scopes import person_key
from core.store.database import Store
from core.store.memories import RecallMode, get_conversation_key
from core.texts import memory as texts

__all__ = ["MemoryCommands"]

MAX_NUMBER_DIGITS = 7
RECALL_MODES = {
    MemoryAction.ON: RecallMode.WITH_MESSAGES,
    MemoryAction.OFF: RecallMode.OFF,
    MemoryAction.RESET: RecallMode.NOTES_AND_FILES,
}


class MemoryCommands:
    def __init__(self, store: Store, memory: MemoryService, api_keys: ApiKeys) -> None:
        self._store = store
        self._memory = memory
        self._api_keys = api_keys

    async def remember(self, request: CommandRequest) -> Reply:
        if not request.argument:
            return Reply(texts.NOTE_MISSING)
        api_key = await self._api_keys.for_person(person_key(request.incoming.sender))
        try:
            entry = await self._memory.add_note(api_key, await self._conversation_key(request), request.argument)
        except DocumentError as error:
            is_too_long = error.failure is DocumentFailure.TOO_LARGE
            return Reply(texts.NOTE_TOO_LONG if is_too_long else texts.document_failed("The note", error))
        except ModelError as error:
            return Reply(texts.embedding_failed(error))
        return Reply(texts.note_stored(entry.number))

    async def memory(self, request: CommandRequest) -> Reply:
        """`/memory`, `/memory on|off|reset`, `/memory delete NUMBER`, `/memory clear`."""
        conversation_key = await self._conversation_key(request)
        action, _, argument = request.argument.partition(" ")
        match action:
            case "" | MemoryAction.LIST:
                entries = await self._memory.list_entries(conversation_key)
                return Reply(texts.memory_list(entries, await self._memory.get_statistics(conversation_key)))
            case MemoryAction.DELETE:
                return await self._delete(conversation_key, argument.strip().lstrip("#"))
            case MemoryAction.CLEAR:
                await self._memory.clear(conversation_key)
                return Reply(texts.ALL_DELETED)
            case MemoryAction.ON | MemoryAction.OFF | MemoryAction.RESET:
                mode = RECALL_MODES[MemoryAction(action)]
                await self._memory.set_recall_mode(conversation_key, mode)
                return Reply(texts.RECALL_CHANGED[mode])
            case _:
                return Reply(texts.UNKNOWN_ACTION)

    async def _delete(self, conversation_key: str, number: str) -> Reply:
        if not number:
            return Reply(texts.NUMBER_MISSING)
        deleted = None
        if number.isdecimal() and len(number) <= MAX_NUMBER_DIGITS:
            deleted = await self._memory.delete(conversation_key, int(number))
        return Reply(texts.entry_deleted(deleted) if deleted else texts.UNKNOWN_ENTRY)

    async def _conversation_key(self, request: CommandRequest) -> str:
        return await self._store.read(get_conversation_key, request.conversation_id)
