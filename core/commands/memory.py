"""`/remember` and `/memory`: what the bot keeps of this conversation, and how it goes again."""

from datetime import UTC, datetime

from core.commands.reply import Reply
from core.commands.request import CommandRequest, escape_markdown, pluralize
from core.conversation.api_keys import ApiKeys
from core.errors import DocumentError, DocumentFailure, ModelError
from core.memory import memory_texts
from core.memory.service import MemoryService
from core.scopes import person_key
from core.store.database import Store
from core.store.memories import MemoryEntry, MemoryStatistics, RecallMode, get_conversation_key

__all__ = ["MemoryCommands"]

MAX_PREVIEW_CHARS = 120  # characters of a note in the list
USAGE_HELP = (
    "`/remember TEXT` keeps a note, a file you send is read and kept; both are looked through "
    "when you ask something. `/memory delete NUMBER` removes one, `/memory clear` all."
)
RECALL_STATUS = {
    RecallMode.NOTES_AND_FILES: "Past messages are not recalled (`/memory on` changes that).",
    RecallMode.WITH_MESSAGES: "Past messages are recalled too (`/memory off` ends that).",
    RecallMode.OFF: ("Recall is off: nothing of this is used (`/memory reset` or `on` changes that)."),
}
RECALL_CHANGED = {
    RecallMode.WITH_MESSAGES: (
        "From now on I also recall what you wrote before in this conversation, before /new too, "
        "where it fits a question. The answer says when. `/memory off` ends it."
    ),
    RecallMode.OFF: "Nothing is recalled any more; notes and files stay until you delete them.",
    RecallMode.NOTES_AND_FILES: "Notes and files are recalled, past messages are not.",
}


class MemoryCommands:
    def __init__(self, store: Store, memory: MemoryService, accounts: ApiKeys) -> None:
        self._store = store
        self._memory = memory
        self._accounts = accounts

    async def remember(self, request: CommandRequest) -> Reply:
        if not request.argument:
            return Reply("What shall I remember? `/remember TEXT`")
        account = await self._accounts.for_person(person_key(request.incoming.sender))
        scope = await self._scope(request)
        try:
            entry = await self._memory.add_note(account, scope, request.argument)
        except DocumentError as error:
            if error.failure is DocumentFailure.TOO_LARGE:
                return Reply(memory_texts.note_too_long())
            return Reply(memory_texts.document_failed("That", error))
        except ModelError as error:
            return Reply(memory_texts.embedding_failed(error))
        return Reply(f"Remembered as number {entry.number}. /memory lists what I keep.")

    async def memory(self, request: CommandRequest) -> Reply:
        """`/memory`, `/memory on|off|reset`, `/memory delete N`, `/memory clear`."""
        scope = await self._scope(request)
        action, _, argument = request.argument.partition(" ")
        match action:
            case "" | "list":
                return await self._list(scope)
            case "delete":
                return await self._delete(scope, argument.strip().lstrip("#"))
            case "clear":
                await self._memory.clear(scope)
                return Reply("All notes and files of this conversation are deleted.")
            case "on" | "off" | "reset":
                recall = {"on": RecallMode.WITH_MESSAGES, "off": RecallMode.OFF}.get(action, RecallMode.NOTES_AND_FILES)
                await self._memory.set_recall_mode(scope, recall)
                return Reply(RECALL_CHANGED[recall])
            case _:
                return Reply(f"I know `/memory`, `/memory on`, `off` and `reset`. {USAGE_HELP}")

    async def _list(self, scope: str) -> Reply:
        entries = await self._memory.list_entries(scope)
        status = await self._memory.get_statistics(scope)
        head = _format_counts(status) if entries else "There are no notes and files here."
        lines = [f"- **{entry.number}** {_format_entry(entry)}" for entry in entries]
        return Reply("\n".join([f"{head} {RECALL_STATUS[status.recall_mode]}", "", *lines, "", USAGE_HELP]))

    async def _delete(self, scope: str, number: str) -> Reply:
        deleted = None
        if number.isdecimal() and len(number) < 8:
            deleted = await self._memory.delete(scope, int(number))
        if deleted is None:
            return Reply("There is nothing with that number. /memory lists what there is.")
        return Reply(f"Deleted: {_format_entry(deleted)}")

    async def _scope(self, request: CommandRequest) -> str:
        return await self._store.read(get_conversation_key, request.conversation_id)


def _format_counts(status: MemoryStatistics) -> str:
    counts = ((status.note_count, "note"), (status.file_count, "file"))
    counted_nouns = [f"{count} {pluralize(count, noun)}" for count, noun in counts if count]
    return f"I keep {' and '.join(counted_nouns)} here."


def _format_entry(entry: MemoryEntry) -> str:
    day = datetime.fromtimestamp(entry.created_at, UTC).date().isoformat()
    name = entry.name if len(entry.name) <= MAX_PREVIEW_CHARS else f"{entry.name[: MAX_PREVIEW_CHARS - 1]}…"
    size = "" if entry.is_note else f", {entry.chunk_count:,} piece{'s' * (entry.chunk_count > 1)}"
    return f"{escape_markdown(name)} ({day}{size})"
