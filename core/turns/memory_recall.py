"""What one answer is given of what was remembered, and what the person is told about that."""

from collections.abc import Callable, Sequence

from core.conversation import tokens
from core.conversation.api_keys import ApiKey
from core.conversation.context_window import answer_reserve
from core.memory.recall import RecalledContext, SearchResult
from core.memory.service import MemoryService
from core.store.database import Store
from core.store.memories import get_conversation_key

__all__ = ["MemoryRecall"]

MAX_RECALL_TOKENS = 4000.0  # tokens
ESTIMATE_MARGIN = 1.4  # as much more than the estimate may a request be


class MemoryRecall:
    """For one question. `files` came with it."""

    def __init__(
        self,
        memory: MemoryService,
        store: Store,
        account: ApiKey,
        conversation: int,
        files: Sequence[int] = (),
    ) -> None:
        self._memory = memory
        self._store = store
        self._account = account
        self._conversation = conversation
        self._files = files
        self._findings: SearchResult | None = None
        self._selection = RecalledContext()

    async def instructions_extender(
        self, prompt: str, context_tokens: int, answer_tokens: int = 0
    ) -> Callable[[str], str]:
        """What adds to the instructions what fits the question and a model with a window of
        `context` tokens: half of what the question leaves at most, so that the conversation has
        its share. Looked for once.
        """
        if self._findings is None:
            scope = await self._store.read(get_conversation_key, self._conversation)
            self._findings = await self._memory.search(self._account, scope, prompt, file_ids=self._files)
        findings = self._findings

        def add(system: str) -> str:
            taken = ESTIMATE_MARGIN * tokens.estimate_messages([system, prompt])
            room = (context_tokens - answer_reserve(context_tokens, answer_tokens) - taken) / ESTIMATE_MARGIN / 2
            self._selection = findings.fit(min(MAX_RECALL_TOKENS, room))
            return "\n\n".join(filter(None, (system, self._selection.text)))

        return add

    def notes(self, answer: str) -> list[str]:
        """What to tell under `answer`."""
        note = self._selection.footer(answer) if answer else ""
        return [note] if note else []
