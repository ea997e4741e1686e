"""Decides what a turn is (a refusal, a command, a button or a question), and handles it to its end."""

from collections.abc import Callable
from dataclasses import replace

import structlog

from core.commands.declarations import find_command, is_ephemeral
from core.commands.greetings import added_reply
from core.commands.handlers import run_command
from core.commands.request import CommandRequest, Reply
from core.conversation.preferences import Preferences, load_preferences, with_available_model
from core.errors import DeliveryError, StoreError
from core.i18n.translation import gettext, load_catalogue, speaking
from core.metrics import Outcome
from core.port import EventKind
from core.services import Services
from core.store.claims import CancelResult
from core.store.turns import LostLeaseError, Refusal, TurnState, replace_event_text
from core.texts import answers as texts
from core.texts.commands import KEY_MESSAGE_REMAINS
from core.texts.formatting import join_sentences
from core.turns.answer import not_delivered
from core.turns.button_actions import run_button, stop_draft
from core.turns.claimed_turn import ClaimedTurn
from core.turns.inbox import is_question, too_fast_notice
from core.turns.question_handler import QuestionHandler
from core.turns.question_heading import question_heading
from core.turns.turn_start import TurnStart, load_start

log = structlog.get_logger(__name__)


class Dispatcher:
    """Every method raises `LostLeaseError` and `StoreError` only, and leaves the turn finished otherwise."""

    def __init__(self, services: Services, on_cancelled: Callable[[CancelResult], None]) -> None:
        self._services = services
        self._on_cancelled = on_cancelled
        self._questions = QuestionHandler(services)

    async def run(self, claimed: ClaimedTurn) -> None:
        turn = claimed.turn
        start = await self._services.store.read(load_start, turn, self._services.settings)
        claimed.rich_mode = start.preferences.rich_mode
        try:
            with speaking(await load_catalogue(start.preferences.language)):
                claimed.heading = await question_heading(claimed)
                await self._dispatch(claimed, start)
        except DeliveryError as error:
            log.warning("turn.not_delivered", turn=turn.id, failure=error.failure, error=str(error))
            await claimed.finish(TurnState.FAILED, not_delivered(error))

    async def _dispatch(self, claimed: ClaimedTurn, start: TurnStart) -> None:
        turn, incoming = claimed.turn, claimed.turn.incoming
        if turn.refusal is not None and incoming.place.is_foreign and incoming.kind is EventKind.BUTTON:
            await claimed.finish(TurnState.DONE)  # the only message there is the answer
        elif turn.refusal is not None:
            is_too_fast = turn.refusal is Refusal.RATE_LIMITED
            notice = await too_fast_notice(self._services, incoming) if is_too_fast else gettext(texts.QUEUE_FULL)
            await self._reply(claimed, Reply(notice))
        elif is_question(incoming):
            await self._questions.answer(claimed, start)
        else:
            await self._reply(claimed, await self._run_command(claimed, start.preferences))

    async def give_up(self, claimed: ClaimedTurn) -> None:
        """Finish a turn whose processes have died one after another, and tell the person if possible."""
        turn = claimed.turn
        try:
            preferences = await self._services.store.read(load_preferences, turn.incoming, self._services.settings)
            with speaking(await load_catalogue(preferences.language)):
                claimed.heading = await question_heading(claimed)
                await self._report_failure(claimed)
        except DeliveryError as error:
            log.warning("turn.notice_not_delivered", turn=turn.id, failure=error.failure)
        except (LostLeaseError, StoreError):
            raise
        except Exception:
            # What broke every attempt may break this one, too. An open turn would block its conversation.
            log.exception("turn.notice_failed", turn=turn.id)
        if turn.seq is not None and turn.refusal is None:
            claimed.times.answered(Outcome.FAILED)
        await claimed.finish(TurnState.FAILED, "its processes have ended one after another")

    async def _report_failure(self, claimed: ClaimedTurn) -> None:
        await claimed.outbox.load()
        if claimed.turn.state is TurnState.DELIVERING and not claimed.answers_in_one_message:
            await claimed.warn_of_missing_parts(claimed.outbox.part_count, is_stored=True)
            return
        if claimed.turn.state is TurnState.DELIVERING and claimed.outbox.has_final_text(0):
            return  # the message shows the answer, which a warning would replace
        note = f"{gettext(texts.INTERNAL_ERROR)} [{claimed.turn.id}]"
        buttons = await self._questions.store_unanswered(claimed, note)
        claimed.outbox.reply_to_question()
        await claimed.deliver("", note=note, buttons=buttons)

    async def _run_command(self, claimed: ClaimedTurn, preferences: Preferences) -> Reply | None:
        preferences = with_available_model(preferences, self._services.models)
        request = CommandRequest(self._services, self._on_cancelled, claimed.turn, preferences, claimed.adapter)
        match request.incoming.kind:
            case EventKind.STOP:
                return await stop_draft(request)
            case EventKind.ADDED:
                return await added_reply(request)
            case EventKind.BUTTON:
                return await run_button(request)
            case _:
                return await run_command(request)

    async def _reply(self, claimed: ClaimedTurn, reply: Reply | None) -> None:
        if reply is None:
            await claimed.finish(TurnState.DONE)
            return
        incoming = claimed.turn.incoming
        await claimed.outbox.load()
        if incoming.command == "key" and incoming.text and not await self._delete_key_message(claimed):
            reply = replace(reply, text=join_sentences(reply.text, gettext(KEY_MESSAGE_REMAINS)))
        command = find_command(incoming.command)
        claimed.outbox.is_ephemeral = not reply.is_public and is_ephemeral(command, has_question=False)
        await claimed.reply_and_finish(reply)

    async def _delete_key_message(self, claimed: ClaimedTurn) -> bool:
        """Delete the message that contains an API key, and the stored text. False if the message remains."""
        message_id = claimed.turn.incoming.message_id
        await claimed.store.write(replace_event_text, claimed.turn, "")
        if message_id is None:
            return True  # nobody else sees a slash command; in a foreign chat, the reply takes the key's place
        try:
            await claimed.outbox.delete_message(message_id)
        except DeliveryError as error:
            log.info("turn.key_message_not_deleted", turn=claimed.turn.id, failure=error.failure)
            return False
        return True
