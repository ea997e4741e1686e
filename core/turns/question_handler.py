"""Handles the turns that are questions: reads files and pictures, then has a model answer.

`prompt_resolver` says what a turn asks, `answer` asks the model and delivers.
"""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace

import msgspec
import structlog

from core.api.images import MessageImage
from core.buttons import ButtonAction, encode_action, short_digest
from core.clock import run_until
from core.commands.request import Reply
from core.conversation.api_keys import ApiKey
from core.conversation.preferences import Preferences, load_preferences, with_available_model, with_model
from core.conversation.quotes import render_prompt, split_prompt
from core.i18n.translation import gettext
from core.port import Attachment, Button, EventKind, Incoming
from core.services import Services
from core.store.answers import get_answer, get_question, list_companions, store_answer
from core.store.conversations import reset_history
from core.store.edited_questions import find_edited_question
from core.store.image_references import ImageReference, with_marks
from core.store.turns import Turn, TurnState, is_stopped
from core.texts import answers as texts
from core.texts import images as image_texts
from core.texts import speech as speech_texts
from core.texts.formatting import escape_markdown
from core.texts.models import compared_heading
from core.turns.answer import AnswerPipeline, deliver_stored_answer
from core.turns.attachment_reader import AttachmentReader, ReadFiles, readable_attachments
from core.turns.claimed_turn import ClaimedTurn
from core.turns.companion_reads import CompanionReads
from core.turns.memory_recall import MemoryRecall
from core.turns.model_caller import ModelCaller
from core.turns.prompt_resolver import PromptResolver, QuestionRefused, ResolvedPrompt
from core.turns.question_images import ImageError, QuestionImages, image_references
from core.turns.recordings import Recordings, TranscriptionStopped, recordings
from core.turns.turn_start import TurnStart
from core.turns.variants import find_pressed_answer, restore_answer

log = structlog.get_logger(__name__)

MAX_REUSED_AGE_SECONDS = 50 * 60
"""A new answer does not grow in messages that are older: Discord allows few edits of what is older than an hour."""


@dataclass(frozen=True, slots=True)
class _ImageInput:
    """What the model gets of the question's pictures, and what the person is told under the answer."""

    images: tuple[MessageImage, ...] = ()
    notes: tuple[str, ...] = ()
    buttons: tuple[Button, ...] = ()


class QuestionHandler:
    def __init__(self, services: Services) -> None:
        self._settings = services.settings
        self._store = services.store
        self._services = services
        self._reads = CompanionReads()
        self._prompts = PromptResolver(services, self._reads)

    async def answer(self, claimed: ClaimedTurn, start: TurnStart) -> None:
        """Answer a question and finish its turn. Raises `DeliveryError`, `LostLeaseError` and `StoreError`."""
        if claimed.turn.state is TurnState.DELIVERING:
            await deliver_stored_answer(claimed)
            return
        try:
            await self._answer(claimed, start)
        finally:
            self._reads.discard(claimed.turn)

    async def _answer(self, claimed: ClaimedTurn, start: TurnStart) -> None:
        turn, preferences = claimed.turn, start.preferences
        await claimed.outbox.load()
        api_key = await self._services.api_keys.for_sender(turn.incoming)
        prompt = await self._resolve(claimed, api_key, start)
        if prompt is None:
            return
        notes = list(prompt.notes)
        if prompt.model:
            preferences = with_model(preferences, prompt.model)
        else:
            preferences = with_available_model(preferences, self._services.models)
        if prompt.is_compared:
            claimed.heading = compared_heading(prompt.model)
        has_vision = self._services.models.has_vision(preferences.model)
        files = await self._read_files(claimed, prompt, api_key, has_vision=has_vision)
        if files is None:
            return
        notes += files.notes + files.failures
        prompt = _with_words(prompt, files)
        prompt = self._with_images(prompt, files.images, notes)
        prompt = replace(prompt, text=prompt.quotes + prompt.text)
        image_input = (
            await self._load_images(claimed, prompt, has_files=bool(files.entry_ids or files.notes))
            if has_vision
            else await self._offer_vision_model(claimed, prompt, preferences)
        )
        if image_input is None:
            return
        if prompt.first_turn is not None and not prompt.is_compared:
            # Only now: if a picture cannot be opened any more, the earlier answer stays as it is.
            await self._take_over_pressed_answer(claimed, prompt.first_turn)
        memory = None if start.context is None else start.context.memory
        recall = MemoryRecall(self._services, api_key, turn.conversation_id, files.entry_ids, memory)
        caller = ModelCaller(
            claimed,
            self._services,
            preferences,
            api_key,
            recall,
            prompt.text,
            prompt.replaces_answer,
            prompt.parent_turn,
            prompt.images,
            image_input.images,
        )
        pipeline = AnswerPipeline(
            caller, [*notes, *image_input.notes], prompt.first_turn, image_input.buttons, is_compared=prompt.is_compared
        )
        await pipeline.run()

    async def store_unanswered(self, claimed: ClaimedTurn, note: str) -> tuple[Button, ...]:
        """Store a question without an answer, unless it was refused. Returns the buttons to ask it again with."""
        incoming = claimed.turn.incoming
        images = image_references(incoming, claimed.adapter)
        prompt = render_prompt(incoming.text.strip() or with_marks("", images), incoming.quotes)
        is_question = incoming.kind is EventKind.PROMPT or incoming.command in ("ask", "new")
        if not prompt or not is_question or claimed.turn.refusal is not None:
            return ()
        if incoming.command == "new" and incoming.kind is not EventKind.EDIT:
            await self._store.write(reset_history, claimed.turn.conversation_id, claimed.turn.id)
        preferences = await self._store.read(load_preferences, incoming, self._settings)
        parent_turn = await self._prompts.find_parent(claimed)
        await self._store_question(
            claimed, preferences, ResolvedPrompt(prompt, parent_turn=parent_turn, images=images), note
        )
        return (_retry_button(claimed.turn.id),)

    async def _resolve(self, claimed: ClaimedTurn, api_key: ApiKey, start: TurnStart) -> ResolvedPrompt | None:
        """What to ask a model. Returns None if there is nothing to ask; the turn is then finished."""
        preferences = start.preferences
        is_too_old = claimed.turn.age_seconds > self._settings.too_old
        prompt = None
        try:
            if is_too_old and recordings(claimed.turn.incoming, claimed.adapter):
                # Its words are unknown until it is transcribed, so that /retry could not ask it.
                raise QuestionRefused(gettext(speech_texts.RECORDING_OUTDATED))
            prompt = await self._prompts.resolve(claimed, api_key, start.context)
        except TranscriptionStopped:
            await self._stop(claimed)
        except QuestionRefused as refusal:
            claimed.outbox.is_ephemeral = _is_refusal_ephemeral(claimed.turn.incoming)
            await _refuse(claimed, str(refusal))
        else:
            if prompt is None or (is_too_old and prompt.is_compared and await self._is_deferred_beside(claimed.turn)):
                await _merge(claimed, is_restored=await self._restore_answer(claimed, preferences))
            elif is_too_old:
                await self._defer(claimed, preferences, prompt)
        return None if is_too_old else prompt

    async def _restore_answer(self, claimed: ClaimedTurn, preferences: Preferences) -> bool:
        """Show the stored answer again where an earlier attempt has begun to show one to another text of the question.

        False if there is nothing to restore.
        """
        if claimed.turn.incoming.kind is not EventKind.EDIT or not claimed.outbox.part_count:
            return False
        asked = await self._store.read(find_edited_question, claimed.turn)
        for turn_id in () if asked is None else (asked.id, *asked.earlier_turns):
            question = await self._store.read(get_question, turn_id)
            if question is not None and await restore_answer(claimed, self._services, preferences, question):
                return True
        return False

    async def _is_deferred_beside(self, turn: Turn) -> bool:
        """Whether the turn of another model says that the question is too old: the first one, if it has no answer."""
        first_turn = min(await self._store.read(list_companions, turn))
        return turn.id != first_turn and not await self._store.read(get_answer, first_turn)

    async def _is_first_stopped(self, turn: Turn) -> bool:
        """Whether the turn of the first model says that it was stopped, instead of what concerns both."""
        return await self._store.read(is_stopped, min(await self._store.read(list_companions, turn)))

    async def _defer(self, claimed: ClaimedTurn, preferences: Preferences, prompt: ResolvedPrompt) -> None:
        """Store a question that is too old, so that `/retry` answers it, and say so."""
        note, buttons = gettext(texts.QUESTION_OUTDATED), tuple[Button, ...]()
        if claimed.turn.incoming.place.is_foreign:
            note, buttons = gettext(texts.QUESTION_OUTDATED_HERE), (_retry_button(claimed.turn.id),)
        await self._store_question(claimed, preferences, prompt, note, buttons)
        claimed.outbox.reply_to_question()
        await claimed.deliver("", note=note, buttons=buttons)
        await claimed.finish(TurnState.FAILED)

    async def _store_question(
        self,
        claimed: ClaimedTurn,
        preferences: Preferences,
        prompt: ResolvedPrompt,
        note: str,
        buttons: tuple[Button, ...] = (),
    ) -> None:
        await self._store.write(
            store_answer,
            claimed.turn,
            prompt=prompt.text,
            answer="",
            note=note,
            failure=note,
            model=preferences.model,
            replaces_last=prompt.replaces_answer and not prompt.is_compared,
            first_turn=prompt.first_turn,
            companion_of=prompt.first_turn if prompt.is_compared else None,
            parent_turn=prompt.parent_turn,
            images=prompt.images,
            buttons_json=msgspec.json.encode(buttons).decode() if buttons else None,
            final_state=TurnState.FAILED,
        )

    async def _take_over_pressed_answer(self, claimed: ClaimedTurn, first_turn: int) -> None:
        """Answer in the messages of the answer whose Retry was pressed, if one was."""
        shown_in = await find_pressed_answer(claimed.store, claimed.turn.incoming, first_turn)
        if shown_in is None or not shown_in.state.is_final or shown_in.age_seconds > MAX_REUSED_AGE_SECONDS:
            return
        await claimed.outbox.take_over(shown_in.id)
        await claimed.outbox.drop_after(0)  # the new answer must not grow above the rest of the old one

    # Files

    async def _read_files(
        self, claimed: ClaimedTurn, prompt: ResolvedPrompt, api_key: ApiKey, *, has_vision: bool
    ) -> ReadFiles | None:
        """Read the message's files. Returns None if that leaves nothing to ask; the turn is then finished."""
        attachments = () if prompt.replaces_answer else _files_of(claimed)
        if not attachments:
            return ReadFiles()
        # Already for the progress: its message cannot become a reply later.
        claimed.outbox.reply_to_question()
        images = QuestionImages(claimed, self._services)
        reader = AttachmentReader(
            claimed,
            self._services.memory,
            api_key,
            images,
            Recordings(claimed, self._services, api_key, self._reads),
            self._reads,
            prepares_images=has_vision or prompt.is_compared,
        )
        files = await reader.read(attachments)
        if claimed.stop_requested.is_set():
            await self._stop(claimed)
            return None
        is_any_read = files.has_question or files.entry_ids or files.notes or prompt.images or _has_recordings(claimed)
        is_about_files = any(not file.is_quoted for file in attachments)
        if (prompt.text or files.has_question) and (is_any_read or not is_about_files):
            return files
        if prompt.is_second and not await self._is_first_stopped(claimed.turn):
            await _merge(claimed)
        else:
            await claimed.reply_and_finish(Reply(escape_markdown("\n".join(files.reports + files.failures))))
        return None

    async def _stop(self, claimed: ClaimedTurn) -> None:
        await claimed.deliver("", note=gettext(texts.STOPPED))
        await claimed.finish(TurnState.STOPPED)

    # Pictures

    def _with_images(self, prompt: ResolvedPrompt, files: Sequence[ImageReference], notes: list[str]) -> ResolvedPrompt:
        """The prompt with the files that turned out to be pictures, and as many pictures as one question may have."""
        images, max_images = (*prompt.images, *files), self._settings.max_images
        if len(images) > max_images > 0:
            notes.append(image_texts.image_limit_reached(max_images))
        images = images[:max_images]
        return replace(prompt, text=prompt.text or with_marks("", images or files), images=images)

    async def _load_images(
        self, claimed: ClaimedTurn, prompt: ResolvedPrompt, *, has_files: bool
    ) -> _ImageInput | None:
        """The pictures for the model, and notes about those that cannot be opened.

        Returns None if none can be opened and the question is about nothing else, or if the person stopped: the turn is
        finished. `has_files`: the question is about files, too.
        """
        images = QuestionImages(claimed, self._services)
        failures: list[str] = []

        async def load_all() -> tuple[MessageImage, ...]:
            loaded = []
            for reference in prompt.images:
                try:
                    loaded.append(await images.load(reference))
                except ImageError as error:
                    failures.append(str(error))
            return tuple(loaded)

        if not prompt.images:
            return _ImageInput()
        # A question that is asked again may be answered in the messages of its earlier answer: nothing is shown yet.
        async with nullcontext() if prompt.replaces_answer else claimed.previewing() as preview:
            if preview is not None:
                preview.update("", gettext(image_texts.OPENING))
            loaded = await run_until(claimed.stop_requested, load_all())
        notes = tuple(dict.fromkeys(failures))
        if loaded is None:
            await self._stop(claimed)
        elif loaded or has_files or _has_recordings(claimed) or (prompt.has_only_quoted_images and prompt.has_text):
            return _ImageInput(loaded, notes)
        else:
            await _refuse(claimed, escape_markdown("\n".join(notes)))
        return None

    async def _offer_vision_model(
        self, claimed: ClaimedTurn, prompt: ResolvedPrompt, preferences: Preferences
    ) -> _ImageInput | None:
        """Say that the model cannot see the pictures, and offer one that can. None if this finished the turn."""
        if not prompt.images:
            return _ImageInput()
        models = self._services.models
        vision_model = models.vision_model(preferences.model)
        if vision_model is None:
            if prompt.has_text:
                return _ImageInput(notes=() if prompt.has_only_quoted_images else (gettext(image_texts.NO_VISION),))
            kinds = sorted({image.kind for image in prompt.images})
            await _refuse(claimed, texts.unreadable_attachments(kinds))
            return None
        names = models.display_name(preferences.model), models.display_name(vision_model)
        action = encode_action(ButtonAction.RETRY_WITH, f"{claimed.turn.id}:{short_digest(vision_model)}")
        buttons = (Button(image_texts.ask_model_button(names[1]), action),)
        if prompt.has_only_quoted_images and prompt.has_text:
            return _ImageInput(notes=(image_texts.quoted_image_not_seen(*names),), buttons=buttons)
        note = image_texts.vision_offered(*names)
        await self._store_question(claimed, preferences, prompt, note, buttons)
        claimed.outbox.reply_to_question()
        await claimed.deliver("", note=note, buttons=buttons)
        await claimed.finish(TurnState.FAILED)
        return None


def _is_refusal_ephemeral(incoming: Incoming) -> bool:
    """Whether only the person is told that the question is refused. Everybody has seen the text of a form."""
    is_shown = incoming.place.is_private or bool(incoming.form_text)
    return incoming.kind in (EventKind.PROMPT, EventKind.BUTTON) and not is_shown


def _retry_button(turn_id: int) -> Button:
    return Button(gettext(texts.RETRY_BUTTON), encode_action(ButtonAction.RETRY, turn_id))


def _with_words(prompt: ResolvedPrompt, files: ReadFiles) -> ResolvedPrompt:
    """The prompt with what is said in files that turned out to be recordings."""
    quotes, question = split_prompt(prompt.text)
    words = "\n\n".join(filter(None, (*files.words, question)))
    return replace(prompt, text=quotes + render_prompt(words, files.quotes))


def _has_recordings(claimed: ClaimedTurn) -> bool:
    """Whether the question contains what somebody said."""
    return bool(recordings(claimed.turn.incoming, claimed.adapter))


def _files_of(claimed: ClaimedTurn) -> tuple[Attachment, ...]:
    return readable_attachments(claimed.turn.incoming, claimed.adapter)


async def _merge(claimed: ClaimedTurn, *, is_restored: bool = False) -> None:
    """Finish a turn about which another one tells the person, or an edit that changes nothing.

    `is_restored`: its messages show an earlier answer.
    """
    if not is_restored:
        await claimed.outbox.drop_after(-1)  # progress and previews of earlier attempts
    await claimed.finish(TurnState.MERGED)


async def _refuse(claimed: ClaimedTurn, text: str) -> None:
    """Say why the question is not answered, in reply to it."""
    claimed.outbox.reply_to_question()
    await claimed.reply_and_finish(Reply(text))
