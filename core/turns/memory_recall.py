"""Finds the notes, files and old messages of a conversation that are relevant to one question."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from core.conversation import tokens
from core.conversation.api_keys import ApiKey
from core.conversation.context_window import answer_reserve
from core.memory.recall import RecalledContext, SearchResult
from core.memory.service import MAX_UNINDEXED_TEXTS
from core.services import Services
from core.store.memories import SearchedMemory, get_searched
from core.texts.memory import recall_note

MAX_RECALL_TOKENS = 4000.0
MAX_RECALL_FRACTION = 0.5
"""The share of the room beside the question that recalled text may take: the conversation needs the rest."""
ESTIMATE_MARGIN = 1.4
"""A request may be longer than its estimate by this factor."""


@dataclass(slots=True)
class MemoryRecall:
    services: Services
    api_key: ApiKey
    conversation_id: int
    file_ids: Sequence[int]
    """The memory entries of files that came with the question."""
    memory: SearchedMemory | None = None
    """As far as it is known already."""
    matches: SearchResult | None = None
    recalled: RecalledContext = field(default_factory=RecalledContext)

    async def instructions_extender(self, prompt: str, context_tokens: int, answer_tokens: int) -> Callable[[str], str]:
        """A function that adds to the instructions what fits a window of `context_tokens`.

        The search takes place once, for the first model.
        """
        if self.matches is None:
            store, search, memory = self.services.store, self.services.memory.search, self.memory
            if memory is None:
                memory = await store.read(get_searched, self.conversation_id, MAX_UNINDEXED_TEXTS)
            max_tokens = _available_tokens([prompt], context_tokens, answer_tokens)
            self.matches = await search(self.api_key, memory, prompt, file_ids=self.file_ids, max_tokens=max_tokens)
        matches = self.matches

        def extend(instructions: str) -> str:
            self.recalled = matches.fit(_available_tokens([instructions, prompt], context_tokens, answer_tokens))
            return "\n\n".join(filter(None, (instructions, self.recalled.text)))

        return extend

    def note(self, answer: str) -> str:
        """What the person is told under `answer` about it; may be empty."""
        return recall_note(self.recalled, answer) if answer else ""


def _available_tokens(texts: Sequence[str], context_tokens: int, answer_tokens: int) -> float:
    """How many tokens of what is found fit a request that contains these texts."""
    taken = ESTIMATE_MARGIN * tokens.estimate_messages(texts)
    room = (context_tokens - answer_reserve(context_tokens, answer_tokens) - taken) / ESTIMATE_MARGIN
    return min(MAX_RECALL_TOKENS, room * MAX_RECALL_FRACTION)
