"""What a model is shown: instructions, the summary of what is long ago, the conversation, the
question; fitted to its window.
"""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass

from core.api.client import ChatRequest, Message
from core.conversation import context_window
from core.conversation.context_window import FittedPrompt, PromptTooLongError
from core.conversation.model_registry import ModelRegistry
from core.conversation.preferences import Preferences
from core.conversation.token_estimator import TokenEstimator, TokenEstimators
from core.store.database import Store
from core.store.history import ConversationHistory, ConversationSummary, StoredMessage, load_history

__all__ = ["ComposedRequest", "Composer"]

MAX_HISTORY_MESSAGES = 2000  # messages looked at; what fits the window is far less
SUMMARY_HEADING = "Summary of the earlier part of this conversation:\n"


@dataclass(frozen=True, slots=True)
class ComposedRequest:
    request: ChatRequest
    prompt: FittedPrompt
    history: ConversationHistory
    estimator: TokenEstimator
    context_tokens: int
    """The model's window, in tokens."""
    has_summary: bool
    """The summary stands for what was left out."""

    @property
    def unsummarized(self) -> tuple[StoredMessage, ...]:
        """Messages that are neither shown nor in the summary."""
        up_to_message = self.history.summary.up_to_message if self.history.summary else 0
        left_out = self.history.messages[: self.prompt.omitted]
        return tuple(message for message in left_out if message.id > up_to_message)


class Composer:
    def __init__(self, store: Store, registry: ModelRegistry, estimators: TokenEstimators) -> None:
        self._store = store
        self._registry = registry
        self.estimators = estimators

    async def compose(
        self,
        conversation: int,
        before_seq: int | None,
        preferences: Preferences,
        prompt: str,
        model: str,
        *,
        context_tokens: int | None = None,
        replaces_last: bool = False,
        extend_instructions: Callable[[str], str] = str,
    ) -> ComposedRequest:
        """The request that asks `model`. `context`: tokens, if its window is not to be used up;
        `replace`: the last question is asked again; `more` adds to the instructions. Raises
        `PromptTooLongError` and `StoreError`.
        """
        stored = await self._store.read(load_history, conversation, before_seq, MAX_HISTORY_MESSAGES)
        if replaces_last:
            stored = _without_last(stored)
        estimator = await self.estimators.for_conversation(model, conversation)
        context_tokens = context_tokens or self._registry.context_tokens(model)
        history = [Message(message.role, message.text) for message in stored.messages]

        def fit(system: str) -> FittedPrompt:
            return context_window.fit_prompt(
                system,
                history,
                prompt,
                context_tokens=context_tokens,
                max_answer_tokens=preferences.max_answer_tokens,
                estimator=estimator,
            )

        system = extend_instructions(preferences.system_prompt)
        fitted = fit(system)
        has_summary = False
        if fitted.omitted and stored.summary is not None:
            # The question comes first: where both do not fit there is no summary.
            with contextlib.suppress(PromptTooLongError):
                fitted = fit(_with_summary(system, stored.summary))
                has_summary = True
        request = ChatRequest(
            model,
            fitted.messages,
            temperature=preferences.temperature,
            # The service counts what may be answered as part of the window.
            max_tokens=min(preferences.max_answer_tokens, fitted.remaining_tokens(context_tokens)) or None,
            reasoning_effort=preferences.reasoning_effort,
            has_reasoning=bool((known := self._registry.get(model)) and known.has_reasoning),
        )
        return ComposedRequest(request, fitted, stored, estimator, context_tokens, has_summary)


def _with_summary(system: str, summary: ConversationSummary) -> str:
    return f"{system}\n\n{SUMMARY_HEADING}{summary.text}".strip()


def _without_last(history: ConversationHistory) -> ConversationHistory:
    questions = [index for index, message in enumerate(history.messages) if message.role == "user"]
    return ConversationHistory(history.messages[: questions[-1]], history.summary) if questions else history
