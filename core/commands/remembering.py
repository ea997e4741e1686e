"""`/remember` and `/memory`: what the bot keeps of this conversation, and how it goes again."""

from datetime import UTC, datetime

from core.commands.asking import Asking, literal, plural
from core.commands.reply import Reply
from core.conversation.accounts import Accounts
from core.conversation.scope import person_key
from core.errors import DocumentError, ModelError, Unreadable
from core.memory import words
from core.memory.memory import Memory
from core.store.database import Store
from core.store.memories import Entry, Recall, Summary, key_of

__all__ = ["Remembering"]

SHOWN = 120  # characters of a note in the list
HOW = (
    "`/remember TEXT` keeps a note, a file you send is read and kept; both are looked through "
    "when you ask something. `/memory delete NUMBER` removes one, `/memory clear` all."
)
RECALLS = {
    Recall.GIVEN: "Past messages are not recalled (`/memory on` changes that).",
    Recall.ON: "Past messages are recalled too (`/memory off` ends that).",
    Recall.OFF: "Recall is off: nothing of this is used (`/memory reset` or `on` changes that).",
}
SWITCHED = {
    Recall.ON: (
        "From now on I also recall what you wrote before in this conversation, before /new too, "
        "where it fits a question. The answer says when. `/memory off` ends it."
    ),
    Recall.OFF: "Nothing is recalled any more; notes and files stay until you delete them.",
    Recall.GIVEN: "Notes and files are recalled, past messages are not.",
}


class Remembering:
    def __init__(self, store: Store, memory: Memory, accounts: Accounts) -> None:
        self._store = store
        self._memory = memory
        self._accounts = accounts

    async def remember(self, asking: Asking) -> Reply:
        if not asking.argument:
            return Reply("What shall I remember? `/remember TEXT`")
        account = await self._accounts.of(person_key(asking.incoming.sender))
        scope = await self._scope(asking)
        try:
            entry = await self._memory.remember(account, scope, asking.argument)
        except DocumentError as error:
            if error.reason is Unreadable.TOO_LARGE:
                return Reply(words.too_long_note())
            return Reply(words.unreadable("That", error))
        except ModelError as error:
            return Reply(words.not_embedded(error))
        return Reply(f"Remembered as number {entry.number}. /memory lists what I keep.")

    async def memory(self, asking: Asking) -> Reply:
        """`/memory`, `/memory on|off|reset`, `/memory delete N`, `/memory clear`."""
        scope = await self._scope(asking)
        action, _, argument = asking.argument.partition(" ")
        match action:
            case "" | "list":
                return await self._list(scope)
            case "delete":
                return await self._delete(scope, argument.strip().lstrip("#"))
            case "clear":
                await self._memory.clear(scope)
                return Reply("All notes and files of this conversation are deleted.")
            case "on" | "off" | "reset":
                recall = {"on": Recall.ON, "off": Recall.OFF}.get(action, Recall.GIVEN)
                await self._memory.switch(scope, recall)
                return Reply(SWITCHED[recall])
            case _:
                return Reply(f"I know `/memory`, `/memory on`, `off` and `reset`. {HOW}")

    async def _list(self, scope: str) -> Reply:
        entries = await self._memory.entries(scope)
        about = await self._memory.summary(scope)
        head = _counted(about) if entries else "There are no notes and files here."
        lines = [f"- **{entry.number}** {_described(entry)}" for entry in entries]
        return Reply("\n".join([f"{head} {RECALLS[about.recall]}", "", *lines, "", HOW]))

    async def _delete(self, scope: str, number: str) -> Reply:
        gone = None
        if number.isdecimal() and len(number) < 8:
            gone = await self._memory.forget(scope, int(number))
        if gone is None:
            return Reply("There is nothing with that number. /memory lists what there is.")
        return Reply(f"Deleted: {_described(gone)}")

    async def _scope(self, asking: Asking) -> str:
        return await self._store.read(key_of, asking.conversation)


def _counted(about: Summary) -> str:
    counts = ((about.notes, "note"), (about.files, "file"))
    told = [f"{count} {plural(count, noun)}" for count, noun in counts if count]
    return f"I keep {' and '.join(told)} here."


def _described(entry: Entry) -> str:
    day = datetime.fromtimestamp(entry.created, UTC).date().isoformat()
    name = entry.name if len(entry.name) <= SHOWN else f"{entry.name[: SHOWN - 1]}…"
    about = "" if entry.note else f", {entry.pieces:,} piece{'s' * (entry.pieces > 1)}"
    return f"{literal(name)} ({day}{about})"
