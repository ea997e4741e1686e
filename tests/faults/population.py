"""Simulated people on both platforms who ask questions, one after the other or in bursts."""

import asyncio
import os
import random
import time
from collections.abc import Sequence
from statistics import median

from tests.end_to_end.harness import READY_SECONDS, Harness
from tests.faults.chat_clients import ChatClient, DiscordClient, TelegramClient
from tests.faults.outcomes import ChatOutcomes, Outcome, assess
from tests.faults.questions import Question, Questions, prompt_about

QUESTIONS_PER_USER = 50  # in a private chat
GROUP_SIZE = 3  # people in a group, and questions of each of them
MAX_GROUPS = 6
BURST_SIZES = (1, 1, 1, 2, 3)  # drawn at random
MAX_RUN_SECONDS = 1500.0 if os.environ.get("CHAOS_TURNS") else 150.0
TOKENS_PER_SECOND = 1000.0


class SimulatedUser:
    """One person in one chat. `answer_timeout`: seconds after which the person stops waiting for an answer."""

    def __init__(
        self,
        client: ChatClient,
        questions: list[Question],
        burst_sizes: Sequence[int],
        answer_timeout: float,
    ) -> None:
        self.client = client
        self.questions = questions
        self.asked: list[Question] = []
        self._burst_sizes = burst_sizes if client.private else (1,)
        self._answer_timeout = answer_timeout
        self._abandoned: set[str] = set()
        self._changed = asyncio.Event()

    async def run(self, rng: random.Random, redelivery_rate: float, limit: int | None = None) -> None:
        """Ask the remaining questions, at most `limit`. `redelivery_rate`: the share of messages delivered twice."""
        watching = asyncio.create_task(self._watch())
        await asyncio.sleep(0)
        try:
            remaining = self.questions[len(self.asked) :][:limit]
            while remaining:
                size = min(len(remaining), rng.choice(self._burst_sizes))
                for question in remaining[:size]:
                    question.asked_at = time.monotonic()
                    self.asked.append(question)
                    question.message_id = await self.client.ask(prompt_about(question))
                    if rng.random() < redelivery_rate:
                        await self.client.redeliver()
                remaining = remaining[size:]
                await self._wait_until_settled()
        finally:
            watching.cancel()
            await asyncio.wait({watching})

    async def wait_for_answers(self) -> None:
        """Wait once more for answers that are still missing."""
        self._abandoned.clear()
        watching = asyncio.create_task(self._watch())
        await asyncio.sleep(0)
        await self._wait_until_settled()
        watching.cancel()
        await asyncio.wait({watching})

    async def _watch(self) -> None:
        async for _ in self.client.changes():
            self._changed.set()

    async def _wait_until_settled(self) -> None:
        try:
            async with asyncio.timeout(self._answer_timeout):
                while not self._is_settled():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            self._abandoned |= {question.id for question in self.asked if question.answered_at is None}

    def _is_settled(self) -> bool:
        """Whether every question asked so far has an outcome."""
        outcomes = self.outcomes()
        done = True
        for question in self.asked:
            if outcomes.by_question[question.id] in (Outcome.LOST, Outcome.PARTIAL):
                question.answered_at = None
                done = done and question.id in self._abandoned
            elif question.answered_at is None:
                question.answered_at = time.monotonic()
        return done

    def outcomes(self) -> ChatOutcomes:
        return assess(self.asked, self.client.bot_messages(), private=self.client.private)


class Population:
    """`turns` questions on each of `platforms`, asked by at most `max_concurrent` people per platform at a time."""

    def __init__(
        self,
        harness: Harness,
        rng: random.Random,
        turns: int,
        *,
        platforms: Sequence[str] = ("telegram", "discord"),
        max_concurrent: int = 60,
        questions_per_user: int = QUESTIONS_PER_USER,
        groups: bool = True,
        burst_sizes: Sequence[int] = BURST_SIZES,
        answer_timeout: float = 60.0,
    ) -> None:
        harness.model.tokens_per_second = TOKENS_PER_SECOND
        self.harness = harness
        self.questions = Questions(rng, TOKENS_PER_SECOND)
        harness.model.answer = self.questions.script
        self._dice = rng
        self.answer_timeout = answer_timeout
        self._max_concurrent = max_concurrent
        self._groups = groups
        self._burst_sizes = burst_sizes
        self.users: list[SimulatedUser] = []
        for platform in platforms:
            self._populate(platform, turns, questions_per_user)

    def _populate(self, platform: str, turns: int, questions_per_user: int) -> None:
        size = GROUP_SIZE * GROUP_SIZE
        groups = min(MAX_GROUPS, turns // (2 * size)) if self._groups else 0
        clients: list[tuple[ChatClient, int]] = []
        for number in range(groups):
            clients += [(room, GROUP_SIZE) for room in self._group_clients(platform, f"Group {number}")]
        remaining = turns - groups * size
        while remaining > 0:
            clients.append((self._private_client(platform), min(questions_per_user, remaining)))
            remaining -= questions_per_user
        self._dice.shuffle(clients)
        for number, (room, count) in enumerate(clients):
            names = [f"q{platform[0]}{number}x{turn}" for turn in range(count)]
            questions = [self.questions.create(name) for name in names]
            self.users.append(SimulatedUser(room, questions, self._burst_sizes, self.answer_timeout))

    def _private_client(self, platform: str) -> ChatClient:
        if platform == "telegram":
            telegram = self.harness.telegram
            person = telegram.create_user("T")
            return TelegramClient(telegram, person, telegram.open_private_chat(person))
        discord = self.harness.discord
        member = discord.create_user("D")
        return DiscordClient(discord, member, discord.open_dm(member))

    def _group_clients(self, platform: str, title: str) -> list[ChatClient]:
        if platform == "telegram":
            telegram = self.harness.telegram
            people = [telegram.create_user("G") for _ in range(GROUP_SIZE)]
            chat = telegram.create_supergroup(title, *people)
            return [TelegramClient(telegram, person, chat) for person in people]
        discord = self.harness.discord
        members = [discord.create_user("G") for _ in range(GROUP_SIZE)]
        channel = discord.create_channel(discord.create_guild(title, *members), "general")
        return [DiscordClient(discord, member, channel) for member in members]

    async def warm_up(self) -> None:
        """Let everyone ask one question, so that the bot knows every chat."""
        await asyncio.gather(*(user.run(self._dice, 0.0, 1) for user in self.users))

    async def run(
        self,
        *,
        redelivery_rate: float = 0.0,
        ramp_up_seconds: float = 0.0,
        users: Sequence[SimulatedUser] | None = None,
    ) -> None:
        """Let everyone, or only `users`, ask their questions; returns when all have answers or have given up.

        `redelivery_rate`: the share of messages that the platform delivers twice. `ramp_up_seconds`: within which
        people start.
        """
        slots = {user.client.platform: asyncio.Semaphore(self._max_concurrent) for user in self.users}

        async def ask_all(user: SimulatedUser) -> None:
            await asyncio.sleep(self._dice.uniform(0, ramp_up_seconds))
            async with slots[user.client.platform]:
                await user.run(self._dice, redelivery_rate)

        people = [asyncio.create_task(ask_all(user)) for user in users or self.users]
        _, unfinished = await asyncio.wait(people, timeout=MAX_RUN_SECONDS)
        for task in unfinished:
            task.cancel()
        for result in await asyncio.gather(*people, return_exceptions=True):
            if isinstance(result, Exception):
                raise result

    def hold_last_answers(self) -> None:
        """Stop the last answer in each private chat halfway, so that people wait for answers until
        `questions.release()`.
        """
        self.questions.hold(user.questions[-1] for user in self.users if user.client.private)

    async def wait_for_streams(self, count: int, timeout: float = READY_SECONDS) -> None:
        """Wait until the model streams `count` answers at the same time."""
        model = self.harness.model

        def open_streams() -> int:
            return sum(not r.is_completed and r.disconnected_at is None for r in model.requests)

        await model.wait_for(lambda: open_streams() >= count, timeout)

    async def wait_for_answers(self) -> None:
        """Wait once more for answers that are still missing."""
        await asyncio.gather(*(user.wait_for_answers() for user in self.users))

    def median_latency(self, users: Sequence[SimulatedUser]) -> float:
        """Median seconds from a question to its complete answer."""
        return median(
            question.answered_at - question.asked_at
            for user in users
            for question in user.asked
            if question.answered_at is not None
        )
