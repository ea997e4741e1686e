"""What a turn is about, and who deals with it."""

from dataclasses import replace as replace_fields

import structlog

from core.buttons import ButtonAction, encode_action, parse_action
from core.commands.declarations import COMMANDS
from core.commands.handlers import CommandHandlers, CommandRequest
from core.commands.reply import Reply
from core.commands.request import escape_markdown
from core.conversation.preferences import MODEL, EffectivePreference, Preferences, load_preferences
from core.conversation.turn_services import TurnServices
from core.errors import DeliveryError, StoreError
from core.memory.service import MemoryService
from core.port import Button, EventKind, Incoming
from core.scopes import usage_subjects
from core.store.answers import get_question, last_question, store_answer
from core.store.database import Store
from core.store.preferences import Preference, set_preference
from core.store.token_usage import get_daily_usage
from core.store.turns import LostLeaseError, Refusal, Turn, TurnState, erase_event_text
from core.turns import texts
from core.turns.answer import AnswerPipeline
from core.turns.attachment_reader import AttachmentReader, readable_attachments
from core.turns.button_actions import ButtonActions
from core.turns.claimed_turn import ClaimedTurn
from core.turns.inbox import is_question
from core.turns.memory_recall import MemoryRecall

__all__ = ["Dispatcher"]

log = structlog.get_logger(__name__)

REFUSAL_TEXTS = {Refusal.QUEUE_FULL: texts.QUEUE_FULL, Refusal.RATE_LIMITED: texts.TOO_FAST}
EPHEMERAL_BY_COMMAND = {command.name: command.ephemeral for command in COMMANDS}
MAX_PROMPT_CHARS = 400_000  # characters
EMPTY_MESSAGE = "There was nothing in that message. Write something, and a model answers."
UNREADABLE_ATTACHMENTS = "I cannot read {kinds} yet: text, and files of text (PDF too), are what I understand."


class _QuestionRefused(Exception):  # noqa: N818 (an answer, not an error)
    """Why a question is not answered."""


def _validate_prompt(incoming: Incoming, *, has_files: bool) -> str:
    """What is asked; nothing is enough where files are to be read."""
    prompt = incoming.text.strip()
    if not prompt and has_files:
        return ""
    if not prompt and incoming.attachments:
        kinds = ", ".join(sorted({f"a {item.kind}" for item in incoming.attachments}))
        raise _QuestionRefused(UNREADABLE_ATTACHMENTS.format(kinds=kinds))
    if not prompt:
        raise _QuestionRefused(EMPTY_MESSAGE)
    if len(prompt) > MAX_PROMPT_CHARS:
        raise _QuestionRefused(f"A message can have {MAX_PROMPT_CHARS:,} characters at most.")
    return prompt


class Dispatcher:
    def __init__(
        self,
        store: Store,
        services: TurnServices,
        commands: CommandHandlers,
        memory: MemoryService,
    ) -> None:
        self._settings = services.settings
        self._store = store
        self._services = services
        self._models = services.registry
        self._commands = commands
        self._memory = memory
        self._button_actions = ButtonActions(store, services.settings, services.registry, commands)

    async def run(self, claimed: ClaimedTurn) -> None:
        """Deal with a turn to its end. Raises `LostLeaseError` and `StoreError` only."""
        turn = claimed.turn
        incoming = turn.incoming
        choices = await self._store.read(load_preferences, incoming.place, incoming.sender, self._settings)
        try:
            if is_question(incoming) and turn.refusal is None:
                await self._answer_question(claimed, choices)
            else:
                command_reply = await self._run_command(turn, choices, claimed)
                if command_reply is None:
                    await claimed.finish(TurnState.DONE)
                else:
                    await claimed.outbox.load()
                    if incoming.command == "key" and incoming.text:
                        await self._delete_key_message(claimed)
                    await claimed.reply_and_finish(
                        command_reply, ephemeral=EPHEMERAL_BY_COMMAND.get(incoming.command, True)
                    )
        except DeliveryError as error:
            log.warning("not delivered", turn=turn.id, fault=error.failure, said=str(error))
            await claimed.finish(TurnState.FAILED)

    async def give_up(self, claimed: ClaimedTurn) -> None:
        """End a turn on which one process after another has died, whether or not the person can
        be told. Raises `LostLeaseError` and `StoreError` only.
        """
        try:
            await claimed.outbox.load()
            if claimed.turn.state is TurnState.DELIVERING:
                await claimed.warn_of_missing_parts(claimed.outbox.part_count, is_stored=True)
            else:
                note = f"{texts.INTERNAL_ERROR} [{claimed.turn.id}]"
                await claimed.deliver("", note=note, buttons=await self._store_unanswered(claimed, note))
        except DeliveryError as error:
            log.warning("not told", turn=claimed.turn.id, fault=error.failure)
        except (LostLeaseError, StoreError):
            raise
        except Exception:
            # What broke every attempt may break this one too: it must not go on for ever, with
            # whatever the person asks next behind it.
            log.exception("not told", turn=claimed.turn.id)
        await claimed.finish(TurnState.FAILED)

    async def _store_unanswered(self, claimed: ClaimedTurn, note: str) -> tuple[Button, ...]:
        """Keep a question without an answer, so that it can be asked again."""
        incoming = claimed.turn.incoming
        prompt = incoming.text.strip()
        if not prompt or not (incoming.kind is EventKind.PROMPT or incoming.command == "ask"):
            return ()
        choices = await self._store.read(load_preferences, incoming.place, incoming.sender, self._settings)
        await self._store.write(
            store_answer,
            claimed.turn,
            claimed.owner,
            prompt=prompt,
            answer="",
            note=note,
            model=choices.model,
        )
        return (Button("Retry", encode_action(ButtonAction.RETRY, claimed.turn.id)),)

    async def _delete_key_message(self, claimed: ClaimedTurn) -> None:
        """Take the message with somebody's key away, where the platform lets us, and what was
        kept of it.
        """
        incoming = claimed.turn.incoming
        await self._store.write(erase_event_text, claimed.turn, claimed.owner)
        if incoming.message_id is None:
            return
        try:
            await claimed.outbox.delete_message(incoming.message_id)
        except DeliveryError as error:
            log.info("message with a key not deleted", turn=claimed.turn.id, fault=error.failure)

    async def _run_command(self, turn: Turn, choices: Preferences, claimed: ClaimedTurn) -> Reply | None:
        incoming = turn.incoming
        if turn.refusal is not None:
            return Reply(REFUSAL_TEXTS[turn.refusal])
        request = CommandRequest(
            incoming,
            turn.id,
            turn.conversation_id,
            choices,
            claimed.adapter.capabilities(incoming.place),
        )
        match incoming.kind:
            case EventKind.STOP:
                return await self._button_actions.stop_draft(turn)
            case EventKind.BUTTON:
                return await self._button_actions.run(request)
            case _:
                return await self._commands.run(request)

    async def _answer_question(self, claimed: ClaimedTurn, choices: Preferences) -> None:
        turn = claimed.turn
        try:
            prompt, replace = await self._resolve_prompt(claimed)
        except _QuestionRefused as refusal:
            await claimed.outbox.load()
            await claimed.reply_and_finish(Reply(str(refusal)))
            return
        is_new = turn.state is TurnState.RUNNING
        if is_new and turn.age_seconds > self._settings.too_old:
            await self._defer_outdated(claimed, choices, prompt, replace=replace)
            return
        notes: list[str] = []
        if is_new:
            choices = await self._replace_retired_model(choices, notes)
        replace = replace and is_new
        account = await self._services.api_keys.for_person(claimed.person)
        reader = AttachmentReader(claimed, self._memory, account)
        if is_new and not replace and not await self._read_files(reader, prompt):
            return
        recall = MemoryRecall(self._memory, self._store, account, turn.conversation_id, reader.stored_files)
        answer = AnswerPipeline(
            claimed,
            self._services,
            choices,
            prompt=prompt,
            replaces_answer=replace,
            notes=notes,
            recall=recall,
        )
        await answer.run()

    async def _read_files(self, reader: AttachmentReader, prompt: str) -> bool:
        """Read the files that came with a question; whether a model is to answer it."""
        claimed = reader.claimed
        files = readable_attachments(claimed.turn.incoming, claimed.adapter)
        if not files:
            return True
        await claimed.outbox.load()
        await reader.run(files)
        if claimed.stop_requested.is_set():
            await claimed.deliver("", note=texts.STOPPED)
            await claimed.finish(TurnState.STOPPED)
            return False
        if prompt and not reader.has_failed:
            return True
        await claimed.reply_and_finish(Reply(escape_markdown(reader.report)))
        return False

    async def _resolve_prompt(self, claimed: ClaimedTurn) -> tuple[str, bool]:
        """The prompt, and whether it is asked again. Raises `_Refused`."""
        turn, incoming = claimed.turn, claimed.turn.incoming
        if turn.state is not TurnState.RUNNING:
            return "", False  # it was asked; whatever has changed since, its answer is delivered
        press = parse_action(incoming.text) if incoming.kind is EventKind.BUTTON else None
        if press is not None and await self._button_actions.find_turn(incoming, press) is None:
            raise _QuestionRefused(texts.NOT_YOUR_ANSWER)
        if refusal := await self._check_allowance(claimed):
            raise _QuestionRefused(refusal)
        if press is None and incoming.command != "retry":
            return _validate_prompt(incoming, has_files=bool(readable_attachments(incoming, claimed.adapter))), False
        last = await self._store.read(last_question, turn.conversation_id)
        if press is not None and press.action is ButtonAction.CONTINUE:
            if last is None or last.turn_id != press.turn_id:
                raise _QuestionRefused("I can go on with the last answer only. Retry asks this one again.")
            return texts.CONTINUE_PROMPT, False
        question = await self._store.read(get_question, press.turn_id) if press and press.turn_id else None
        if question is not None and (last is None or last.text != question):
            return question, False  # it is not the last any more, and that answer stays
        if last is None:
            raise _QuestionRefused("There is nothing to answer again in this conversation yet.")
        return last.text, True

    async def _check_allowance(self, claimed: ClaimedTurn) -> str | None:
        """Why nobody may ask anything more today, here or at all; a person's own key may."""
        settings, ledger = self._settings, self._services.ledger
        limits = (
            ("Your", settings.person_tokens, settings.person_messages),
            ("This chat's", settings.chat_tokens, settings.chat_messages),
        )
        if not any(bound for _, *both in limits for bound in both):
            return None
        if (await self._services.api_keys.for_person(claimed.person)).is_personal:
            return None
        subjects = usage_subjects(claimed.turn.incoming)
        used = await self._store.read(get_daily_usage, subjects, ledger.today())
        for subject, (whose, tokens, messages) in zip(subjects, limits, strict=False):
            if tokens and used[subject].tokens >= tokens:
                return texts.allowance_used_up(whose, "tokens", ledger.seconds_until_reset())
            if messages and used[subject].questions >= messages:
                return texts.allowance_used_up(whose, "questions", ledger.seconds_until_reset())
        return None

    async def _replace_retired_model(self, choices: Preferences, notes: list[str]) -> Preferences:
        """Where the chosen model is gone for good its successor is chosen instead; told once."""
        old = choices.values[MODEL]
        new = self._models.successor(old.value, self._settings)
        if new is None:
            return choices
        if old.scope is not None:
            choice = Preference(new, old.set_by)
            await self._store.write(set_preference, old.scope.key, MODEL, choice)
            notes.append(texts.model_retired(self._models.display_name(old.value), self._models.display_name(new)))
        made = {**choices.values, MODEL: EffectivePreference(new, old.scope, old.set_by)}
        return replace_fields(choices, values=made)

    async def _defer_outdated(self, claimed: ClaimedTurn, choices: Preferences, prompt: str, *, replace: bool) -> None:
        """The question is kept, so that /retry answers it."""
        await claimed.outbox.load()
        await self._store.write(
            store_answer,
            claimed.turn,
            claimed.owner,
            prompt=prompt,
            answer="",
            note=texts.QUESTION_OUTDATED,
            model=choices.model,
            replaces_last=replace,
        )
        await claimed.deliver("", note=texts.QUESTION_OUTDATED)
        await claimed.finish(TurnState.FAILED)
