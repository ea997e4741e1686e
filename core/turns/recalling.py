"""What one answer is given of what was remembered, and what the person is told about that."""

from collections.abc import Callable, Sequence

from core.conversation import tokens
from core.conversation.accounts import Account
from core.conversation.window import answer_room
from core.memory.memory import Memory
from core.memory.recalled import Findings, Recalled
from core.store.database import Store
from core.store.memories import key_of

__all__ = ["Recalling"]

MOST_ROOM = 4000.0  # tokens
UNSURE = 1.4  # as much more than the estimate may a request be


class Recalling:
    """For one question. `files` came with it."""

    def __init__(
        self,
        memory: Memory,
        store: Store,
        account: Account,
        conversation: int,
        files: Sequence[int] = (),
    ) -> None:
        self._memory = memory
        self._store = store
        self._account = account
        self._conversation = conversation
        self._files = files
        self._findings: Findings | None = None
        self._recalled = Recalled()

    async def adding(self, prompt: str, context: int, answer: int = 0) -> Callable[[str], str]:
        """What adds to the instructions what fits the question and a model with a window of
        `context` tokens: half of what the question leaves at most, so that the conversation has
        its share. Looked for once.
        """
        if self._findings is None:
            scope = await self._store.read(key_of, self._conversation)
            self._findings = await self._memory.find(
                self._account, scope, prompt, within=self._files
            )
        findings = self._findings

        def add(system: str) -> str:
            taken = UNSURE * tokens.of_messages([system, prompt])
            room = (context - answer_room(context, answer) - taken) / UNSURE / 2
            self._recalled = findings.fitting(min(MOST_ROOM, room))
            return "\n\n".join(filter(None, (system, self._recalled.text)))

        return add

    def notes(self, answer: str) -> list[str]:
        """What to tell under `answer`."""
        note = self._recalled.note(answer) if answer else ""
        return [note] if note else []
