"""One question, answered: context, model, stream, previews, delivery."""

import asyncio
import contextlib
import time
from collections.abc import Sequence

import msgspec
import structlog
from sqlalchemy import Connection

from core.api.client import Request
from core.api.events import Finished, FinishReason, Reasoning, Reconsidered, Text, Usage
from core.conversation.accounts import Account
from core.conversation.choices import Choices
from core.conversation.composer import Composed
from core.conversation.failover import may_fail_over, successors
from core.conversation.ledger import Booking
from core.conversation.resources import Resources
from core.conversation.scope import allowance_subjects
from core.conversation.window import PromptTooLongError
from core.delivery.preview import Preview
from core.errors import DeliveryError, Failure, Fault, ModelError, StoreError
from core.port import Button
from core.store import spending
from core.store.conversations import is_operator, knows_cut, told_cut
from core.store.turns import State, answer_of, reply
from core.turns import words
from core.turns.held import Held
from core.turns.recalling import Recalling

__all__ = ["Answer"]

log = structlog.get_logger(__name__)

LONGEST_ANSWER = 400_000  # characters; a model that does not end is ended
LONGEST_THOUGHTS = 200_000
STATUS_EVERY = 5  # seconds between changes of "Thinking... 10 s"
ALL_OF_IT = 0.99  # of a window
EXPECTED = 800  # tokens of an answer nobody bounded, for the ledger


class Answer:
    """Answers one turn. `prompt` is what is asked; with `replace` it is asked again.
    `notes` are told under the answer.
    """

    def __init__(
        self,
        held: Held,
        with_: Resources,
        choices: Choices,
        *,
        prompt: str,
        replace: bool = False,
        notes: Sequence[str] = (),
        recalling: Recalling,
    ) -> None:
        self._held = held
        self._with = with_
        self._choices = choices
        self._prompt = prompt
        self._replace = replace
        self._recalling = recalling
        self._text = ""
        self._thoughts = ""
        self._usage = (0, 0)
        self._bookings: list[Booking] = []
        self._notes = list(notes)
        self._buttons: list[Button] = []
        self._began = time.monotonic()
        self._preview = Preview(held.chat, held.gate, held.outbox, held.turn.id, gone=held.stop.set)

    async def run(self) -> None:
        turn = self._held.turn
        await self._held.outbox.load()
        if turn.state is State.DELIVERING:
            self._text = await self._held.store.read(answer_of, turn.id)
            buttons = msgspec.json.decode(turn.buttons or "[]", type=tuple[Button, ...])
            await self._deliver(turn.note or "", buttons)
            return
        account = await self._with.accounts.of(self._held.person)
        model, failed = await self._shown(account)
        self._notes += self._recalling.notes(self._text)
        await self._warn_operator()
        if self._held.stop.is_set():
            self._notes.append(words.STOPPED)
        note = "\n".join(self._notes)
        buttons = self._under(failed=failed)
        self._held.fence()
        await self._held.store.write(self._keep, account, model, note, buttons)
        await self._deliver(note, buttons, failed=failed and not self._text)

    # -- asking

    async def _shown(self, account: Account) -> tuple[str, bool]:
        """Ask, showing the answer while it grows. The model that answered, and whether it failed
        to do so to the end.
        """
        preview = asyncio.create_task(self._preview.run())
        try:
            return await self._ask(account)
        finally:
            shown = await self._preview.settled(preview)
            if isinstance(shown, StoreError):
                # What was shown is known; no reason to ask the model again.
                log.warning("preview ended", turn=self._held.turn.id, error=str(shown))
            elif isinstance(shown, Exception):
                raise shown

    async def _ask(self, account: Account) -> tuple[str, bool]:
        """Ask the chosen model and, before anything was shown, those that follow it."""
        chosen, first = self._choices.model, None
        models = self._with.models
        order = successors(chosen, models.chat(), self._with.settings.fallbacks)
        for model in (chosen, *order):
            try:
                await self._attempt(account, model)
            except ModelError as error:
                log.warning(
                    "model failed", turn=self._held.turn.id, model=model, failure=error.failure,
                    status=error.status, request=error.request_id, said=str(error),
                )  # fmt: skip
                if error.failure is Failure.UNKNOWN_MODEL:
                    await models.refresh()
                if self._text:
                    self._instead(first, chosen, model)
                    self._notes.append(words.failure(error, self._held.turn.id, own=account.own))
                    return model, True
                first = first or error
                if not may_fail_over(error):
                    break
            except PromptTooLongError as error:
                if first is None:
                    self._notes.append(words.too_long(models.name(model), error.needed, error.room))
                    return model, True
            else:
                self._instead(first, chosen, model)
                return model, False
            if self._held.stop.is_set():
                return model, False
        assert first is not None  # noqa: S101 (nothing answered: something failed)
        self._notes.append(words.failure(first, self._held.turn.id, own=account.own))
        if first.failure is Failure.EMPTY and self._choices.longest:
            self._notes.append(words.short(self._choices.longest))
        return chosen, True

    def _instead(self, error: ModelError | None, chosen: str, model: str) -> None:
        if error is not None:
            name = self._with.models.name
            self._notes.insert(0, words.instead(error, name(chosen), name(model)))

    async def _attempt(self, account: Account, model: str) -> None:
        """Fill `_text`. One more try, with the server's own figures, after an overflow."""
        breaker = self._with.breaker
        if rest := breaker.resting(account.name, model):
            raise ModelError(
                "The model failed again and again", Failure.UNAVAILABLE, status=503,
                retry_after=rest,
            )  # fmt: skip
        composed = await self._compose(model)
        try:
            try:
                await self._read(account, composed)
            except ModelError as error:
                # Cut to the window without a word, a prompt leaves no room for an answer.
                cut = (
                    error.failure is Failure.EMPTY
                    and self._usage[0] >= ALL_OF_IT * composed.context
                )
                if not (cut or error.failure is Failure.OVERFLOW) or self._text:
                    raise
                log.info("overflow", turn=self._held.turn.id, model=model, limit=error.limit)
                known = composed.context
                if error.limit is not None and error.limit < known:
                    self._with.models.learn(model, error.limit)
                composed = await self._compose(model, min(error.limit or known, known * 3 // 4))
                await self._read(account, composed)
        except ModelError as error:
            breaker.failed(account.name, model, error)
            await self._with.ledger.refused(account.name, model, error)
            raise
        if self._text or not self._held.stop.is_set():
            breaker.worked(account.name, model)  # stopped before it said a word it proved nothing
        if composed.fitted.left_out:
            if not await self._held.store.read(knows_cut, self._held.turn.conversation):
                self._notes.append(words.CUT)
            self._with.summaries.consider(self._held.turn.conversation, composed)

    async def _compose(self, model: str, within: int | None = None) -> Composed:
        """`within`: tokens, where the model's whole window was too much."""
        turn, context = self._held.turn, within or self._with.models.context(model)
        recalled = await self._recalling.adding(self._prompt, context, self._choices.longest)
        return await self._with.composer.compose(
            turn.conversation, turn.seq, self._choices, self._prompt, model,
            context=context, replace=self._replace, more=recalled,
        )  # fmt: skip

    async def _read(self, account: Account, composed: Composed) -> None:
        """Ask what is composed; booked in the ledger before and after."""
        request, estimate = composed.request, composed.fitted.estimate
        answer = request.max_tokens or EXPECTED
        self._usage, self._thoughts = (0, 0), ""
        booked = self._with.ledger.booking(account.name, request.model, estimate, answer)
        async with booked as booking:
            self._bookings.append(booking)
            try:
                await self._until_stopped(account, request)
            finally:
                booking.told = sum(self._usage)
                booking.said = round(composed.measure.text(self._text + self._thoughts))
        if self._text and not self._held.stop.is_set():
            await self._with.composer.measures.learn(
                request.model, self._held.turn.conversation, request.messages,
                self._usage, self._text, thought=bool(self._thoughts),
            )  # fmt: skip

    async def _until_stopped(self, account: Account, request: Request) -> None:
        """Read the stream to its end or to the person's stop. Waits for nothing else."""
        reader = asyncio.create_task(self._consume(account, request))
        stopper = asyncio.create_task(self._held.stop.wait())
        try:
            await asyncio.wait({reader, stopper}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopper.cancel()
            if not reader.done():
                reader.cancel()
            outcome = (await asyncio.gather(reader, return_exceptions=True))[0]
        if isinstance(outcome, Exception):
            raise outcome

    async def _consume(self, account: Account, request: Request) -> None:
        async with contextlib.aclosing(account.api.stream(request)) as events:
            async for event in events:
                match event:
                    case Text(text):
                        self._text += text
                        self._preview.show(self._text)
                    case Reasoning(text):
                        if len(self._thoughts) < LONGEST_THOUGHTS:
                            self._thoughts += text
                        if not self._text:
                            self._preview.show("", self._thinking())
                    case Reconsidered():
                        self._thoughts, self._text = self._thoughts + self._text, ""
                        self._preview.show("", self._thinking())
                    case Usage(prompt, completion):
                        self._usage = (prompt, completion)
                    case Finished(FinishReason.LENGTH):
                        self._notes.append(words.LENGTH)
                        self._buttons.append(self._more())
                    case Finished():
                        pass
                if len(self._text) > LONGEST_ANSWER:
                    self._notes.append(words.LENGTH)
                    return

    def _thinking(self) -> str:
        seconds = int(time.monotonic() - self._began) // STATUS_EVERY * STATUS_EVERY
        if not seconds:
            return "Thinking…"
        tokens = self._usage[1] or round(len(self._thoughts) / 4)
        return f"Thinking… {seconds} s · {tokens // 50 * 50} tokens"

    # -- keeping and delivering

    async def _warn_operator(self) -> None:
        """Who runs the bot hears in private that a quota goes to its end."""
        warnings, incoming = self._with.ledger.warnings, self._held.turn.incoming
        if not warnings or not incoming.place.private:
            return
        who = incoming.sender
        if await self._held.store.read(is_operator, who.platform, who.user):
            self._notes += warnings
            warnings.clear()

    def _more(self) -> Button:
        return Button("Continue", f"more:{self._held.turn.id}")

    def _under(self, *, failed: bool) -> tuple[Button, ...]:
        """What can be pressed under the answer."""
        turn = self._held.turn
        if failed and self._text:
            self._buttons.append(self._more())
        if failed or self._held.chat.capabilities(turn.incoming.place).retry_button:
            self._buttons.append(Button("Retry", f"retry:{turn.id}"))
        if self._thoughts.strip() and self._choices.shows_reasoning:
            self._buttons.append(Button("Reasoning", f"think:{turn.id}"))
        return tuple(self._buttons)

    def _keep(
        self,
        connection: Connection,
        account: Account,
        model: str,
        note: str,
        buttons: tuple[Button, ...],
    ) -> None:
        """One transaction: the answer, its buttons and thoughts, and whom it is counted for."""
        held = self._held
        new = reply(
            connection, held.turn, held.owner, prompt=self._prompt, text=self._text, note=note,
            model=model, usage=self._usage, own_key=account.own, replace=self._replace,
            buttons=msgspec.json.encode(buttons).decode(),
            thoughts=self._thoughts if self._choices.shows_reasoning else "",
        )  # fmt: skip
        if not new:
            return
        if words.CUT in self._notes:
            told_cut(connection, held.turn.conversation)
        if not account.own:
            subjects = allowance_subjects(held.turn.incoming)
            spent = sum(booking.cost for booking in self._bookings)
            spending.allow(connection, subjects, self._with.ledger.today(), spent, 1)

    async def _deliver(
        self, note: str, buttons: tuple[Button, ...], *, failed: bool = False
    ) -> None:
        turn = self._held.turn
        try:
            await self._held.deliver(self._text, note=note, buttons=buttons, kept=True)
        except DeliveryError as error:
            log.warning("not delivered", turn=turn.id, fault=error.fault, said=str(error))
            if error.fault is Fault.REJECTED:
                await self._tell(error)
            await self._held.finish(State.FAILED)
            return
        stopped = self._held.stop.is_set()
        state = State.FAILED if failed else State.STOPPED if stopped else State.DONE
        await self._held.finish(state)

    async def _tell(self, refusal: DeliveryError) -> None:
        """The platform does not take the answer's text: say so in its place."""
        try:
            await self._held.deliver("", note=f"{refusal} [{self._held.turn.id}]")
        except DeliveryError as error:
            log.warning("refusal not told", turn=self._held.turn.id, fault=error.fault)
