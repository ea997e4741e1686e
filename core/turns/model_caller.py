"""Asks one model the question of a turn: composes the request, books its tokens, reads the stream."""

import asyncio
import contextlib
from dataclasses import dataclass, field

import structlog
from sqlalchemy import Connection

from core.api.adaptation import MAX_COMPLETION_TOKENS, REASONING_EFFORT, TEMPERATURE, dropped_fields
from core.api.client import ChatRequest
from core.api.events import Finished, UsageReport
from core.api.images import MessageImage
from core.clock import run_until
from core.conversation.api_keys import ApiKey
from core.conversation.composer import ComposedRequest
from core.conversation.context_window import PromptTooLongError
from core.conversation.ledger import Reservation
from core.conversation.preferences import Preferences
from core.delivery.preview import Preview
from core.errors import ModelError, ModelFailure
from core.i18n.translation import gettext
from core.services import Services
from core.store.conversations import is_truncation_notified
from core.store.image_references import ImageReference, with_marks
from core.store.preferences import PreferenceName
from core.store.token_usage import TokenUsage, settle_reservation
from core.texts import answers as texts
from core.turns.claimed_turn import ClaimedTurn
from core.turns.memory_recall import MemoryRecall
from core.turns.question_images import QuestionImages
from core.turns.streamed_answer import StreamedAnswer

log = structlog.get_logger(__name__)

FULL_WINDOW_FRACTION = 0.99
"""A service that counts this share of the window as prompt has cut the prompt to fit."""
MAX_SMALLER_REQUESTS = 2
SETTINGS_BY_FIELD = {
    TEMPERATURE: PreferenceName.TEMPERATURE,
    REASONING_EFFORT: PreferenceName.REASONING_EFFORT,
    MAX_COMPLETION_TOKENS: PreferenceName.ANSWER_LENGTH,
}
"""The settings that people make, by the field of a request."""
DEFAULT_ANSWER_TOKENS = 800
"""What the ledger expects of an answer without a maximum length."""


@dataclass(slots=True)
class ModelCaller:
    """Asks models one after another, until one answers. `answer` is what the last one has produced."""

    claimed: ClaimedTurn
    services: Services
    preferences: Preferences
    api_key: ApiKey
    recall: MemoryRecall
    prompt: str
    replaces_answer: bool
    """The prompt is asked again; the new answer takes the place of the old one."""
    parent_turn: int | None = None
    """The exchange from which the prompt continues; None: the one before it."""
    image_references: tuple[ImageReference, ...] = ()
    """The pictures of the question."""
    images: tuple[MessageImage, ...] = ()
    """The pictures themselves, for a model with vision; empty for others."""
    answer: StreamedAnswer = field(default_factory=StreamedAnswer)
    needs_truncation_note: bool = False
    """The request left out old messages, and the person has not been told so yet."""
    ignored_settings: tuple[PreferenceName, ...] = ()
    """What somebody has set and the model does not accept, unless it has been said before."""
    reservations: list[Reservation] = field(default_factory=list)
    _unsettled: Reservation | None = field(init=False, default=None)
    """The request that brought the answer, until its tokens are booked: that is part of storing the answer."""
    started_at: float = field(init=False)

    def __post_init__(self) -> None:
        self.started_at = self.claimed.timings.clock.monotonic()

    @property
    def cost(self) -> int:
        """Tokens of all requests."""
        return sum(reservation.cost for reservation in self.reservations)

    def warn_of_quota(self) -> None:
        """Have the ledger warn before the answer is stored, so that the warning can be part of it."""
        if self._unsettled is not None:
            self.services.ledger.warn_before_settlement(self._unsettled)

    def settle_with_answer(self, connection: Connection) -> TokenUsage | None:
        """Book the tokens in the transaction that stores the answer. `record_settlement` gets the result."""
        reservation = self._unsettled
        if reservation is None:
            return None
        return settle_reservation(connection, reservation.id, reservation.cost, has_answered=True)

    def record_settlement(self, usage: TokenUsage | None) -> None:
        if self._unsettled is not None:
            self.services.ledger.record_settlement(self._unsettled, usage)
            self._unsettled = None

    async def settle(self) -> None:
        """Book the tokens if the answer was not stored."""
        if self._unsettled is not None:
            await self.services.ledger.settle(self._unsettled)

    async def ask(self, model: str, preview: Preview) -> None:
        """Fill `answer`, until the model is done or the person stops the turn.

        Raises `ModelError`, perhaps after a part of the answer, and `PromptTooLongError`.
        """
        pauses, key_id = self.services.pauses, self.api_key.key_id
        await pauses.check(key_id, model)
        await self.services.facts.refresh()
        composed = await self._compose(model)
        try:
            composed = await self._request_fitting(composed, preview)
        except ModelError as error:
            await pauses.record_failure(key_id, model, error)
            raise
        if self.answer.text or not self.claimed.stop_requested.is_set():  # stopped before any text: no evidence
            await pauses.record_success(key_id, model)
        self.ignored_settings = self._ignored_settings(composed.request)
        if composed.prompt.omitted:
            await self._handle_truncation(composed)

    def _ignored_settings(self, request: ChatRequest) -> tuple[PreferenceName, ...]:
        rejected_parts = self.services.facts.rejected_parts(request.model)
        fields = dropped_fields(request.to_payload(), rejected_parts)
        settings = [
            (name, self.preferences.values[name]) for field, name in SETTINGS_BY_FIELD.items() if field in fields
        ]
        return tuple(
            name for name, setting in settings if setting.scope is not None and setting.notified_model != request.model
        )

    async def _request_fitting(self, composed: ComposedRequest, preview: Preview) -> ComposedRequest:
        """Send the request, and after an overflow a smaller one. Returns the one that was answered."""
        for _ in range(MAX_SMALLER_REQUESTS):
            try:
                await self._request(composed, preview)
            except ModelError as error:
                if not self._has_overflowed(composed, error) or self.answer.text:
                    raise
                composed = await self._compose_smaller(composed, error)
            else:
                return composed
        await self._request(composed, preview)
        return composed

    async def _compose_smaller(self, composed: ComposedRequest, error: ModelError) -> ComposedRequest:
        """A request for the window that the error names, or for three quarters of the one that was too large.

        Raises `error` if only the question is left.
        """
        model, context_tokens = composed.request.model, composed.context_tokens
        log.info("model.overflowed", turn=self.claimed.turn.id, model=model, limit=error.limit)
        if error.limit is not None and error.limit < context_tokens:
            await self.services.facts.learn_context_limit(model, error.limit, is_counted=error.is_limit_counted)
            return await self._compose(model, min(error.limit, context_tokens * 3 // 4))
        prompt_tokens = composed.prompt.estimated_tokens + composed.prompt.reserve_tokens
        try:
            return await self._compose(model, min(context_tokens, prompt_tokens) * 3 // 4)
        except PromptTooLongError:
            raise error from None

    def _has_overflowed(self, composed: ComposedRequest, error: ModelError) -> bool:
        # A service that cuts the prompt silently leaves no room for an answer.
        used_tokens = self.answer.usage.prompt_tokens
        was_cut = error.failure is ModelFailure.EMPTY and used_tokens >= FULL_WINDOW_FRACTION * composed.context_tokens
        return was_cut or error.failure is ModelFailure.OVERFLOW

    async def _compose(self, model: str, context_tokens: int | None = None) -> ComposedRequest:
        """`context_tokens`: if not the whole window."""
        turn, max_answer_tokens = self.claimed.turn, self.preferences.max_answer_tokens
        context_tokens = context_tokens or self.services.models.context_tokens(model)
        has_vision, max_images = self.services.models.has_vision(model), self.services.settings.max_images
        images = self.images if has_vision else ()
        prompt = self.prompt if images else with_marks(self.prompt, self.image_references)
        image_tokens = sum(image.tokens for image in images)
        extend = await self.recall.instructions_extender(self.prompt, context_tokens - image_tokens, max_answer_tokens)
        return await self.services.composer.compose(
            turn.conversation_id,
            turn.seq,
            self.preferences,
            prompt,
            model,
            context_tokens=context_tokens,
            replaces_last=self.replaces_answer,
            parent_turn=self.parent_turn,
            extend_instructions=extend,
            images=images,
            load_images=QuestionImages(self.claimed, self.services).load_earlier if has_vision else None,
            max_images=max_images,
        )

    async def _request(self, composed: ComposedRequest, preview: Preview) -> None:
        """Send one request; the ledger books its tokens before and after."""
        request, answer = composed.request, StreamedAnswer()
        self.answer = answer
        expected_tokens = request.max_tokens or DEFAULT_ANSWER_TOKENS
        async with self.services.ledger.reserve(
            self.api_key.key_id,
            request.model,
            composed.prompt.estimated_tokens,
            expected_tokens,
            turn_id=self.claimed.turn.id,
        ) as reservation:
            self.reservations.append(reservation)
            try:
                with self.services.tracer.span("model", model=request.model):
                    await run_until(self.claimed.stop_requested, self._read_stream(request, preview))
                if answer.text:
                    reservation.is_settled_later, self._unsettled = True, reservation
            finally:
                reservation.reported_tokens = answer.usage.total_tokens
                reservation.has_answered = bool(answer.text)
                received = answer.text + answer.reasoning
                if received and not reservation.reported_tokens:  # the estimate for no text is not 0
                    reservation.answer_tokens = round(composed.estimator.estimate_text(received))
        if answer.text and not self.claimed.stop_requested.is_set():
            await self.services.composer.estimators.record_usage(
                request.model,
                self.claimed.turn.conversation_id,
                request.messages,
                answer.usage,
                answer.text,
                has_reasoning=bool(answer.reasoning),
            )

    async def _read_stream(self, request: ChatRequest, preview: Preview) -> None:
        """Waits for nothing but the stream."""
        answer, clock = self.answer, self.claimed.timings.clock
        asked_at: float | None = clock.monotonic()
        self.claimed.preview_load.question_started(self.claimed.turn.id)
        status_task = asyncio.create_task(self._show_waiting(answer, preview))
        try:
            async with contextlib.aclosing(self.api_key.api.stream(request)) as events:
                async for event in events:
                    answer.add(event)
                    if asked_at is not None and (answer.text or answer.reasoning):
                        self.services.metrics.first_token_received(request.model, clock.monotonic() - asked_at)
                        asked_at = None
                    if not isinstance(event, UsageReport | Finished):
                        self._show(answer, preview)
                    if answer.reached_char_limit:
                        break
            if answer.text:
                preview.close()  # the answer waits for no other request than the one in flight
        finally:
            status_task.cancel()

    async def _show_waiting(self, answer: StreamedAnswer, preview: Preview) -> None:
        """Update the status of a model that sends nothing yet."""
        while not answer.text:
            await self.claimed.timings.clock.sleep(self.claimed.timings.thinking_status_interval)
            self._show(answer, preview)

    def _show(self, answer: StreamedAnswer, preview: Preview) -> None:
        if answer.text and self.claimed.heading:
            preview.update(self.claimed.heading + answer.text)
        else:
            preview.update(answer.text, "" if answer.text else self._thinking_status())

    def _thinking_status(self) -> str:
        interval = self.claimed.timings.thinking_status_interval
        seconds = (self.claimed.timings.clock.monotonic() - self.started_at) // interval * interval
        if not seconds:
            return gettext(texts.THINKING)
        return texts.thinking_progress(round(seconds), self.answer.reasoning_tokens // 50 * 50)

    async def _handle_truncation(self, composed: ComposedRequest) -> None:
        conversation_id = self.claimed.turn.conversation_id
        self.needs_truncation_note = not await self.claimed.store.read(is_truncation_notified, conversation_id)
        self.services.summariser.summarise_if_needed(conversation_id, composed, self.api_key)
