"""Many people on both platforms, who ask one thing after the other, or several at once."""

import asyncio
import os
import random
import time
from collections.abc import Sequence
from statistics import median

from tests.end_to_end.world import World
from tests.faults.judge import Fate, Judged, judge
from tests.faults.questions import Question, Questions
from tests.faults.rooms import DiscordRoom, Room, TelegramRoom

__all__ = ["Asker", "Crowd"]

EACH = 50  # questions of one person in a private chat
IN_GROUP = 3  # of one person in a group, and people in it
MOST_GROUPS = 6
BURSTS = (1, 1, 1, 2, 3)  # questions at once
LONGEST = 1500.0 if os.environ.get("CHAOS_TURNS") else 150.0  # seconds a crowd may ask
SPEED = 1000.0  # tokens a second, to which scripts are relative


class Asker:
    """One person in one room, who asks `bursts` of questions at once.

    `patience`: seconds after which an answer is not waited for.
    """

    def __init__(
        self, room: Room, questions: list[Question], bursts: Sequence[int], patience: float
    ) -> None:
        self.room = room
        self.questions = questions
        self.asked: list[Question] = []
        self._bursts = bursts if room.private else (1,)
        self._patience = patience
        self._given_up: set[str] = set()
        self._changed = asyncio.Event()

    async def live(self, dice: random.Random, again: float, most: int | None = None) -> None:
        """Ask what is left, or the next `most`. `again`: the share of messages delivered twice."""
        watching = asyncio.create_task(self._watch())
        await asyncio.sleep(0)
        try:
            left = self.questions[len(self.asked) :][:most]
            while left:
                size = min(len(left), dice.choice(self._bursts))
                for question in left[:size]:
                    question.asked_at = time.monotonic()
                    self.asked.append(question)
                    question.message = await self.room.ask(f"Tell me about {question.id}")
                    if dice.random() < again:
                        await self.room.again()
                left = left[size:]
                await self._answered()
        finally:
            watching.cancel()
            await asyncio.wait({watching})

    async def settle(self) -> None:
        """Wait for what is still open, once more."""
        self._given_up.clear()
        watching = asyncio.create_task(self._watch())
        await asyncio.sleep(0)
        await self._answered()
        watching.cancel()
        await asyncio.wait({watching})

    async def _watch(self) -> None:
        async for _ in self.room.events():
            self._changed.set()

    async def _answered(self) -> None:
        try:
            async with asyncio.timeout(self._patience):
                while not self._look():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            self._given_up |= {question.id for question in self.asked if question.done_at is None}

    def _look(self) -> bool:
        """Whether everything asked so far has its outcome."""
        judged = self.judged()
        done = True
        for question in self.asked:
            if judged.fates[question.id] in (Fate.LOST, Fate.PART):
                question.done_at = None
                done = done and question.id in self._given_up
            elif question.done_at is None:
                question.done_at = time.monotonic()
        return done

    def judged(self) -> Judged:
        return judge(self.asked, self.room.said(), private=self.room.private)


class Crowd:
    """`turns` questions on each of `platforms`; `at_once` people of a platform ask at a time."""

    def __init__(
        self,
        world: World,
        dice: random.Random,
        turns: int,
        *,
        platforms: Sequence[str] = ("telegram", "discord"),
        at_once: int = 60,
        each: int = EACH,
        groups: bool = True,
        bursts: Sequence[int] = BURSTS,
        patience: float = 60.0,
    ) -> None:
        world.model.tokens_per_second = SPEED
        self.world = world
        self.questions = Questions(dice, SPEED)
        world.model.answer = self.questions.script
        self._dice = dice
        self.patience = patience
        self._at_once = at_once
        self._groups = groups
        self._bursts = bursts
        self.askers: list[Asker] = []
        for platform in platforms:
            self._populate(platform, turns, each)

    def _populate(self, platform: str, turns: int, each: int) -> None:
        size = IN_GROUP * IN_GROUP
        groups = min(MOST_GROUPS, turns // (2 * size)) if self._groups else 0
        rooms: list[tuple[Room, int]] = []
        for number in range(groups):
            rooms += [(room, IN_GROUP) for room in self._group(platform, f"Group {number}")]
        left = turns - groups * size
        while left > 0:
            rooms.append((self._private(platform), min(each, left)))
            left -= each
        self._dice.shuffle(rooms)
        for number, (room, count) in enumerate(rooms):
            names = [f"q{platform[0]}{number}x{turn}" for turn in range(count)]
            questions = [self.questions.new(name) for name in names]
            self.askers.append(Asker(room, questions, self._bursts, self.patience))

    def _private(self, platform: str) -> Room:
        if platform == "telegram":
            telegram = self.world.telegram
            person = telegram.person("T")
            return TelegramRoom(telegram, person, telegram.private(person))
        discord = self.world.discord
        someone = discord.person("D")
        return DiscordRoom(discord, someone, discord.dm(someone))

    def _group(self, platform: str, title: str) -> list[Room]:
        if platform == "telegram":
            telegram = self.world.telegram
            people = [telegram.person("G") for _ in range(IN_GROUP)]
            chat = telegram.supergroup(title, *people)
            return [TelegramRoom(telegram, person, chat) for person in people]
        discord = self.world.discord
        members = [discord.person("G") for _ in range(IN_GROUP)]
        channel = discord.channel(discord.guild(title, *members), "general")
        return [DiscordRoom(discord, member, channel) for member in members]

    async def greet(self) -> None:
        """Everybody asks one question, so that the bot has heard of everybody."""
        await asyncio.gather(*(asker.live(self._dice, 0.0, 1) for asker in self.askers))

    async def live(
        self,
        *,
        again: float = 0.0,
        within: float = 0.0,
        askers: Sequence[Asker] | None = None,
    ) -> None:
        """Everybody, or `askers`, ask; ends when everybody has an answer to everything, or gave up, and after
        `LONGEST` seconds in any case.

        `again`: the share of messages the platform delivers twice. `within`: the seconds in which
        people begin.
        """
        slots = {asker.room.platform: asyncio.Semaphore(self._at_once) for asker in self.askers}

        async def one(asker: Asker) -> None:
            await asyncio.sleep(self._dice.uniform(0, within))
            async with slots[asker.room.platform]:
                await asker.live(self._dice, again)

        people = [asyncio.create_task(one(asker)) for asker in askers or self.askers]
        _, late = await asyncio.wait(people, timeout=LONGEST)
        for task in late:
            task.cancel()
        for ended in await asyncio.gather(*people, return_exceptions=True):
            if isinstance(ended, Exception):
                raise ended

    async def written(self, count: int, timeout: float = 30.0) -> None:
        """Wait until the model is writing `count` answers at a time."""
        model = self.world.model

        def open_() -> int:
            return sum(not r.completed and r.disconnected_at is None for r in model.requests)

        await model.wait(lambda: open_() >= count, timeout)

    async def settle(self) -> None:
        """Wait for what is still open, once more."""
        await asyncio.gather(*(asker.settle() for asker in self.askers))

    def delay(self, askers: Sequence[Asker]) -> float:
        """Median seconds from a question to its finished answer."""
        return median(
            question.done_at - question.asked_at
            for asker in askers
            for question in asker.asked
            if question.done_at is not None
        )
