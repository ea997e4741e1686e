"""What the floor bots share: answers that grow, and who may show the next call.

They make the fewest calls that still let people watch an answer grow: a message with the first words, an edit a second,
and an edit with the last words. All calls stay below the platform's limits. First words go first, then last words,
then the answer whose text is oldest.
"""

import asyncio
import math
import os
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from tests.benchmarks.answers.floor_http import HttpClient, decode

EDIT_INTERVAL = 1.0
MODEL = os.environ.get("BENCHMARK_MODEL", "")


@dataclass(slots=True)
class EditWindow:
    """How many edits a chat still accepts until its window ends. The last one is kept for an answer's last words."""

    remaining: float = math.inf
    ends_at: float = 0.0

    def opens_at(self, *, is_final: bool) -> float:
        return 0.0 if self.remaining > (0 if is_final else 1) else self.ends_at


@dataclass(slots=True, eq=False)
class GrowingAnswer:
    """`start` is where the text of the present message begins."""

    chat_id: Any
    window: EditWindow
    text: str = ""
    start: int = 0
    shown_text: str = ""
    message_id: Any = None
    has_new_text: bool = False
    is_complete: bool = False
    is_busy: bool = False
    shown_at: float = 0.0
    metadata: dict[str, Any] = field(default_factory=dict)
    """For the platform."""

    def next_text(self, max_chars: int) -> str:
        """The text of the present message; cut at a line's end if there is more."""
        rest = self.text[self.start :]
        if len(rest) <= max_chars:
            return rest.strip()
        return rest[: rest.rfind("\n", 1, max_chars)].strip()

    def due_at(self) -> float:
        if self.message_id is None:
            return 0.0
        opens_at = self.window.opens_at(is_final=self.is_complete)
        return opens_at if self.is_complete else max(self.shown_at + EDIT_INTERVAL, opens_at)


class Presenter:
    """Calls `show(answer, text)` for one outdated answer after another, evenly, `calls_per_second`.

    `show` returns for how many seconds the platform wants no further calls.
    """

    def __init__(
        self, show: Callable[[GrowingAnswer, str], Awaitable[float]], *, calls_per_second: int, max_chars: int
    ) -> None:
        self._show = show
        self._max_chars = max_chars
        self._interval = 1 / calls_per_second
        self._next_call_at = 0.0
        self._answers: set[GrowingAnswer] = set()
        self._wake = asyncio.Event()

    def add(self, answer: GrowingAnswer) -> None:
        self._answers.add(answer)

    def notice(self) -> None:
        """An answer has changed."""
        self._wake.set()

    async def run(self) -> None:
        while True:
            self._wake.clear()
            now = time.monotonic()
            outdated = [answer for answer in self._answers if answer.has_new_text and not answer.is_busy]
            ready = [answer for answer in outdated if answer.due_at() <= now]
            next_at = max(min((answer.due_at() for answer in outdated), default=math.inf), self._next_call_at)
            if ready and next_at <= now:
                self._update(min(ready, key=lambda a: (a.message_id is not None, not a.is_complete, a.shown_at)))
                continue
            with suppress(TimeoutError):
                async with asyncio.timeout(None if next_at == math.inf else next_at - now):
                    await self._wake.wait()

    def _update(self, answer: GrowingAnswer) -> None:
        answer.has_new_text = False
        text = answer.next_text(self._max_chars)
        if text and text != answer.shown_text:
            answer.is_busy, answer.shown_at = True, time.monotonic()
            self._next_call_at = answer.shown_at + self._interval
            start_task(self._call(answer, text))
        elif len(answer.text) - answer.start > self._max_chars:  # this message is full
            answer.start += answer.text[answer.start :].rfind("\n", 1, self._max_chars)
            answer.message_id, answer.shown_text, answer.has_new_text = None, "", True
        elif answer.is_complete:
            self._answers.discard(answer)

    async def _call(self, answer: GrowingAnswer, text: str) -> None:
        pause_seconds = await self._show(answer, text)
        self._next_call_at = max(self._next_call_at, time.monotonic() + pause_seconds)
        answer.is_busy = False
        answer.has_new_text |= answer.shown_text != text or answer.is_complete
        self.notice()


async def stream_answer(model: HttpClient, prompt: str, answer: GrowingAnswer, presenter: Presenter) -> None:
    def on_data(data: bytes) -> None:
        for event in data.split(b"\n\n"):
            if not event.startswith(b"data: {"):
                continue
            for choice in decode(event[6:])["choices"]:
                answer.text += choice["delta"].get("content") or ""
                if answer.text and not answer.has_new_text:
                    answer.has_new_text = True
                    presenter.notice()

    presenter.add(answer)
    body = {"model": MODEL, "stream": True, "messages": [{"role": "user", "content": prompt}]}
    await model.request("POST", "chat/completions", body, on_data)
    answer.is_complete = answer.has_new_text = True
    presenter.notice()


_tasks: set["asyncio.Task[None]"] = set()


def start_task(work: Coroutine[Any, Any, None]) -> None:
    """Run `work`, which the event loop alone might forget."""
    task = asyncio.create_task(work)
    _tasks.add(task)
    task.add_done_callback(_tasks.discard)


def run(main: Coroutine[Any, Any, None]) -> None:
    try:
        import uvloop
    except ImportError:
        asyncio.run(main)
    else:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(main)
