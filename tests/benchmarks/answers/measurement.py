"""Runs bots against the stand-ins, lets people ask, and computes the figures of a load."""

import asyncio
import sqlite3
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager, closing, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

from bots.sandbox.model import ModelStandIn, RecordedRequest
from bots.sandbox.model.faults import Fault, StreamAction
from tests.benchmarks.answers.analysis import AnswerFigures, QuestionRecord, analyse_answer, percentile
from tests.benchmarks.answers.bot_process import BotProcess
from tests.benchmarks.answers.services import SERVICES, ChatService, Person, TextChange
from tests.benchmarks.answers.texts import Question, QuestionBook

DATABASE_NAME = "parley.sqlite3"
FIRST_TOKEN_SECONDS = 0.3
START_SECONDS = 60
GIVE_UP_SECONDS = 15
"""An answer gets no further when neither the model nor the chat has shown progress for so long."""
REQUEST_SECONDS = 60
"""Within which the model must get a question."""
SAMPLE_INTERVAL = 0.5
SETTLE_SECONDS = 1.0
"""After the last answer, and before the first one: what a bot does then counts too."""


@dataclass(frozen=True, slots=True)
class Load:
    """So many people ask so many questions each, one after another."""

    people: int
    questions: int = 2
    tokens: int = 200
    tokens_per_second: float = 40.0
    ramp_seconds: float = 2.0
    """In which all people have asked their first question."""
    pause_seconds: float = 1.0
    """Between an answer and the person's next question."""


@dataclass(frozen=True, slots=True)
class Spread:
    p50: float | None
    p95: float | None

    @classmethod
    def of(cls, values: list[float | None]) -> "Spread":
        known = [value for value in values if value is not None]
        return cls(percentile(known, 0.5), percentile(known, 0.95))


@dataclass(slots=True)
class Figures:
    """Of one bot under one load. Times in seconds; None where nothing was measured."""

    platform: str
    bot: str
    load: Load
    asked: int
    whole: int
    question_to_request: Spread
    first_to_visible: Spread
    token_delay: float | None
    text_age: float | None
    last_to_full: Spread
    calls_per_answer: float
    refusals: int
    cpu_per_answer: float
    cpu_per_token: float | None
    idle_bytes: int
    bytes_per_stream: float
    start_seconds: float
    """Until the bot first asked for events."""
    start_cpu: float
    stored_bytes_per_answer: float | None
    model_lateness: float
    """By how much the model's tokens were late on average: above 0.02, the benchmark itself was too slow."""
    ages: list[float] = field(default_factory=list)
    """The age of the text after every `AGE_STEP` seconds, averaged over the answers that were still growing."""

    def json(self) -> dict[str, Any]:
        return asdict(self)


class RunningBot:
    """A bot with stand-ins of its own."""

    def __init__(
        self,
        name: str,
        service: ChatService,
        model: ModelStandIn,
        process: BotProcess,
        book: QuestionBook,
        folder: Path,
    ) -> None:
        self.name = name
        self.service = service
        self.start_seconds = self.start_cpu = 0.0
        self.idle_bytes = 0
        self._model = model
        self._process = process
        self._book = book
        self._folder = folder

    async def wait_until_started(self) -> None:
        """Raises `RuntimeError` if the bot does not connect."""
        connected = asyncio.create_task(self.service.wait_until_connected(START_SECONDS))
        ended = asyncio.create_task(self._process.wait())
        await asyncio.wait({connected, ended}, return_when=asyncio.FIRST_COMPLETED)
        ended.cancel()
        if not connected.done():
            connected.cancel()
            raise RuntimeError(f"{self.name} has ended: see {self._folder / 'output.txt'}")
        await connected
        self.start_cpu = self._process.cpu_seconds()
        self.start_seconds = (self.service.connected_at() or 0.0) - self._process.started_at

    async def warm_up(self, load: Load) -> None:
        """One answer, so that nothing is done for the first time under load."""
        [person] = await self.service.add_people(1)
        self._set_speed(load)
        await self._ask(person, self._book.create(load.tokens))
        await asyncio.sleep(SETTLE_SECONDS)
        self.idle_bytes = self._process.memory_bytes()

    async def measure(self, load: Load) -> Figures:
        people = await self.service.add_people(load.people)
        self._set_speed(load)
        self._model.requests.clear()
        sampler = asyncio.create_task(self._sample_memory())
        stored_before, cpu_before, started_at = self._stored_bytes(), self._process.cpu_seconds(), time.monotonic()
        asked = await asyncio.gather(
            *(
                self._converse(person, load, load.ramp_seconds * index / load.people)
                for index, person in enumerate(people)
            )
        )
        await asyncio.sleep(SETTLE_SECONDS)
        cpu = self._process.cpu_seconds() - cpu_before
        sampler.cancel()
        peak_bytes = max(self._memory_samples)
        if not self._process.is_running:
            raise RuntimeError(f"{self.name} has ended: see {self._folder / 'output.txt'}")
        records = self._records(dict(zip((person.chat_id for person in people), asked, strict=True)), started_at)
        answers = [analyse_answer(record) for record in records]
        counts = self.service.call_counts(started_at)
        tokens = sum(answer.piece_count for answer in answers)
        stored = self._stored_bytes()
        return Figures(
            platform=self.service.name,
            bot=self.name,
            load=load,
            asked=len(answers),
            whole=sum(answer.is_whole for answer in answers),
            question_to_request=Spread.of([answer.question_to_request for answer in answers]),
            first_to_visible=Spread.of([answer.first_to_visible for answer in answers]),
            token_delay=_mean([answer.token_delay for answer in answers]),
            text_age=_mean([answer.text_age for answer in answers]),
            last_to_full=Spread.of([answer.last_to_full for answer in answers]),
            calls_per_answer=counts.calls / len(answers),
            refusals=counts.refusals,
            cpu_per_answer=cpu / len(answers),
            cpu_per_token=cpu / tokens if tokens else None,
            idle_bytes=self.idle_bytes,
            bytes_per_stream=(peak_bytes - self.idle_bytes) / load.people,
            start_seconds=self.start_seconds,
            start_cpu=self.start_cpu,
            stored_bytes_per_answer=None if stored is None else (stored - (stored_before or 0)) / len(answers),
            model_lateness=_model_lateness(records, load),
            ages=_mean_ages(answers),
        )

    def _set_speed(self, load: Load) -> None:
        self._model.tokens_per_second = load.tokens_per_second
        self._model.chunk_interval = 1 / load.tokens_per_second

    async def _converse(self, person: Person, load: Load, delay: float) -> list[tuple[Question, float]]:
        """Ask all questions of one person. Returns them with their times."""
        asked = []
        await asyncio.sleep(delay)
        for _ in range(load.questions):
            question = self._book.create(load.tokens)
            asked.append((question, time.monotonic()))
            await self._ask(person, question)
            await asyncio.sleep(load.pause_seconds)
        return asked

    async def _ask(self, person: Person, question: Question) -> None:
        """Return when the whole answer stands in the chat, or when it gets no further."""
        before = self.service.message_letters(person)
        expected = before + question.letters
        asked_at = changed_at = time.monotonic()
        async with aclosing(self.service.events(person)) as events:  # type: ignore[type-var]
            next_event = asyncio.ensure_future(anext(events))
            await self.service.ask(person, question.text)
            while self.service.message_letters(person) != expected:
                done, _ = await asyncio.wait({next_event}, timeout=1.0)
                if done:
                    changed_at = time.monotonic()
                    next_event = asyncio.ensure_future(anext(events))
                elif self._is_given_up(question, asked_at, changed_at):
                    break
            next_event.cancel()
            with suppress(asyncio.CancelledError):
                await next_event

    def _is_given_up(self, question: Question, asked_at: float, changed_at: float) -> bool:
        request = self._find_request(question)
        if request is None:
            return time.monotonic() - asked_at > REQUEST_SECONDS
        last_piece_at = request.piece_times[-1] if request.piece_times else request.received_at
        return time.monotonic() - max(changed_at, last_piece_at) > GIVE_UP_SECONDS

    def _find_request(self, question: Question) -> RecordedRequest | None:
        """The first request to the model that asks the question."""
        return next((request for request in self._model.requests if self._book.find(request.body) is question), None)

    async def _sample_memory(self) -> None:
        self._memory_samples = [self._process.memory_bytes()]
        while True:
            await asyncio.sleep(SAMPLE_INTERVAL)
            self._memory_samples.append(self._process.memory_bytes())

    def _stored_bytes(self) -> int | None:
        """The size of the bot's database, including what its write-ahead log holds."""
        if not (path := self._folder / DATABASE_NAME).exists():
            return None
        with closing(sqlite3.connect(path)) as database:
            [(size,)] = database.execute("SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()")
        return int(size)

    def _records(self, asked: dict[str, list[tuple[Question, float]]], since: float) -> list[QuestionRecord]:
        changes: defaultdict[str, list[TextChange]] = defaultdict(list)
        for change in self.service.changes(since):
            changes[change.chat_id].append(change)
        requests: dict[Question, RecordedRequest] = {}
        for request in self._model.requests:
            if (question := self._book.find(request.body)) is not None:
                requests.setdefault(question, request)
        records = []
        for chat_id, questions in asked.items():
            ends = [asked_at for _, asked_at in questions[1:]] + [float("inf")]
            for (question, asked_at), end in zip(questions, ends, strict=True):
                found = requests.get(question)
                records.append(
                    QuestionRecord(
                        question,
                        asked_at,
                        None if found is None else found.received_at,
                        () if found is None else found.piece_times,
                        [change for change in changes[chat_id] if asked_at <= change.time < end],
                    )
                )
        return records


@asynccontextmanager
async def running_bots(
    platform: str, names: list[str], folder: Path, *options: str, database_url: str = ""
) -> AsyncIterator[list[RunningBot]]:
    """All bots at the same time, each with its own stand-ins: so that loads can alternate between them.

    `options`: further arguments of their commands. `database_url`: in place of a file of each bot's own.
    """
    book = QuestionBook()
    started: list[tuple[RunningBot, BotProcess, ModelStandIn]] = []
    try:
        for name in names:
            service: ChatService = SERVICES[platform]()
            model = ModelStandIn(answer=book.answer)
            model.fault_hook = lambda _: Fault(action=StreamAction.STALL, seconds=FIRST_TOKEN_SECONDS)
            await asyncio.gather(service.start(), model.start())
            bot_folder = folder / f"{platform}-{name}"
            bot_folder.mkdir(parents=True)
            environment = {
                **service.environment(),
                **model.environment(),
                "BENCHMARK_MODEL": next(id_ for id_, model_ in model.models.items() if not model_.is_embedding_model),
                "DATABASE_URL": database_url or f"sqlite:///{bot_folder / DATABASE_NAME}",
                "PARLEY_ACCESS": "open",
                "PARLEY_LOG_LEVEL": "warning",
            }
            process = await BotProcess.start(name, platform, environment, bot_folder, *options)
            bot = RunningBot(name, service, model, process, book, bot_folder)
            started.append((bot, process, model))
            await bot.wait_until_started()
        yield [bot for bot, _, _ in started]
    finally:
        await asyncio.gather(*(process.stop() for _, process, _ in started))
        for bot, _, model in started:
            await asyncio.gather(bot.service.close(), model.close())


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


def _mean_ages(answers: list[AnswerFigures]) -> list[float]:
    longest = max((len(answer.ages) for answer in answers), default=0)
    return [fmean(answer.ages[step] for answer in answers if len(answer.ages) > step) for step in range(longest)]


def _model_lateness(records: list[QuestionRecord], load: Load) -> float:
    lateness = [
        max(0.0, sent_at - record.piece_times[0] - index / load.tokens_per_second)
        for record in records
        for index, sent_at in enumerate(record.piece_times)
    ]
    return fmean(lateness) if lateness else 0.0
