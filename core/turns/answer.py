"""One question, answered: context, model, stream, previews, delivery."""

import asyncio
import contextlib
import time
from collections.abc import Sequence

import msgspec
import structlog
from sqlalchemy import Connection

from core.api.client import ChatRequest
from core.api.events import (
    Finished,
    FinishReason,
    ReasoningDelta,
    TextDelta,
    TextWasReasoning,
    UsageReport,
)
from core.buttons import ButtonAction, encode_action
from core.conversation.api_keys import ApiKey
from core.conversation.composer import ComposedRequest
from core.conversation.context_window import PromptTooLongError
from core.conversation.failover import can_fail_over, fallback_models
from core.conversation.ledger import Reservation
from core.conversation.preferences import Preferences
from core.conversation.turn_services import TurnServices
from core.delivery.preview import Preview
from core.errors import DeliveryError, DeliveryFailure, ModelError, ModelFailure, StoreError
from core.port import Button
from core.scopes import usage_subjects
from core.store import token_usage
from core.store.answers import TokenCount, get_answer, store_answer
from core.store.conversations import is_truncation_notified, mark_truncation_notified
from core.store.grants import is_operator
from core.store.turns import TurnState
from core.turns import texts
from core.turns.claimed_turn import ClaimedTurn
from core.turns.memory_recall import MemoryRecall

__all__ = ["AnswerPipeline"]

log = structlog.get_logger(__name__)

MAX_ANSWER_CHARS = 400_000  # characters; a model that does not end is ended
MAX_REASONING_CHARS = 200_000
STATUS_INTERVAL = 5  # seconds between changes of "Thinking... 10 s"
FULL_WINDOW_RATIO = 0.99  # of a window
DEFAULT_ANSWER_TOKENS = 800  # tokens of an answer nobody bounded, for the ledger


class AnswerPipeline:
    """Answers one turn. `prompt` is what is asked; with `replace` it is asked again.
    `notes` are told under the answer.
    """

    def __init__(
        self,
        claimed: ClaimedTurn,
        services: TurnServices,
        choices: Preferences,
        *,
        prompt: str,
        replaces_answer: bool = False,
        notes: Sequence[str] = (),
        recall: MemoryRecall,
    ) -> None:
        self._claimed = claimed
        self._services = services
        self._choices = choices
        self._prompt = prompt
        self._replaces_answer = replaces_answer
        self._recall = recall
        self._text = ""
        self._reasoning = ""
        self._usage = TokenCount()
        self._bookings: list[Reservation] = []
        self._notes = list(notes)
        self._buttons: list[Button] = []
        self._started_at = time.monotonic()
        self._preview = Preview(
            claimed.adapter,
            claimed.rate_limiter,
            claimed.outbox,
            claimed.turn.id,
            on_gone=claimed.stop_requested.set,
        )

    async def run(self) -> None:
        turn = self._claimed.turn
        await self._claimed.outbox.load()
        if turn.state is TurnState.DELIVERING:
            self._text = await self._claimed.store.read(get_answer, turn.id)
            buttons = msgspec.json.decode(turn.buttons_json or "[]", type=tuple[Button, ...])
            await self._deliver(turn.note or "", buttons)
            return
        account = await self._services.api_keys.for_person(self._claimed.person)
        model, failed = await self._ask_with_preview(account)
        self._notes += self._recall.notes(self._text)
        await self._warn_operator()
        if self._claimed.stop_requested.is_set():
            self._notes.append(texts.STOPPED)
        note = "\n".join(self._notes)
        buttons = self._answer_buttons(failed=failed)
        self._claimed.check_lease()
        await self._claimed.store.write(self._store_answer, account, model, note, buttons)
        await self._deliver(note, buttons, failed=failed and not self._text)

    # -- asking

    async def _ask_with_preview(self, account: ApiKey) -> tuple[str, bool]:
        """Ask, showing the answer while it grows. The model that answered, and whether it failed
        to do so to the end.
        """
        preview_task = asyncio.create_task(self._preview.run())
        try:
            return await self._ask_with_failover(account)
        finally:
            preview_error = await self._preview.finish(preview_task)
            if isinstance(preview_error, StoreError):
                # What was shown is known; no reason to ask the model again.
                log.warning("preview ended", turn=self._claimed.turn.id, error=str(preview_error))
            elif isinstance(preview_error, Exception):
                raise preview_error

    async def _ask_with_failover(self, account: ApiKey) -> tuple[str, bool]:
        """Ask the chosen model and, before anything was shown, those that follow it."""
        chosen, first_error = self._choices.model, None
        models = self._services.registry
        fallbacks = fallback_models(chosen, models.chat_models(), self._services.settings.fallbacks)
        for model in (chosen, *fallbacks):
            try:
                await self._ask_model(account, model)
            except ModelError as error:
                log.warning(
                    "model failed",
                    turn=self._claimed.turn.id,
                    model=model,
                    failure=error.failure,
                    status=error.status,
                    request=error.request_id,
                    said=str(error),
                )
                if error.failure is ModelFailure.UNKNOWN_MODEL:
                    await models.refresh()
                if self._text:
                    self._add_substitute_note(first_error, chosen, model)
                    self._notes.append(
                        texts.model_failure(error, self._claimed.turn.id, is_personal_key=account.is_personal)
                    )
                    return model, True
                first_error = first_error or error
                if not can_fail_over(error):
                    break
            except PromptTooLongError as error:
                if first_error is None:
                    self._notes.append(texts.prompt_too_long(models.display_name(model), error.needed, error.available))
                    return model, True
            else:
                self._add_substitute_note(first_error, chosen, model)
                return model, False
            if self._claimed.stop_requested.is_set():
                return model, False
        assert first_error is not None  # noqa: S101 (nothing answered: something failed)
        self._notes.append(texts.model_failure(first_error, self._claimed.turn.id, is_personal_key=account.is_personal))
        if first_error.failure is ModelFailure.EMPTY and self._choices.max_answer_tokens:
            self._notes.append(texts.answer_limit_low(self._choices.max_answer_tokens))
        return chosen, True

    def _add_substitute_note(self, error: ModelError | None, chosen: str, model: str) -> None:
        if error is not None:
            name = self._services.registry.display_name
            self._notes.insert(0, texts.model_substituted(error, name(chosen), name(model)))

    async def _ask_model(self, account: ApiKey, model: str) -> None:
        """Fill `_text`. One more try, with the server's own figures, after an overflow."""
        breaker = self._services.breaker
        if seconds_resting := breaker.remaining_seconds(account.key_id, model):
            raise ModelError(
                "The model failed again and again",
                ModelFailure.UNAVAILABLE,
                status=503,
                retry_after=seconds_resting,
            )
        composed = await self._compose(model)
        try:
            try:
                await self._read_answer(account, composed)
            except ModelError as error:
                # Cut to the window without a word, a prompt leaves no room for an answer.
                was_truncated = (
                    error.failure is ModelFailure.EMPTY
                    and self._usage.prompt >= FULL_WINDOW_RATIO * composed.context_tokens
                )
                if not (was_truncated or error.failure is ModelFailure.OVERFLOW) or self._text:
                    raise
                log.info("overflow", turn=self._claimed.turn.id, model=model, limit=error.limit)
                context = composed.context_tokens
                if error.limit is not None and error.limit < context:
                    self._services.registry.record_context_limit(model, error.limit)
                composed = await self._compose(model, min(error.limit or context, context * 3 // 4))
                await self._read_answer(account, composed)
        except ModelError as error:
            breaker.record_failure(account.key_id, model, error)
            await self._services.ledger.record_refusal(account.key_id, model, error)
            raise
        if self._text or not self._claimed.stop_requested.is_set():
            breaker.record_success(account.key_id, model)  # stopped before it said a word it proved nothing
        if composed.prompt.omitted:
            if not await self._claimed.store.read(is_truncation_notified, self._claimed.turn.conversation_id):
                self._notes.append(texts.HISTORY_TRIMMED)
            self._services.summariser.summarize_if_needed(self._claimed.turn.conversation_id, composed)

    async def _compose(self, model: str, context_limit: int | None = None) -> ComposedRequest:
        """`within`: tokens, where the model's whole window was too much."""
        turn, context = (
            self._claimed.turn,
            context_limit or self._services.registry.context_tokens(model),
        )
        extend_instructions = await self._recall.instructions_extender(
            self._prompt, context, self._choices.max_answer_tokens
        )
        return await self._services.composer.compose(
            turn.conversation_id,
            turn.seq,
            self._choices,
            self._prompt,
            model,
            context_tokens=context,
            replaces_last=self._replaces_answer,
            extend_instructions=extend_instructions,
        )

    async def _read_answer(self, account: ApiKey, composed: ComposedRequest) -> None:
        """Ask what is composed; booked in the ledger before and after."""
        request, estimate = composed.request, composed.prompt.estimated_tokens
        expected_tokens = request.max_tokens or DEFAULT_ANSWER_TOKENS
        self._usage, self._reasoning = TokenCount(), ""
        reservation = self._services.ledger.reserve(account.key_id, request.model, estimate, expected_tokens)
        async with reservation as booking:
            self._bookings.append(booking)
            try:
                await self._stream_until_stopped(account, request)
            finally:
                booking.reported_tokens = self._usage.total
                booking.answer_tokens = round(composed.estimator.estimate_text(self._text + self._reasoning))
        if self._text and not self._claimed.stop_requested.is_set():
            await self._services.composer.estimators.record_usage(
                request.model,
                self._claimed.turn.conversation_id,
                request.messages,
                self._usage,
                self._text,
                has_reasoning=bool(self._reasoning),
            )

    async def _stream_until_stopped(self, account: ApiKey, request: ChatRequest) -> None:
        """Read the stream to its end or to the person's stop. Waits for nothing else."""
        read_task = asyncio.create_task(self._consume_stream(account, request))
        stop_waiter = asyncio.create_task(self._claimed.stop_requested.wait())
        try:
            await asyncio.wait({read_task, stop_waiter}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stop_waiter.cancel()
            if not read_task.done():
                read_task.cancel()
            outcome = (await asyncio.gather(read_task, return_exceptions=True))[0]
        if isinstance(outcome, Exception):
            raise outcome

    async def _consume_stream(self, account: ApiKey, request: ChatRequest) -> None:
        async with contextlib.aclosing(account.api.stream(request)) as events:
            async for event in events:
                match event:
                    case TextDelta(text):
                        self._text += text
                        self._preview.update(self._text)
                    case ReasoningDelta(text):
                        if len(self._reasoning) < MAX_REASONING_CHARS:
                            self._reasoning += text
                        if not self._text:
                            self._preview.update("", self._thinking_status())
                    case TextWasReasoning():
                        self._reasoning, self._text = self._reasoning + self._text, ""
                        self._preview.update("", self._thinking_status())
                    case UsageReport(prompt, completion):
                        self._usage = TokenCount(prompt, completion)
                    case Finished(FinishReason.LENGTH):
                        self._notes.append(texts.MAX_LENGTH_REACHED)
                        self._buttons.append(self._continue_button())
                    case Finished():
                        pass
                if len(self._text) > MAX_ANSWER_CHARS:
                    self._notes.append(texts.MAX_LENGTH_REACHED)
                    return

    def _thinking_status(self) -> str:
        seconds = int(time.monotonic() - self._started_at) // STATUS_INTERVAL * STATUS_INTERVAL
        if not seconds:
            return "Thinking…"
        tokens = self._usage.completion or round(len(self._reasoning) / 4)
        return f"Thinking… {seconds} s · {tokens // 50 * 50} tokens"

    # -- keeping and delivering

    async def _warn_operator(self) -> None:
        """Who runs the bot hears in private that a quota goes to its end."""
        warnings, incoming = self._services.ledger.warnings, self._claimed.turn.incoming
        if not warnings or not incoming.place.is_private:
            return
        sender = incoming.sender
        if await self._claimed.store.read(is_operator, sender.platform, sender.user):
            self._notes += warnings
            warnings.clear()

    def _continue_button(self) -> Button:
        return Button("Continue", encode_action(ButtonAction.CONTINUE, self._claimed.turn.id))

    def _answer_buttons(self, *, failed: bool) -> tuple[Button, ...]:
        """What can be pressed under the answer."""
        turn = self._claimed.turn
        if failed and self._text:
            self._buttons.append(self._continue_button())
        if failed or self._claimed.adapter.capabilities(turn.incoming.place).has_retry_button:
            self._buttons.append(Button("Retry", encode_action(ButtonAction.RETRY, turn.id)))
        if self._reasoning.strip() and self._choices.shows_reasoning:
            self._buttons.append(Button("Reasoning", encode_action(ButtonAction.SHOW_REASONING, turn.id)))
        return tuple(self._buttons)

    def _store_answer(
        self,
        connection: Connection,
        account: ApiKey,
        model: str,
        note: str,
        buttons: tuple[Button, ...],
    ) -> None:
        """One transaction: the answer, its buttons and thoughts, and whom it is counted for."""
        claimed = self._claimed
        is_stored = store_answer(
            connection,
            claimed.turn,
            claimed.owner,
            prompt=self._prompt,
            answer=self._text,
            note=note,
            model=model,
            usage=self._usage,
            is_personal_key=account.is_personal,
            replaces_last=self._replaces_answer,
            buttons_json=msgspec.json.encode(buttons).decode(),
            reasoning=self._reasoning if self._choices.shows_reasoning else "",
        )
        if not is_stored:
            return
        if texts.HISTORY_TRIMMED in self._notes:
            mark_truncation_notified(connection, claimed.turn.conversation_id)
        if not account.is_personal:
            subjects = usage_subjects(claimed.turn.incoming)
            spent = sum(booking.cost for booking in self._bookings)
            token_usage.add_daily_usage(connection, subjects, self._services.ledger.today(), spent, 1)

    async def _deliver(self, note: str, buttons: tuple[Button, ...], *, failed: bool = False) -> None:
        turn = self._claimed.turn
        try:
            await self._claimed.deliver(self._text, note=note, buttons=buttons, is_stored=True)
        except DeliveryError as error:
            log.warning("not delivered", turn=turn.id, fault=error.failure, said=str(error))
            if error.failure is DeliveryFailure.REJECTED:
                await self._deliver_rejection(error)
            await self._claimed.finish(TurnState.FAILED)
            return
        was_stopped = self._claimed.stop_requested.is_set()
        state = TurnState.FAILED if failed else TurnState.STOPPED if was_stopped else TurnState.DONE
        await self._claimed.finish(state)

    async def _deliver_rejection(self, rejection: DeliveryError) -> None:
        """The platform does not take the answer's text: say so in its place."""
        try:
            await self._claimed.deliver("", note=f"{rejection} [{self._claimed.turn.id}]")
        except DeliveryError as error:
            log.warning("refusal not told", turn=self._claimed.turn.id, fault=error.failure)
