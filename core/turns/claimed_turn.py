"""A turn that this process has claimed: whether it may go on, and how it answers the person."""

import asyncio
import traceback
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from dataclasses import InitVar, dataclass, field, replace
from functools import partial

import structlog

from core.buttons import ButtonAction, encode_action
from core.commands.declarations import find_command, is_ephemeral
from core.commands.request import Reply
from core.conversation.quotes import shorten
from core.delivery.capped_splitter import CappedSplitter, FirstParts, OneMessageDialect, scale_max_parts
from core.delivery.collapsed import render_collapsed
from core.delivery.model_dialect import answer_dialect, model_dialect
from core.delivery.outbox import Outbox
from core.delivery.preview import Preview
from core.delivery.preview_load import PreviewLoad
from core.delivery.rate_limiter import Priority, RateLimiter
from core.errors import DeliveryError, DeliveryFailure, MessageLimitError, RichRejectedError
from core.i18n.translation import gettext
from core.markdown.document import Document, Emphasis, Inline, Paragraph, Text
from core.markdown.parser import normalise_text, parse_blocks
from core.metrics import NO_PLATFORM_METRICS, AnswerTimes, PlatformMetrics
from core.port import (
    Adapter,
    Button,
    Card,
    Dialect,
    EventKind,
    File,
    MenuItem,
    Part,
    RichMode,
    SupportsUploads,
)
from core.scopes import person_key
from core.store.answer_parts import finish_delivery
from core.store.database import Store
from core.store.incoming_codec import compared_model
from core.store.lease_keeper import Lease
from core.store.retrying_store import RetryingStore
from core.store.turns import LostLeaseError, Turn, TurnState
from core.texts import answers as texts
from core.texts.transfer import NO_UPLOADS
from core.timings import Timings
from core.tracing import NO_TRACER, Tracer

log = structlog.get_logger(__name__)

ANSWER_FILE_NAME = "answer.md"
MAX_SINGLE_MESSAGE_NOTE_CHARS = 400
"""The longest note under an answer that has one message. Longer ones are cut."""
FILE_REFUSALS = (DeliveryFailure.FORBIDDEN, DeliveryFailure.REJECTED)


class _FileRefusedError(Exception):
    """The place accepts no files, or not this one."""


def _check_lease(lease: Lease, turn_id: int) -> None:
    if not lease.is_trusted:
        raise LostLeaseError(f"The lease of turn {turn_id} expired")


@dataclass(slots=True)
class ClaimedTurn:
    turn: Turn
    lease: Lease
    base_store: InitVar[Store]
    adapter: Adapter
    rate_limiter: RateLimiter
    timings: Timings = Timings()
    answer_messages: int | None = None
    """How many messages of text an answer may take before it is sent as a file; None: as many as it takes."""
    preview_load: PreviewLoad = field(default_factory=PreviewLoad)
    """Shared by the previews of the process."""
    rich_mode: RichMode | None = None
    """The chat's preference; None: the operator's setting applies."""
    stop_requested: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the person wants the answer to end."""
    heading: str = ""
    """Markdown above the answer, or above what stands there instead; not a part of what is stored."""
    metrics: InitVar[PlatformMetrics] = NO_PLATFORM_METRICS
    tracer: Tracer = NO_TRACER
    times: AnswerTimes = field(init=False)
    store: RetryingStore = field(init=False)
    outbox: Outbox = field(init=False)
    _splitter: CappedSplitter | None = field(init=False, default=None)
    """The splitter of the previews, if there were any."""
    _answer_dialect: Dialect | None = field(init=False, default=None)

    def __post_init__(self, base_store: Store, metrics: PlatformMetrics) -> None:
        clock = self.timings.clock
        self.times = AnswerTimes(metrics, clock, received_at=clock.monotonic() - self.turn.age_seconds)
        # Not the method: with a reference back to it, a finished turn would stay in memory until a garbage collection.
        check_lease = partial(_check_lease, self.lease, self.turn.id)
        self.store = RetryingStore(base_store, check_lease, timings=self.timings)
        self.outbox = Outbox(self.store, self.adapter, self.rate_limiter, self.turn, timings=self.timings)
        incoming = self.turn.incoming
        self.outbox.is_ephemeral = incoming.kind is EventKind.COMMAND and is_ephemeral(
            find_command(incoming.command), has_question=bool(incoming.text or incoming.attachments)
        )

    @property
    def person_key(self) -> str:
        return person_key(self.turn.incoming.sender)

    @property
    def answers_in_one_message(self) -> bool:
        """See `Capabilities.answers_in_one_message`."""
        return self.adapter.capabilities(self.outbox.place).answers_in_one_message

    def check_lease(self) -> None:
        """Raise `LostLeaseError` if another process may have the turn by now."""
        _check_lease(self.lease, self.turn.id)

    def previewing(self) -> AbstractAsyncContextManager[Preview]:
        """A preview of the answer, shown until the block ends."""
        self._splitter = self._create_splitter(self._find_answer_dialect())
        return Preview(
            self.outbox,
            on_gone=self.stop_requested.set,
            load=self.preview_load,
            splitter=self._splitter,
            on_rich_rejected=self._use_plain_dialect,
            allows_drafts=not compared_model(self.turn.incoming),  # a chat shows one draft at a time
            heading="" if compared_model(self.turn.incoming) else self.heading,
            times=self.times,
        ).running()

    def _find_answer_dialect(self) -> Dialect:
        """The dialect for a model's text."""
        if self._answer_dialect is None:
            dialect = answer_dialect(self.adapter, self.rich_mode)
            self._answer_dialect = self._with_room_for_note(dialect)
        return self._answer_dialect

    def _with_room_for_note(self, dialect: Dialect) -> Dialect:
        return OneMessageDialect(dialect) if self.answers_in_one_message else dialect

    def _use_plain_dialect(self) -> CappedSplitter:
        """Continue without rich messages, because the platform rejected one of this answer."""
        self._answer_dialect = self._with_room_for_note(model_dialect(self.adapter))
        self._splitter = self._create_splitter(self._answer_dialect)
        return self._splitter

    def _create_splitter(self, dialect: Dialect) -> CappedSplitter:
        if self.answers_in_one_message:
            return CappedSplitter(dialect, 1)
        max_messages = self.answer_messages if isinstance(self.adapter, SupportsUploads) else None
        return CappedSplitter(dialect, scale_max_parts(max_messages, self.adapter.dialect, dialect))

    def expecting_final(self) -> AbstractContextManager[None]:
        """Keep room in the platform's limits for the final message, until the block ends."""
        return self.rate_limiter.expecting_final(self.outbox.place.chat)

    def platform_wait(self) -> float:
        """Seconds for which the platform's limits will keep the answer waiting, roughly."""
        place = self.outbox.place
        return self.rate_limiter.estimate_wait(place.chat, self.adapter.capabilities(place))

    async def deliver(
        self,
        text: str,
        *,
        note: str = "",
        buttons: tuple[Button, ...] = (),
        menu: tuple[MenuItem, ...] = (),
        card: Card | None = None,
        is_stored: bool = False,
        is_answer: bool = False,
    ) -> None:
        """Send the whole `text` with `heading` above it and `note` under it.

        It takes as many messages as necessary. If `is_answer`, the text is a model's: `answer_messages` of its
        messages are sent, and all of it as a file: with the first message if that can have one, else below the others.
        `is_stored`: `text` is the turn's stored answer, so that it can be sent again. Raises `DeliveryError`.
        """
        accepts_file, text = is_answer, self.heading + text
        allowed_messages: int | None = None
        while True:
            dialect = self._find_answer_dialect() if is_answer else self.adapter.dialect
            max_messages = self._max_messages(text, dialect) if accepts_file or self.answers_in_one_message else None
            has_file = max_messages is not None and not self.answers_in_one_message
            if allowed_messages is not None:
                max_messages = min(max_messages or allowed_messages, allowed_messages - 1)  # the last one says so
            try:
                parts = await self._build_parts(
                    text,
                    note,
                    buttons,
                    menu,
                    max_messages,
                    dialect,
                    has_file=has_file,
                    allowed_messages=allowed_messages,
                )
                if card is not None and len(parts) == 1:
                    parts = [replace(parts[0], card=self._render_card(card))]
                await self._send_parts(parts, is_stored=is_stored)
                return
            except _FileRefusedError:
                accepts_file = False
            except RichRejectedError:
                self._use_plain_dialect()
            except MessageLimitError:
                if self.outbox.message_count < 2 or self.outbox.message_count == allowed_messages:
                    raise
                allowed_messages = self.outbox.message_count

    def _max_messages(self, text: str, dialect: Dialect) -> int | None:
        """How many messages of `text` to send before it is cut, or sent as a file; None: all."""
        if self.answers_in_one_message:
            return 1
        max_messages = scale_max_parts(self.answer_messages, self.adapter.dialect, dialect)
        if max_messages is None or not isinstance(self.adapter, SupportsUploads):
            return None
        is_too_large = len(_answer_file(text).content) > self.adapter.upload_limits.max_bytes
        # An earlier attempt, whose file was refused, began to send the other messages. With the file in the first
        # message, a line and a note may follow the text.
        first_other = max_messages + 2 if self._shows_file_first else max_messages
        return None if is_too_large or self.outbox.has_final_text(first_other) else max_messages

    @property
    def _shows_file_first(self) -> bool:
        """Whether the file comes with the first message of a long answer. A line below the others then says so."""
        return self.adapter.capabilities(self.outbox.place).edits_attach_files

    async def _build_parts(
        self,
        text: str,
        note: str,
        buttons: tuple[Button, ...],
        menu: tuple[MenuItem, ...],
        max_messages: int | None,
        dialect: Dialect,
        *,
        has_file: bool,
        allowed_messages: int | None,
    ) -> list[Part]:
        first = await self._split(text, max_messages, dialect) if text.strip() else FirstParts((), is_complete=True)
        parts = list(first.parts)
        if not first.is_complete and self.answers_in_one_message:
            note = "\n".join(filter(None, (gettext(texts.ANSWER_CUT), note)))
        elif not first.is_complete and not has_file:
            parts.append(self._render_line(Emphasis((Text(gettext(texts.NO_MORE_MESSAGES)),))))
        elif not first.is_complete and self._shows_file_first:
            parts[0] = replace(parts[0], file=_answer_file(text))
            parts.append(self._render_line(Emphasis((Text(gettext(texts.LONG_ANSWER_ABOVE)),))))
        elif not first.is_complete:
            caption = self._render_line(Emphasis((Text(gettext(texts.LONG_ANSWER)),)))
            parts.append(replace(caption, file=_answer_file(text)))
        if note:
            self._append_note(parts, note, dialect, is_last_message=len(parts) == allowed_messages)
        parts[-1] = replace(parts[-1], buttons=buttons, menu=menu)
        return parts

    async def _split(self, text: str, max_messages: int | None, dialect: Dialect) -> FirstParts:
        capped_splitter = self._splitter
        # Whatever it has split before, the parts depend on the text alone.
        if (
            capped_splitter is None
            or capped_splitter.dialect is not dialect
            or capped_splitter.max_parts != max_messages
            or capped_splitter.splitter.is_cancelled
        ):
            capped_splitter = CappedSplitter(dialect, max_messages)
        first, splitter = await capped_splitter.update_async(text), capped_splitter.splitter
        if splitter.has_plain_part:
            # The error's message and its variables may contain the text.
            frames = traceback.extract_tb(splitter.failure.__traceback__) if splitter.failure else []
            log.warning(
                "delivery.plain_text",
                turn=self.turn.id,
                error=type(splitter.failure).__name__ if splitter.failure else None,
                place=f"{frames[-1].filename}:{frames[-1].lineno}" if frames else None,
            )
        return first

    def _append_note(self, parts: list[Part], note: str, dialect: Dialect, *, is_last_message: bool) -> None:
        """Append the note to the last part if it fits, or as a part of its own.

        `is_last_message`: no other may follow the last part, so that the note is cut.
        """
        if parts:
            last, limit = parts[-1], dialect.limit
            if isinstance(dialect, OneMessageDialect):
                limit, note = dialect.dialect.limit, shorten(note, MAX_SINGLE_MESSAGE_NOTE_CHARS)
            if last.file and isinstance(self.adapter, SupportsUploads):
                limit = self.adapter.upload_limits.max_caption_size
            kept_chars = len(note)
            while kept_chars > 0:
                kept_note = self._render_line(Text(shorten(note, kept_chars)))
                combined = replace(last, text=f"{last.text}\n\n{kept_note.text}")
                excess = dialect.size(combined) - limit
                if excess <= 0:
                    parts[-1] = combined
                    return
                if not is_last_message:
                    break
                kept_chars -= excess
            if is_last_message or self.answers_in_one_message:
                return
        parts.append(self._render_line(Emphasis((Text(note),))))

    def _render_card(self, card: Card) -> Card:
        sections = tuple(replace(section, text=self._render_text(section.text)) for section in card.sections)
        return replace(card, sections=sections)

    def _render_text(self, text: str) -> str:
        """Render the bot's own text, which is short."""
        blocks = tuple(placed.block for placed in parse_blocks(normalise_text(text)))
        return self.adapter.dialect.render(Document(blocks)).text

    def _render_line(self, line: Inline) -> Part:
        return self.adapter.dialect.render(Document((Paragraph((line,)),)))

    async def _send_parts(self, parts: Sequence[Part], *, is_stored: bool = False) -> None:
        # An only message must be known to be final: giving up the turn would otherwise replace it by a notice.
        is_deferred = is_stored and not self.answers_in_one_message
        for position, part in enumerate(parts):
            is_last = (
                position == len(parts) - 1 and self.outbox.part_count <= len(parts) and not self.outbox.is_uncertain
            )
            try:
                with self.tracer.span("part", position=position):
                    await self.outbox.put(position, part, Priority.FINAL, finishes_turn=is_deferred and is_last)
            except DeliveryError as error:
                if part.file is None or error.failure not in FILE_REFUSALS:
                    raise
                log.info("delivery.file_refused", turn=self.turn.id, failure=error.failure, error=str(error))
                raise _FileRefusedError from error
        await self.outbox.drop_after(len(parts) - 1)
        if self.outbox.is_uncertain:
            await self.warn_of_missing_parts(len(parts), is_stored=is_stored)

    async def warn_of_missing_parts(self, position: int, *, is_stored: bool) -> None:
        """Tell the person that parts before `position` may be missing. Raises `DeliveryError`."""
        line = self._render_line(Emphasis((Text(gettext(texts.DELIVERY_UNCERTAIN)),)))
        send_again = Button(gettext(texts.SEND_AGAIN_BUTTON), encode_action(ButtonAction.SEND_AGAIN, self.turn.id))
        part = replace(line, buttons=(send_again,) if is_stored else ())
        await self.outbox.send_until_confirmed(position, part)

    async def reply_and_finish(self, reply: Reply) -> None:
        """Send the bot's own reply and finish the turn. Raises `DeliveryError`."""
        if reply.removed_turn is not None:
            await self.outbox.remove_messages(reply.removed_turn)
        if reply.removed_turn is None or reply.text:
            await self._show_reply(reply)
        await self.finish(TurnState.DONE)

    async def _show_reply(self, reply: Reply) -> None:
        message_id = self.turn.incoming.message_id
        if reply.announcement:
            self.outbox.is_ephemeral = False
            await self.deliver(reply.announcement)
        if reply.edits_message and message_id is not None:
            await self._edit_pressed_message(message_id, reply)
        elif reply.is_collapsed:
            await self._send_parts(render_collapsed(model_dialect(self.adapter), reply.text))
        else:
            await self._deliver_reply(reply)

    async def _deliver_reply(self, reply: Reply) -> None:
        if reply.files:
            await self._deliver_files(reply)
            return
        if reply.replaced_turn is not None:
            await self.outbox.take_over(reply.replaced_turn)
            if not self.outbox.part_count:
                return  # another press has just taken the messages over
        if reply.on_taken_over is not None:
            await self.store.write(reply.on_taken_over)
        await self.deliver(
            reply.text,
            note=reply.note,
            buttons=reply.buttons,
            menu=reply.menu,
            card=reply.card,
            is_answer=reply.is_answer,
        )
        if reply.shown_turn is not None:
            await self.outbox.hand_over(reply.shown_turn)

    async def _deliver_files(self, reply: Reply) -> None:
        first, *others = reply.files
        caption = self._render_line(Text(reply.text))
        try:
            await self._send_parts([replace(caption, file=first), *(Part("", file=file) for file in others)])
        except _FileRefusedError:
            await self.deliver(gettext(NO_UPLOADS))

    async def _edit_pressed_message(self, message_id: str, reply: Reply) -> None:
        """Show the reply in place of the message whose button was pressed, or send it if that is gone."""
        part, *_ = (await self._split(reply.text, None, self.adapter.dialect)).parts
        card = None if reply.card is None else self._render_card(reply.card)
        part = replace(part, buttons=reply.buttons, menu=reply.menu, card=card)
        try:
            await self.outbox.edit_message(message_id, part)
        except DeliveryError as error:
            if error.failure is not DeliveryFailure.GONE:
                raise
            if not reply.announcement:
                await self._send_parts([part])

    async def finish(self, state: TurnState, reason: str = "") -> None:
        """`reason`: why the turn failed, for `parley top`; without it, the one that is stored with the answer."""
        await self.store.write(finish_delivery, self.turn, state, self.outbox.unstored_parts(), reason)
        self.tracer.turn_ended(state)


def _answer_file(text: str) -> File:
    return File(ANSWER_FILE_NAME, normalise_text(text).encode())
