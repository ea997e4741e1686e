"""Answers one question: asks the model and its substitutes, stores the answer, delivers it.

    running      ask -> preview while it grows -> store_answer (one transaction)
    delivering   outbox: send or edit each part -> finish_delivery

A turn that is claimed again in `delivering` asks no model: its answer is stored.
"""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import msgspec
import structlog
from sqlalchemy import Connection

from core.api.advice import ADVICE
from core.buttons import ButtonAction, encode_action, short_digest
from core.conversation.context_window import PromptTooLongError
from core.conversation.failover import can_fail_over, fallback_models
from core.delivery.preview import Preview
from core.errors import DeliveryError, DeliveryFailure, ModelError, ModelFailure
from core.i18n.translation import gettext
from core.markdown.open_marks import close_open_marks
from core.metrics import Outcome
from core.port import Button, EventKind
from core.store.answers import Variant, get_answer, get_question, list_variants, store_answer
from core.store.conversations import (
    has_answered_since_default_replaced,
    mark_default_replaced,
    mark_truncation_notified,
)
from core.store.grants import is_operator
from core.store.incoming_codec import compared_model
from core.store.preferences import PreferenceName, mark_notified, replace_value
from core.store.token_usage import TokenUsage, add_daily_usage
from core.store.turns import TurnState, get_turn
from core.texts import answers as texts
from core.texts.models import compared_heading, use_model_button
from core.turns.answer_files import files_buttons
from core.turns.claimed_turn import ClaimedTurn
from core.turns.foreign_questions import retry_buttons
from core.turns.model_caller import ModelCaller
from core.turns.question_buttons import edit_buttons, lasting_buttons, model_buttons
from core.turns.variants import variant_buttons

log = structlog.get_logger(__name__)

USER_ERRORS = frozenset({ModelFailure.FILTERED, ModelFailure.OVERFLOW})
"""Failures that only the person can avoid."""
KEY_ERRORS = frozenset(
    {
        ModelFailure.AUTHENTICATION,
        ModelFailure.CREDIT,
        ModelFailure.PAYMENT,
        ModelFailure.QUOTA,
        ModelFailure.RATE_LIMITED,
    }
)
"""Failures that only the owner of the API key can avoid."""
LOST_CHATS = frozenset({DeliveryFailure.FORBIDDEN, DeliveryFailure.GONE})
"""Why a chat that exists no more, or has blocked the bot, gets no answer."""


@dataclass(frozen=True, slots=True)
class ModelOutcome:
    """Which model was asked last, and what the person is told about it."""

    model: str
    first_error: ModelError | None = None
    """Why the chosen model did not answer, if another did."""
    failure_notes: tuple[str, ...] = ()
    """Why there is no answer, or not all of it."""
    is_user_error: bool = False
    """Whether only the person can remove the reason."""
    retired_model: str = ""
    """The chosen model, if it is no longer offered and this answer says that its successor answers from now on."""


class AnswerPipeline:
    """Answers one turn. `notes` and `buttons` appear under the answer, besides the usual ones.

    `first_turn`: the turn that asked the question first, if it is asked again. `is_compared`: another model answers the
    question at the same time.
    """

    def __init__(
        self,
        caller: ModelCaller,
        notes: Sequence[str],
        first_turn: int | None = None,
        buttons: Sequence[Button] = (),
        *,
        is_compared: bool = False,
    ) -> None:
        self._is_compared = is_compared
        self._caller = caller
        self._notes = notes
        self._first_turn = first_turn
        self._buttons = buttons
        self._claimed = caller.claimed
        self._services = caller.services
        self._preferences = caller.preferences
        self._api_key = caller.api_key

    async def run(self) -> None:
        """The outbox must be loaded. Raises `LostLeaseError` and `StoreError`."""
        try:
            with self._claimed.expecting_final():
                await self._run()
        finally:
            await self._caller.settle()

    async def _run(self) -> None:
        async with self._claimed.previewing() as preview:
            outcome = await self._ask_with_failover(preview)
        outcome = replace(outcome, retired_model=await self._find_retired_model(outcome))
        answer = self._caller.answer
        if self._claimed.stop_requested.is_set() or self._is_incomplete(outcome):
            answer.text = await asyncio.to_thread(close_open_marks, answer.text)
        variants = await self._load_variants(outcome.model)
        note = "\n".join(await self._collect_notes(outcome))
        buttons = (*self._answer_buttons(outcome, variants), *await self._question_buttons())
        buttons += await files_buttons(self._claimed.adapter, self._claimed.turn.id, self._caller.answer.text)
        if self._claimed.turn.incoming.place.is_foreign:
            buttons = retry_buttons(buttons, has_text=bool(self._caller.answer.text))
        final_state = self._final_state(outcome)
        # The transaction itself finds out whether another process has the turn. Its lease need not be trusted: the
        # database may have been slow just now, and the answer is paid for.
        usage = await self._claimed.store.write_with_priority(self._store_answer, outcome, note, buttons, final_state)
        self._caller.record_settlement(usage)
        await _deliver_answer(
            self._claimed,
            self._caller.answer.text,
            note,
            buttons,
            final_state,
            is_user_error=outcome.is_user_error,
        )

    # Asking

    async def _ask_with_failover(self, preview: Preview) -> ModelOutcome:
        """Ask the chosen model and, as long as no text has appeared, its substitutes."""
        chosen, models = self._preferences.model, self._services.models
        needs_vision = bool(self._caller.images)
        candidates = [model for model in models.chat_models() if model.has_vision or not needs_vision]
        substitutes = fallback_models(chosen, candidates, self._services.settings.fallbacks)
        if self._is_compared:
            substitutes = []  # the person asked for this model
        first_error: ModelError | None = None
        previous_error: ModelError | None = None
        remaining = [chosen, *substitutes]
        while remaining:
            model = remaining.pop(0)
            if previous_error is not None:
                self._services.metrics.failed_over(previous_error.failure)
            try:
                await self._caller.ask(model, preview)
            except ModelError as failure:
                error = await self._handle_failure(model, failure)
                if self._caller.answer.text:
                    return ModelOutcome(model, first_error, (self._failure_note(error),))
                if not can_fail_over(error):
                    first_error = error  # it affects all models, even one that is paused for another reason
                    break
                first_error, previous_error = first_error or error, error
                remaining = self._with_successor_first(remaining, model, error)
            except PromptTooLongError as error:
                if first_error is None:
                    note = texts.prompt_too_long_for_model(models.display_name(model), error)
                    return ModelOutcome(model, failure_notes=(note,), is_user_error=True)
            else:
                return ModelOutcome(model, first_error)
            if self._claimed.stop_requested.is_set():
                return ModelOutcome(model)
        assert first_error is not None  # noqa: S101 (no model answered, so the first has failed)
        notes = [self._failure_note(first_error)]
        if first_error.failure is ModelFailure.EMPTY and self._preferences.max_answer_tokens:
            notes.append(texts.answer_limit_low(self._preferences.max_answer_tokens))
        return ModelOutcome(chosen, failure_notes=tuple(notes), is_user_error=self._is_user_error(first_error))

    def _is_user_error(self, error: ModelError) -> bool:
        return error.failure in USER_ERRORS or (self._api_key.is_personal and error.failure in KEY_ERRORS)

    def _with_successor_first(self, remaining: list[str], failed: str, error: ModelError) -> list[str]:
        """The models to ask after `failed`."""
        successor = self._find_successor(error) if failed == self._preferences.model else None
        if successor is None or (self._caller.images and not self._services.models.has_vision(successor)):
            return remaining
        return [successor, *(model for model in remaining if model != successor)]

    def _find_successor(self, error: ModelError | None) -> str | None:
        """The model that replaces the chosen one, if somebody chose that and it has just turned out to be gone."""
        chosen = self._preferences.values[PreferenceName.MODEL]
        is_gone = error is not None and error.failure is ModelFailure.UNKNOWN_MODEL
        return self._services.models.successor(chosen.value) if is_gone and chosen.scope is not None else None

    async def _find_retired_model(self, outcome: ModelOutcome) -> str:
        """See `ModelOutcome.retired_model`."""
        chosen = self._preferences.values[PreferenceName.MODEL]
        if not self._caller.answer.text:
            return ""  # the next answer says so
        if chosen.unavailable_model and chosen.scope is None:
            # The operator's default: the next answer in each conversation that knew it says so.
            retired, conversation_id = chosen.unavailable_model, self._claimed.turn.conversation_id
            is_known = await self._claimed.store.read(has_answered_since_default_replaced, conversation_id, retired)
            return retired if is_known else ""
        is_replaced = outcome.model == self._find_successor(outcome.first_error)
        return chosen.unavailable_model or (chosen.value if is_replaced else "")

    def _is_default_gone(self, outcome: ModelOutcome) -> bool:
        """Whether this answer replaces one of the operator's default model, which is no longer offered."""
        chosen, error = self._preferences.values[PreferenceName.MODEL], outcome.first_error
        has_just_gone = error is not None and error.failure is ModelFailure.UNKNOWN_MODEL
        gone = chosen.unavailable_model or (chosen.value if has_just_gone else "")
        return gone == self._services.settings.default_model

    async def _handle_failure(self, model: str, error: ModelError) -> ModelError:
        """Log the failure and return it. A fresh list of models tells a wrong address from a model that is gone."""
        if error.failure in (ModelFailure.UNKNOWN_MODEL, ModelFailure.WRONG_ADDRESS):
            is_address_right = await self._services.models.refresh()
            if is_address_right and error.failure is ModelFailure.WRONG_ADDRESS:
                error = ModelError(str(error), ModelFailure.UNKNOWN_MODEL, status=error.status)
        self._services.metrics.model_failed(model, error.failure)
        log.warning(
            "model.failed",
            turn=self._claimed.turn.id,
            model=model,
            failure=error.failure,
            status=error.status,
            request=error.request_id,
            error=str(error),
            advice=ADVICE[error.failure],
        )
        return error

    def _failure_note(self, error: ModelError) -> str:
        return texts.model_failed(error, self._claimed.turn.id, is_personal_key=self._api_key.is_personal)

    def _model_notes(self, outcome: ModelOutcome) -> Iterator[str]:
        """Which model answered, or answers from now on, instead of the chosen one; nothing without a text."""
        if not self._caller.answer.text:
            return
        chosen, retired, name = self._preferences.model, outcome.retired_model, self._services.models.display_name
        if retired:
            yield texts.model_retired(name(retired), name(self._successor_of(retired, outcome)))
        if outcome.first_error is not None and retired != chosen:
            yield texts.fallback_note(outcome.first_error, name(chosen), name(outcome.model))

    def _successor_of(self, retired: str, outcome: ModelOutcome) -> str:
        chosen = self._preferences.model
        return outcome.model if retired == chosen else chosen

    # Storing

    async def _collect_notes(self, outcome: ModelOutcome) -> list[str]:
        """What the person is told under the answer."""
        answer = self._caller.answer
        notes = [*self._model_notes(outcome), *self._notes]
        notes += [gettext(texts.ONLY_REASONING)] * answer.is_reasoning + [
            gettext(texts.ANSWER_HAS_GAP)
        ] * answer.has_gap
        if self._caller.ignored_settings:
            notes.append(self._ignored_settings_note(outcome.model))
        if answer.reached_token_limit or answer.reached_char_limit:
            notes.append(gettext(texts.MAX_LENGTH_REACHED))
        if self._caller.needs_truncation_note:
            notes.append(gettext(texts.HISTORY_TRIMMED))
        notes += [*outcome.failure_notes, self._caller.recall.note(answer.text), *await self._quota_warnings()]
        if self._claimed.stop_requested.is_set():
            notes.append(gettext(texts.STOPPED))
        if self._claimed.platform_wait() >= self._claimed.timings.long_platform_wait:
            notes.append(gettext(texts.PLATFORM_WAIT))
        return [note for note in notes if note]

    def _ignored_settings_note(self, model: str) -> str:
        values = self._preferences.values
        settings = [f"{name} {values[name].value}" for name in self._caller.ignored_settings]
        return texts.settings_ignored(self._services.models.display_name(model), settings)

    async def _quota_warnings(self) -> list[str]:
        """Pending warnings that a quota runs low; only for the operator, in a private chat."""
        self._caller.warn_of_quota()
        pending, incoming = self._services.ledger.warnings, self._claimed.turn.incoming
        if not pending or not incoming.place.is_private:
            return []
        if not await self._claimed.store.read(is_operator, incoming.sender.platform, incoming.sender.user):
            return []
        warnings = [texts.quota_warning(warning) for warning in pending]
        pending.clear()
        return warnings

    async def _load_variants(self, model: str) -> list[Variant]:
        """The answers to the question, with this one if there is one; empty if the question is asked only once."""
        if self._first_turn is None or self._is_compared:
            return []
        variants = await self._claimed.store.read(list_variants, self._first_turn)
        new = Variant(self._claimed.turn.id, model, is_excluded=False)
        return [*variants, new] if self._caller.answer.text else variants

    def _answer_buttons(self, outcome: ModelOutcome, variants: Sequence[Variant]) -> tuple[Button, ...]:
        turn, answer = self._claimed.turn, self._caller.answer
        buttons = []
        if self._is_incomplete(outcome):
            buttons.append(Button(gettext(texts.CONTINUE_BUTTON), encode_action(ButtonAction.CONTINUE, turn.id)))
        shown = [variant.turn_id for variant in variants if not variant.is_excluded]
        if self._is_compared:
            buttons.append(self._compared_button(outcome.model))
        elif len(variants) > 1 and shown:
            buttons += variant_buttons(variants, shown[-1], self._services.models)
        else:
            buttons.append(Button(gettext(texts.RETRY_BUTTON), encode_action(ButtonAction.RETRY, turn.id)))
        if answer.reasoning.strip() and self._preferences.shows_reasoning:
            buttons.append(Button(gettext(texts.REASONING_BUTTON), encode_action(ButtonAction.SHOW_REASONING, turn.id)))
        return (*buttons, *self._buttons)

    def _is_incomplete(self, outcome: ModelOutcome) -> bool:
        """Whether the answer could be continued, because something else than the person ended it."""
        answer = self._caller.answer
        return answer.reached_token_limit or answer.reached_char_limit or bool(outcome.failure_notes and answer.text)

    async def _question_buttons(self) -> list[Button]:
        """What can be changed for this question."""
        if self._is_compared:
            return []
        claimed = self._claimed
        turn = claimed.turn
        return [
            *await edit_buttons(
                claimed.store, claimed.adapter, turn.incoming, turn.id, first_turn=self._first_turn or turn.id
            ),
            *model_buttons(claimed.adapter.capabilities(turn.incoming.place)),
        ]

    def _compared_button(self, model: str) -> Button:
        turn_id = self._claimed.turn.id
        if self._caller.answer.text:
            label = use_model_button(self._services.models.display_name(model))
            return Button(label, encode_action(ButtonAction.USE_MODEL, turn_id))
        action = encode_action(ButtonAction.RETRY_WITH, f"{turn_id}:{short_digest(model)}")
        return Button(gettext(texts.RETRY_BUTTON), action)

    def _final_state(self, outcome: ModelOutcome) -> TurnState:
        if outcome.failure_notes and not self._caller.answer.text:
            return TurnState.FAILED
        return TurnState.STOPPED if self._claimed.stop_requested.is_set() else TurnState.DONE

    def _store_answer(
        self,
        connection: Connection,
        outcome: ModelOutcome,
        note: str,
        buttons: tuple[Button, ...],
        final_state: TurnState,
    ) -> TokenUsage | None:
        """One transaction: the answer with its buttons and reasoning, what it counts for, and its tokens.

        Returns the usage of the day, see `settle_reservation`.
        """
        claimed, answer, model = self._claimed, self._caller.answer, outcome.model
        is_stored = store_answer(
            connection,
            claimed.turn,
            prompt=self._caller.prompt,
            answer=answer.text,
            note=note,
            model=model,
            failure="\n".join(outcome.failure_notes) if final_state is TurnState.FAILED else "",
            usage=answer.usage,
            is_personal_key=self._api_key.is_personal,
            replaces_last=self._caller.replaces_answer and not self._is_compared,
            first_turn=self._first_turn,
            companion_of=self._first_turn if self._is_compared else None,
            parent_turn=self._caller.parent_turn,
            buttons_json=msgspec.json.encode(buttons).decode(),
            reasoning=answer.reasoning if self._preferences.shows_reasoning else "",
            images=self._caller.image_references,
            final_state=final_state,
        )
        if is_stored:
            self._store_consequences(connection, outcome)
        # Last: the answers of all conversations add to the same row, which is locked until the transaction ends.
        return self._caller.settle_with_answer(connection)

    def _store_consequences(self, connection: Connection, outcome: ModelOutcome) -> None:
        """What the person has been told, and whose allowance the answer counts for."""
        claimed, answer, model = self._claimed, self._caller.answer, outcome.model
        if self._caller.needs_truncation_note:
            mark_truncation_notified(connection, claimed.turn.conversation_id)
        for name in self._caller.ignored_settings:
            if (scope := self._preferences.values[name].scope) is not None:
                mark_notified(connection, scope.key, name, model)
        if answer.text and self._is_default_gone(outcome):
            mark_default_replaced(connection, claimed.turn.conversation_id, claimed.turn.id)
        scope, retired = self._preferences.values[PreferenceName.MODEL].scope, outcome.retired_model
        if retired and scope is not None:
            successor = self._successor_of(retired, outcome)
            replace_value(connection, scope.key, PreferenceName.MODEL, retired, successor)
        add_daily_usage(connection, self._api_key.subjects, self._services.ledger.today(), self._caller.cost, 1)


async def deliver_stored_answer(claimed: ClaimedTurn) -> None:
    """Deliver the answer that an earlier attempt stored. Raises `LostLeaseError` and `StoreError`."""
    turn = claimed.turn
    await claimed.outbox.load()
    if compared_model(turn.incoming) and turn.model:
        claimed.heading = compared_heading(turn.model)
    text = await claimed.store.read(get_answer, turn.id)
    buttons = msgspec.json.decode(turn.buttons_json or "[]", type=tuple[Button, ...])
    note = turn.note or ("" if text else gettext(texts.ANSWER_NOT_STORED))  # it has been erased
    await _deliver_answer(claimed, text, note, buttons, turn.final_state)


async def _deliver_answer(
    claimed: ClaimedTurn,
    text: str,
    note: str,
    buttons: tuple[Button, ...],
    final_state: TurnState,
    *,
    is_user_error: bool = False,
) -> None:
    replaced = await _find_replaced_answer(claimed) if not text and claimed.outbox.has_taken_over else None
    if not text:
        claimed.outbox.reply_to_question()  # its answer may be expected after those of others that wait
    try:
        shown_text = text
        if replaced is not None:
            shown_text = await claimed.store.read(get_answer, replaced.turn_id)
            answered = await claimed.store.read(get_turn, replaced.turn_id)
            note = "\n".join(filter(None, (answered.note if answered is not None else "", note)))
            buttons = (*lasting_buttons(answered, ButtonAction.CONTINUE), *buttons)
        unseen_since = claimed.times.take_unseen()
        await claimed.deliver(shown_text, note=note, buttons=buttons, is_stored=replaced is None, is_answer=True)
        if text:
            claimed.times.text_shown(unseen_since)
        if replaced is not None:
            await claimed.outbox.hand_over(replaced.turn_id)
    except DeliveryError as error:
        log.warning("turn.not_delivered", turn=claimed.turn.id, failure=error.failure, error=str(error))
        if error.failure is DeliveryFailure.REJECTED:
            await _deliver_refusal_notice(claimed)
        await _finish(claimed, TurnState.FAILED, not_delivered(error), is_user_error=error.failure in LOST_CHATS)
        return
    was_stopped = final_state is TurnState.DONE and claimed.stop_requested.is_set()
    await _finish(claimed, TurnState.STOPPED if was_stopped else final_state, is_user_error=is_user_error)


async def _finish(claimed: ClaimedTurn, state: TurnState, reason: str = "", *, is_user_error: bool) -> None:
    is_user_error = is_user_error and state is TurnState.FAILED
    claimed.times.answered(Outcome.USER_ERROR if is_user_error else Outcome(state))
    await claimed.finish(state, reason)


def not_delivered(error: DeliveryError) -> str:
    return f"not delivered: {error.failure.name.lower()}"


async def _find_replaced_answer(claimed: ClaimedTurn) -> Variant | None:
    """The answer in whose messages this turn has asked the question again, without getting another one."""
    if claimed.turn.incoming.kind is not EventKind.BUTTON:
        return None
    question = await claimed.store.read(get_question, claimed.turn.id)
    variants = await claimed.store.read(list_variants, question.first_turn) if question is not None else []
    return next((variant for variant in reversed(variants) if not variant.is_excluded), None)


async def _deliver_refusal_notice(claimed: ClaimedTurn) -> None:
    """Say in place of the answer that the platform refuses it."""
    turn_id = claimed.turn.id
    retry = Button(gettext(texts.RETRY_BUTTON), encode_action(ButtonAction.RETRY, turn_id))
    try:
        await claimed.deliver("", note=texts.answer_refused(turn_id), buttons=(retry,))
    except DeliveryError as error:
        log.warning("turn.notice_not_delivered", turn=claimed.turn.id, failure=error.failure)
