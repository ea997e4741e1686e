"""What of a conversation's notes, files and old messages one question is answered with."""

from collections.abc import Callable, Sequence

from core.conversation import tokens
from core.conversation.api_keys import ApiKey
from core.conversation.context_window import answer_reserve
from core.memory.recall import RecalledContext, SearchResult
from core.memory.service import MemoryService
from core.store.database import Store
from core.store.memories import get_conversation_key
from core.texts.memory import recall_note

__all__ = ["MemoryRecall"]

MAX_RECALL_TOKENS = 4000.0
MAX_RECALL_FRACTION = 0.5
"""Of the room that the question leaves: the conversation needs the rest."""
ESTIMATE_MARGIN = 1.4
"""How many times its estimate a request may have."""


class MemoryRecall:
    """`file_ids` are the memory entries of files that came with the question."""

    def __init__(
        self,
        memory: MemoryService,
        store: Store,
        api_key: ApiKey,
        conversation_id: int,
        file_ids: Sequence[int] = (),
    ) -> None:
        self._memory = memory
        self._store = store
        self._api_key = api_key
        self._conversation_id = conversation_id
        self._file_ids = file_ids
        self._matches: SearchResult | None = None
        self._recalled = RecalledContext()

    async def instructions_extender(
        self, prompt: str, context_tokens: int, answer_tokens: int = 0
    ) -> Callable[[str], str]:
        """A function that adds to the instructions what fits a window of `context_tokens`.

        The search takes place once, for the first model.
        """
        if self._matches is None:
            conversation_key = await self._store.read(get_conversation_key, self._conversation_id)
            self._matches = await self._memory.search(self._api_key, conversation_key, prompt, file_ids=self._file_ids)
        matches = self._matches

        def extend(instructions: str) -> str:
            taken = ESTIMATE_MARGIN * tokens.estimate_messages([instructions, prompt])
            room = (context_tokens - answer_reserve(context_tokens, answer_tokens) - taken) / ESTIMATE_MARGIN
            self._recalled = matches.fit(min(MAX_RECALL_TOKENS, room * MAX_RECALL_FRACTION))
            return "\n\n".join(filter(None, (instructions, self._recalled.text)))

        return extend

    def notes(self, answer: str) -> list[str]:
        """What the person is told under `answer` about it."""
        note = recall_note(self._recalled, answer) if answer else ""
        return [note] if note else []
