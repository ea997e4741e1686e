"""One question, answered: context, model, stream, previews, delivery."""

import asyncio
import contextlib
import time

import structlog

from core.api.client import ModelApi, Request
from core.api.events import Finished, FinishReason, Reasoning, Text, Usage
from core.conversation import window
from core.conversation.choices import Choices
from core.conversation.models import Models
from core.delivery.preview import Preview
from core.errors import DeliveryError, Failure, ModelError
from core.port import Button
from core.store.conversations import history, tell_cut
from core.store.turns import State, answer_of, reply
from core.turns import words
from core.turns.held import Held

__all__ = ["Answer"]

log = structlog.get_logger(__name__)

MOST_HISTORY = 2000  # messages looked at; what fits the window is far less
LONGEST_ANSWER = 400_000  # characters; a model that does not end is ended
LAST_PREVIEW = 10.0  # seconds to wait for a preview that is on its way
STATUS_EVERY = 5  # seconds between changes of "Thinking... 10 s"


class Answer:
    """Answers one turn. `prompt` is what is asked; with `replace` it is asked again."""

    def __init__(
        self,
        held: Held,
        api: ModelApi,
        models: Models,
        choices: Choices,
        *,
        prompt: str,
        replace: bool = False,
        most_tokens: int = 0,
    ) -> None:
        self._held = held
        self._api = api
        self._models = models
        self._choices = choices
        self._prompt = prompt
        self._replace = replace
        self._most_tokens = most_tokens
        self._text = ""
        self._usage = (0, 0)
        self._notes: list[str] = []
        self._began = time.monotonic()
        self._preview = Preview(held.chat, held.gate, held.outbox, held.turn.id, gone=held.stop.set)

    async def run(self) -> None:
        turn = self._held.turn
        await self._held.outbox.load()
        if turn.state is State.DELIVERING:
            self._text = await self._held.store.read(answer_of, turn.id)
            await self._deliver(turn.note or "")
            return
        model = self._choices.model
        failed = False
        try:
            await self._ask(model)
        except ModelError as error:
            log.warning(
                "model failed", turn=turn.id, model=model, failure=error.failure,
                status=error.status, request=error.request_id, said=str(error),
            )  # fmt: skip
            failed = not self._text
            self._notes.append(words.failure(error, turn.id))
            if error.failure is Failure.UNKNOWN_MODEL:
                await self._models.refresh()
        except window.PromptTooLongError as error:
            failed = True
            self._notes.append(
                f"Your message is about {error.needed:,} tokens long; {model} has room for "
                f"{error.room:,}. /model picks one with a larger window."
            )
        if self._held.stop.is_set():
            self._notes.append(words.STOPPED)
        note = "\n".join(self._notes)
        self._held.fence()
        await self._held.store.write(
            reply, turn, self._held.owner, prompt=self._prompt, text=self._text, note=note,
            model=model, usage=self._usage, replace=self._replace,
        )  # fmt: skip
        await self._deliver(note, failed=failed)

    async def _ask(self, model: str) -> None:
        """Fill `_text`. One more try, with the server's own figures, after an overflow."""
        request = await self._request(model)
        preview = asyncio.create_task(self._preview.run())
        try:
            try:
                await self._read(request)
            except ModelError as error:
                if error.failure is not Failure.OVERFLOW or self._text:
                    raise
                log.info("overflow", turn=self._held.turn.id, model=model, limit=error.limit)
                known = self._models.context(model)
                self._models.learn(model, min(error.limit or known, known * 3 // 4))
                await self._read(await self._request(model))
        finally:
            # A request in flight ends first: an edit that arrives late would undo the final.
            self._preview.close()
            await asyncio.wait({preview}, timeout=LAST_PREVIEW)
            preview.cancel()
            shown = (await asyncio.gather(preview, return_exceptions=True))[0]
        if isinstance(shown, Exception):
            raise shown

    async def _request(self, model: str) -> Request:
        turn, store = self._held.turn, self._held.store
        said = await store.read(history, turn.conversation, turn.seq, MOST_HISTORY)
        if self._replace:
            questions = [index for index, (role, _) in enumerate(said) if role == "user"]
            said = said[: questions[-1]] if questions else said
        fitted = window.fit(
            self._choices.system,
            said,
            self._prompt,
            context=self._models.context(model),
            answer=self._most_tokens,
        )
        if fitted.left_out and await store.write(tell_cut, turn.conversation):
            self._notes.append(words.CUT)
        return Request(model, fitted.messages, max_tokens=self._most_tokens or None)

    async def _read(self, request: Request) -> None:
        """Read the stream to its end or to the person's stop. Waits for nothing else."""
        reader = asyncio.create_task(self._consume(request))
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

    async def _consume(self, request: Request) -> None:
        async with contextlib.aclosing(self._api.stream(request)) as events:
            async for event in events:
                match event:
                    case Text(text):
                        self._text += text
                        self._preview.show(self._text)
                    case Reasoning():
                        if not self._text:
                            self._preview.show("", self._thinking())
                    case Usage(prompt, completion):
                        self._usage = (prompt, completion)
                    case Finished(FinishReason.LENGTH):
                        self._notes.append(words.LENGTH)
                    case Finished():
                        pass
                if len(self._text) > LONGEST_ANSWER:
                    self._notes.append(words.LENGTH)
                    return

    def _thinking(self) -> str:
        seconds = int(time.monotonic() - self._began) // STATUS_EVERY * STATUS_EVERY
        return f"Thinking… {seconds} s" if seconds else "Thinking…"

    async def _deliver(self, note: str, *, failed: bool = False) -> None:
        turn = self._held.turn
        may = self._held.chat.capabilities(turn.incoming.place)
        buttons = (Button("Retry", f"retry:{turn.id}"),) if may.retry_button else ()
        try:
            await self._held.deliver(self._text, note=note, buttons=buttons, kept=True)
        except DeliveryError as error:
            log.warning("not delivered", turn=turn.id, fault=error.fault, said=str(error))
            await self._held.finish(State.FAILED)
            return
        stopped = self._held.stop.is_set()
        state = State.FAILED if failed else State.STOPPED if stopped else State.DONE
        await self._held.finish(state)
