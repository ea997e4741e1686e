"""Composes the request for a model: instructions, a summary of the older history, the newer history, the question.

`context_window` decides how much of the history fits. Questions without an answer are left out: many services require
that questions and answers alternate, and what a content filter refused once would be refused again.
"""

import contextlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise, zip_longest
from typing import TypeAlias

from core.api.client import ChatRequest, Message
from core.api.images import MessageImage
from core.conversation import context_window
from core.conversation.context_window import FittedPrompt, PromptTooLongError
from core.conversation.model_registry import ModelRegistry
from core.conversation.preferences import Preferences
from core.conversation.token_estimator import TokenEstimator, TokenEstimators
from core.store.database import Store
from core.store.history import ConversationHistory, StoredMessage, load_history
from core.store.image_references import ImageReference, with_marks

MAX_HISTORY_MESSAGES = 2000
"""No window fits more."""
LOADED_FACTOR = 1.5
"""How much history is loaded, as a multiple of the tokens that fit: messages may have fewer tokens than estimated."""
QUESTIONS_WITH_IMAGES = 2
"""How many of the last questions in the history are sent with their pictures again."""
ImageLoader: TypeAlias = Callable[[Sequence[ImageReference]], Awaitable[Sequence[MessageImage | None]]]
"""Loads pictures of earlier questions; None in place of one that is gone."""
SUMMARY_HEADING = "Summary of the earlier part of this conversation:\n"


@dataclass(frozen=True, slots=True)
class ComposedRequest:
    request: ChatRequest
    prompt: FittedPrompt
    history: ConversationHistory
    """The newer part of the conversation, longer than fits."""
    estimator: TokenEstimator
    context_tokens: int
    """The size of the context window."""
    has_summary: bool
    """Whether the request contains the summary of the messages left out."""

    @property
    def unsummarised(self) -> tuple[StoredMessage, ...]:
        """The messages that are neither in the request nor in the summary, as far as they were loaded."""
        left_out = self.history.messages[: self.prompt.omitted]
        return tuple(message for message in left_out if message.id > self.history.summary.up_to_message)


@dataclass(frozen=True, slots=True)
class Composer:
    store: Store
    registry: ModelRegistry
    estimators: TokenEstimators

    async def compose(
        self,
        conversation_id: int,
        before_seq: int | None,
        preferences: Preferences,
        prompt: str,
        model: str,
        *,
        context_tokens: int | None = None,
        replaces_last: bool = False,
        parent_turn: int | None = None,
        extend_instructions: Callable[[str], str] = str,
        images: Sequence[MessageImage] = (),
        load_images: ImageLoader | None = None,
        max_images: int = 0,
    ) -> ComposedRequest:
        """Compose the request for `model`.

        `images` belong to the prompt. The pictures of the questions before it follow from `load_images`, as long as
        the request has at most `max_images`; marks in the text stand for the others. Without `load_images`, marks
        stand for all.
        `context_tokens` (default: the model's window) limits request and answer. `replaces_last` leaves the last
        question and its answer out, because the question is asked again. `parent_turn` is the exchange from which the
        question continues, if it is not the newest. `extend_instructions` adds to the instructions. Raises
        `PromptTooLongError` and `StoreError`.
        """
        estimator = await self.estimators.for_conversation(model, conversation_id)
        context_tokens = context_tokens or self.registry.context_tokens(model)
        max_answer_tokens = preferences.max_answer_tokens
        available_tokens = context_tokens - context_window.answer_reserve(context_tokens, max_answer_tokens)
        stored = await self.store.read(
            load_history,
            conversation_id,
            before_seq,
            MAX_HISTORY_MESSAGES,
            parent_turn=parent_turn,
            max_size=LOADED_FACTOR * available_tokens,
            # Estimates may be far too high. What the service has counted fits, so it must be found in the history.
            min_messages=len(estimator.anchor.message_hashes) + 1 if estimator.anchor is not None else 0,
            measure=estimator.estimate_text,
        )
        if replaces_last and parent_turn is None:
            stored = _without_last(stored)
        stored = ConversationHistory(answered_exchanges(stored.messages), stored.summary)
        history = await _load_history_images(stored.messages, load_images, max_images - len(images))

        def fit(system: str) -> FittedPrompt:
            return context_window.fit_prompt(
                system,
                history,
                prompt,
                context_tokens=context_tokens,
                max_answer_tokens=max_answer_tokens,
                estimator=estimator,
                images=tuple(images),
            )

        system = extend_instructions(preferences.system_prompt)
        fitted = fit(system)
        has_summary = False
        if fitted.omitted and stored.summary.text:
            # If the question and the summary do not fit together, the summary is left out.
            with contextlib.suppress(PromptTooLongError):
                fitted = fit(f"{system}\n\n{SUMMARY_HEADING}{stored.summary.text}".strip())
                has_summary = True
        known = self.registry.get(model)
        request = ChatRequest(
            model,
            fitted.messages,
            temperature=preferences.temperature,
            # For the service, the maximum length of the answer is part of the window.
            max_tokens=min(max_answer_tokens, fitted.remaining_tokens(context_tokens)) or None,
            reasoning_effort=preferences.reasoning_effort,
            has_reasoning=known is not None and known.has_reasoning,
        )
        return ComposedRequest(request, fitted, stored, estimator, context_tokens, has_summary)


async def _load_history_images(
    messages: Sequence[StoredMessage], load_images: ImageLoader | None, max_images: int
) -> list[Message]:
    """The history as messages; the newest of the last questions with their pictures."""
    recent = set()
    for message in reversed(messages[-2 * QUESTIONS_WITH_IMAGES :]):
        if message.images and len(message.images) <= max_images:
            recent.add(message.id)
            max_images -= len(message.images)
    history = []
    for message in messages:
        images: Sequence[MessageImage | None] = ()
        if load_images is not None and message.id in recent:
            images = await load_images(message.images)
        missing = [ref for ref, image in zip_longest(message.images, images) if image is None]
        text = with_marks(message.text, missing) if missing else message.text
        history.append(Message(message.role, text, tuple(image for image in images if image is not None)))
    return history


def _without_last(history: ConversationHistory) -> ConversationHistory:
    questions = [index for index, message in enumerate(history.messages) if message.role == "user"]
    return ConversationHistory(history.messages[: questions[-1]], history.summary) if questions else history


def answered_exchanges(messages: Sequence[StoredMessage]) -> tuple[StoredMessage, ...]:
    """The messages without questions that have no answer."""
    exchanges = [pair for pair in pairwise(messages) if (pair[0].role, pair[1].role) == ("user", "assistant")]
    return tuple(message for exchange in exchanges for message in exchange)
