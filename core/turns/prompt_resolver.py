"""Resolves what a turn asks: the text of its message, or an earlier question for /retry, buttons and edits."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import structlog

from core.buttons import ButtonAction, ButtonPress, parse_action, short_digest
from core.conversation.api_keys import ApiKey
from core.conversation.quotes import MAX_KNOWN_CHARS, render_prompt, shorten, split_prompt
from core.conversation.transcript import CONTINUE_PROMPT
from core.errors import DeliveryError
from core.i18n.translation import gettext
from core.port import EventKind, Incoming, Quote, QuoteKind, SupportsThreads, SupportsTranscripts
from core.scopes import person_key
from core.services import Services
from core.store.answers import (
    Question,
    find_answer,
    find_parent,
    find_parent_again,
    get_answer,
    get_question,
    has_answers,
    last_question,
    list_companions,
)
from core.store.conversations import reset_history
from core.store.edited_questions import find_edited_question
from core.store.image_references import ImageReference, with_marks
from core.store.incoming_codec import compared_model, text_length
from core.store.turns import Turn, get_turn, is_stopped
from core.texts import answers as texts
from core.texts.commands import example_question
from core.texts.formatting import escape_markdown
from core.texts.models import MODEL_RETIRED
from core.turns.attachment_reader import readable_attachments
from core.turns.button_actions import find_permitted_turn, refusal_text
from core.turns.claimed_turn import ClaimedTurn
from core.turns.companion_reads import CompanionReads
from core.turns.inbox import sanitise_quote
from core.turns.question_images import image_references
from core.turns.recordings import RecordingError, transcribe_recordings
from core.turns.turn_start import QuestionContext

log = structlog.get_logger(__name__)

MAX_PROMPT_CHARS = 400_000
MAX_RETRIES_FOLLOWED = 20


class QuestionRefused(Exception):  # noqa: N818 (a reply, not an error)
    """The question is not answered; the text says why."""


@dataclass(frozen=True, slots=True)
class ResolvedPrompt:
    text: str
    replaces_answer: bool = False
    """The last question of the conversation is asked again; the new answer takes the place of the old one."""
    first_turn: int | None = None
    """The turn that first asked the question, if it is asked again: its answers are variants."""
    parent_turn: int | None = None
    """The exchange from which the question continues, by the turn that first asked it; None: the one before it."""
    model: str = ""
    """The model that answers this time; empty: the chat's."""
    is_compared: bool = False
    """Another model answers it at the same time. The answers do not replace earlier ones before a person decides."""
    notes: tuple[str, ...] = ()
    """For the person, under the answer."""
    images: tuple[ImageReference, ...] = ()
    has_only_quoted_images: bool = False
    """The pictures are those of the message that the person replies to."""
    quotes: str = ""
    """What precedes the question, while `text` is empty because only the files of the message may contain one."""
    is_second: bool = False
    """Of two compared models, this is the second one: the first one's turn says what concerns both."""

    @property
    def has_text(self) -> bool:
        """Whether there is more than the marks of the pictures."""
        return self.text != with_marks("", self.images)


class PromptResolver:
    def __init__(self, services: Services, reads: CompanionReads) -> None:
        self._reads = reads
        self._settings = services.settings
        self._store = services.store
        self._services = services

    async def resolve(
        self, claimed: ClaimedTurn, api_key: ApiKey, context: QuestionContext | None
    ) -> ResolvedPrompt | None:
        """What to ask: the message, or an earlier question for `/retry` and buttons. Raises `QuestionRefused`.

        `context`: see `TurnStart`.
        Returns None if an edited question is unchanged or no longer part of the conversation.
        """
        incoming = claimed.turn.incoming
        if incoming.place.is_foreign and incoming.command not in ("", "ask", "new"):
            raise QuestionRefused(gettext(texts.COMMAND_IN_FOREIGN_CHAT))
        press = parse_action(incoming.text) if incoming.kind is EventKind.BUTTON else None
        if press is not None and press.action is ButtonAction.ASK_EXAMPLE:
            await self._check_allowances(api_key)
            return _example_prompt(press)
        if press is not None and not await self._is_permitted(claimed, press):
            raise QuestionRefused(await refusal_text(self._services, press))
        if compared_model(incoming):
            return await self._resolve_comparison(claimed, api_key)
        await self._check_allowances(api_key)
        if press is not None and press.action is ButtonAction.EDIT_QUESTION:
            return await self._edited_question(claimed.turn, press)
        if press is not None or incoming.command == "retry":
            return await self._earlier_question(claimed.turn.conversation_id, press)
        if incoming.kind is EventKind.EDIT:
            return await self._resolve_edit(claimed)
        if incoming.command == "new":
            await self._store.write(reset_history, claimed.turn.conversation_id, claimed.turn.id)
        return await self._resolve_message(claimed, api_key, context)

    async def _resolve_message(
        self, claimed: ClaimedTurn, api_key: ApiKey, context: QuestionContext | None = None
    ) -> ResolvedPrompt:
        """The question with what came with it: quotes, pictures and recordings."""
        incoming = claimed.turn.incoming
        images = image_references(incoming, claimed.adapter)
        is_quoted = any(file.is_quoted for file in incoming.attachments)
        transcribed, notes = await self._transcribe(claimed, api_key)
        if transcribed.text != incoming.text and isinstance(claimed.adapter, SupportsTranscripts):
            claimed.adapter.question_transcribed(transcribed)
        answered_turn = await self._answered_turn(claimed)
        text, quotes = await self._compose_prompt(claimed, transcribed, images, answered_turn=answered_turn)
        return ResolvedPrompt(
            text,
            quotes=quotes,
            parent_turn=context.parent_turn if context else await self._find_parent(claimed, answered_turn),
            images=images,
            has_only_quoted_images=is_quoted,
            notes=(*notes, *_unread_note(incoming)),
        )

    async def find_parent(self, claimed: ClaimedTurn) -> int | None:
        """The exchange from which the question of a message continues, as its first turn; None for the newest."""
        return await self._find_parent(claimed, await self._answered_turn(claimed))

    async def _find_parent(self, claimed: ClaimedTurn, answered_turn: int | None) -> int | None:
        turn = claimed.turn
        return await self._store.read(
            find_parent, turn.conversation_id, person_key(turn.incoming.sender), answered_turn
        )

    async def _resolve_comparison(self, claimed: ClaimedTurn, api_key: ApiKey) -> ResolvedPrompt | None:
        """The question for one of two models; None if the other one's turn says why it is refused."""
        turn = claimed.turn
        first_turn = min(await self._store.read(list_companions, turn))
        model = compared_model(turn.incoming)
        try:
            await self._check_allowances(api_key)
            prompt = await self._resolve_compared(claimed, api_key)
        except QuestionRefused:
            # If the other model answers or is stopped, nobody has said yet why this one does not answer.
            if turn.id == first_turn or await self._store.read(get_question, first_turn) is not None:
                raise
            if await self._store.read(is_stopped, first_turn):
                raise
            return None
        return replace(
            prompt,
            first_turn=prompt.first_turn or first_turn,
            model=model,
            is_compared=True,
            is_second=turn.id != first_turn,
        )

    async def _resolve_compared(self, claimed: ClaimedTurn, api_key: ApiKey) -> ResolvedPrompt:
        """What the person wrote, sent or replies to; without any of it, the last question."""
        turn = claimed.turn
        answered_turn = await self._answered_turn(claimed)
        is_about_message = bool(turn.incoming.quotes) and answered_turn is None
        if turn.incoming.text or turn.incoming.attachments or is_about_message:
            return await self._resolve_message(claimed, api_key)
        answered = None if answered_turn is None else await self._store.read(get_question, answered_turn)
        return await self._ask_again(turn.conversation_id, answered)

    async def _answered_turn(self, claimed: ClaimedTurn) -> int | None:
        """The exchange whose answer the person replies to, if it is in the history."""
        quotes = claimed.turn.incoming.quotes
        replied = next((quote for quote in quotes if quote.kind is QuoteKind.REPLY and quote.is_own), None)
        if replied is None or replied.message_id is None:
            return None
        return await self._store.read(find_answer, claimed.turn.conversation_id, replied.message_id)

    async def _resolve_edit(self, claimed: ClaimedTurn) -> ResolvedPrompt | None:
        """The edited question; its new answer takes the place of the old one, also in the chat."""
        asked = await self._store.read(find_edited_question, claimed.turn)
        if asked is None or asked.is_followed:
            return None
        last = await self._store.read(last_question, claimed.turn.conversation_id)
        stored = await self._store.read(get_question, asked.id)
        same_turns = (asked.id, *asked.repeating_turns, *asked.earlier_turns)
        if last is not None and last.turn_id not in same_turns:
            last = None
        if stored is not None and last is None:
            return None  # /new came between
        answered_turn = asked.id if last is None else last.turn_id
        replied_turn = await self._answered_turn(claimed)
        known = stored or last
        images = known.images if known is not None else ()
        if stored is not None and asked.incoming.pieces:
            # The quotes came with other messages of the question, and the transcripts are no part of the new text.
            prompt = _replace_end(stored.text, text_length(asked.incoming.pieces), claimed.turn.incoming.text)
        else:
            prompt, _ = await self._compose_prompt(
                claimed,
                claimed.turn.incoming,
                images,
                answered_turn=replied_turn,
                edited_turn=answered_turn,
            )
        if stored is not None and answered_turn in asked.earlier_turns:
            await claimed.outbox.take_over(asked.id)  # it has failed, and says so in the messages of the answer
        answer = "" if last is None else await self._store.read(get_answer, last.turn_id)
        is_same = last is not None and prompt == last.text
        if is_same and (answer or not claimed.outbox.part_count):
            return None  # taken back, or never changed: Telegram reports an edit when it has found a link's preview
        if not claimed.outbox.part_count:
            await claimed.outbox.take_over(answered_turn)
        if last is not None:
            parent_turn = last.parent_turn
        else:
            parent_turn = await self._find_parent(claimed, replied_turn)
        return ResolvedPrompt(prompt, replaces_answer=last is not None, parent_turn=parent_turn, images=images)

    async def _compose_prompt(
        self,
        claimed: ClaimedTurn,
        incoming: Incoming,
        images: Sequence[ImageReference],
        *,
        answered_turn: int | None,
        edited_turn: int | None = None,
    ) -> tuple[str, str]:
        """The text of `incoming`, which is the turn's event with transcripts, after its quotes.

        If it has files and no text: an empty string, and the quotes for what the files may contain.

        `answered_turn`: the exchange that the person replies to; the model gets it with the conversation.
        """
        quotes = [_shorten_known(quote) if answered_turn is not None else quote for quote in incoming.quotes]
        if (thread_start := await self._thread_start(claimed, edited_turn)) is not None:
            quotes.insert(0, thread_start)
        visible_images = images if self._settings.max_images else ()
        has_files = bool(readable_attachments(claimed.turn.incoming, claimed.adapter))
        if not incoming.text.strip():
            quotes = [quote for quote in quotes if not quote.is_placeholder]
        prompt = _validate_prompt(incoming, quotes, visible_images, has_files=has_files)
        block = "" if prompt else render_prompt("", quotes)
        return prompt, f"{block}\n\n" if block else ""

    async def _transcribe(self, claimed: ClaimedTurn, api_key: ApiKey) -> tuple[Incoming, tuple[str, ...]]:
        try:
            return await transcribe_recordings(claimed, self._services, api_key, self._reads)
        except RecordingError as error:
            raise QuestionRefused(escape_markdown(str(error))) from error

    async def _thread_start(self, claimed: ClaimedTurn, edited_turn: int | None) -> Quote | None:
        """How the thread began, for the first question of a conversation in it; later ones need no repetition."""
        turn, adapter = claimed.turn, claimed.adapter
        place = turn.incoming.place
        if place.thread is None or not isinstance(adapter, SupportsThreads):
            return None
        if await self._store.read(partial(has_answers, except_turn=edited_turn), turn.conversation_id):
            return None
        try:
            quote = await adapter.thread_start(place, turn.incoming.message_id)
        except DeliveryError as error:
            log.info("turn.thread_start_missing", turn=turn.id, failure=error.failure)
            return None
        return None if quote is None else sanitise_quote(quote)

    async def _is_permitted(self, claimed: ClaimedTurn, press: ButtonPress) -> bool:
        incoming = claimed.turn.incoming
        return await find_permitted_turn(self._services, claimed.adapter, incoming, press) is not None

    async def _earlier_question(self, conversation_id: int, press: ButtonPress | None) -> ResolvedPrompt:
        if press is not None and press.action is ButtonAction.CONTINUE:
            last = await self._store.read(last_question, conversation_id)
            if last is None or last.turn_id != press.turn_id:
                raise QuestionRefused(gettext(texts.ONLY_LAST_CONTINUES))
            return ResolvedPrompt(CONTINUE_PROMPT)
        model = self._find_retry_model(press) if press is not None else ""
        question = None
        if press is not None and press.turn_id is not None:
            question = await self._store.read(get_question, press.turn_id)
        return replace(await self._ask_again(conversation_id, question), model=model)

    async def _ask_again(self, conversation_id: int, question: Question | None) -> ResolvedPrompt:
        """An earlier question; None: the last one. Raises `QuestionRefused`."""
        last = await self._store.read(last_question, conversation_id)
        if question is not None and not await self._is_same_question(question, last):
            # Not the last one: its answer stays.
            parent_turn = await self._store.read(find_parent_again, conversation_id, question)
            return ResolvedPrompt(question.text, parent_turn=parent_turn, images=question.images)
        if last is None:
            raise QuestionRefused(gettext(texts.NO_QUESTION_YET))
        return ResolvedPrompt(
            last.text,
            replaces_answer=True,
            first_turn=last.first_turn,
            parent_turn=last.parent_turn,
            images=last.images,
        )

    async def _edited_question(self, turn: Turn, press: ButtonPress) -> ResolvedPrompt:
        """The question with the text that the person entered in a form. Quotes and pictures stay."""
        text = turn.incoming.form_text.strip()
        earlier = await self._earlier_question(turn.conversation_id, press)
        if not text:
            raise QuestionRefused(gettext(texts.QUESTION_NOT_EDITABLE))
        prompt = split_prompt(earlier.text)[0] + text
        if len(prompt) > MAX_PROMPT_CHARS:
            raise QuestionRefused(texts.prompt_too_long(MAX_PROMPT_CHARS))
        return replace(earlier, text=prompt)

    def _find_retry_model(self, press: ButtonPress) -> str:
        """The model that a person chose for this answer; empty if they chose none. Raises `QuestionRefused`."""
        if press.action is not ButtonAction.RETRY_WITH:
            return ""
        models = self._services.models.chat_models()
        model = next((model for model in models if short_digest(model.id) == press.model_digest), None)
        if model is None:
            raise QuestionRefused(gettext(MODEL_RETIRED))
        return model.id

    async def _is_same_question(self, question: Question, last: Question | None) -> bool:
        """Whether `last` is `question`, or asked it again."""
        if last is None or last.text != question.text:
            return False
        is_variant = question.is_excluded or question.first_turn == last.first_turn
        return is_variant or await self._origin(last.turn_id) == await self._origin(question.turn_id)

    async def _origin(self, turn_id: int) -> int:
        """The turn that first asked what this turn asked by a Retry button."""
        for _ in range(MAX_RETRIES_FOLLOWED):
            turn = await self._store.read(get_turn, turn_id)
            is_press = turn is not None and turn.incoming.kind is EventKind.BUTTON
            press = parse_action(turn.incoming.text) if turn is not None and is_press else None
            if press is None or not press.is_retry or press.turn_id is None:
                break
            turn_id = press.turn_id
        return turn_id

    async def _check_allowances(self, api_key: ApiKey) -> None:
        """Raise `QuestionRefused` if the person, or the chat, has used up its allowance of this day."""
        ledger = self._services.ledger
        for allowance in await ledger.get_allowances(api_key.subjects):
            if allowance.used >= allowance.limit:
                limit = texts.allowance_limit(allowance)
                seconds = ledger.seconds_until_reset()
                raise QuestionRefused(texts.allowance_used_up(limit, seconds, is_chat=allowance.is_chat))


def _unread_note(incoming: Incoming) -> Iterator[str]:
    """About what the person sent with the text and no model gets to see, such as a video."""
    unread = [f for f in incoming.attachments if not (f.file_id and (f.is_image or f.is_audio or f.is_document))]
    # A quoted document without an ID could be read elsewhere.
    kinds = {file.kind for file in unread if file.is_document or not (file.is_quoted or file.is_forwarded)}
    if kinds:
        yield texts.attachments_not_read(sorted(kinds))


def _replace_end(text: str, length: int, new_end: str) -> str:
    """The text with `new_end` in place of its last `length` characters, or as a new paragraph if there are none."""
    return text[:-length] + new_end if length > 0 else f"{text}\n\n{new_end}"


def _shorten_known(quote: Quote) -> Quote:
    """A quoted answer that the model gets with the conversation is only named by its beginning."""
    is_answer = quote.kind is QuoteKind.REPLY and quote.is_own and not quote.is_excerpt
    return replace(quote, text=shorten(quote.text, MAX_KNOWN_CHARS)) if is_answer else quote


def _validate_prompt(
    incoming: Incoming, quotes: Sequence[Quote], images: Sequence[ImageReference], *, has_files: bool
) -> str:
    """The message's text with its quotes; it may be empty if there are files to read. Raises `QuestionRefused`."""
    question = incoming.text.strip() or with_marks("", images)
    if not question and has_files:
        return ""
    prompt = render_prompt(question, quotes)
    if not prompt and incoming.attachments:
        kinds = sorted({attachment.kind for attachment in incoming.attachments})
        raise QuestionRefused(texts.unreadable_attachments(kinds))
    if not prompt:
        raise QuestionRefused(gettext(texts.EMPTY_MESSAGE))
    if len(prompt) > MAX_PROMPT_CHARS:
        raise QuestionRefused(texts.prompt_too_long(MAX_PROMPT_CHARS))
    return prompt


def _example_prompt(press: ButtonPress) -> ResolvedPrompt:
    question = example_question(press.argument)
    if question is None:
        raise QuestionRefused(gettext(texts.OUTDATED_BUTTON))
    return ResolvedPrompt(question)
