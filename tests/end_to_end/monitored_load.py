"""Some minutes of a bot's life, for the picture of the dashboard: people on both platforms, and what goes wrong."""

import asyncio
import random

from bots.sandbox.model import faults
from bots.sandbox.stand_in import Fault, FaultKind
from bots.sandbox.telegram import Call
from core.settings.model import DEFAULT_MODEL
from tests.end_to_end.harness import Harness
from tests.end_to_end.private_chat import PrivateChat

PHASE_SECONDS = 60.0
PEOPLE, CROWD = 6, 24
"""On each platform: always, and in the last phase."""
TELEGRAM_WAIT_SECONDS = 5
QUESTIONS = ("repeat: A short answer.", "long 500", "long 1500", "think", "slow")
ANSWER_TIMEOUT_SECONDS = 120.0


class Life:
    def __init__(self, harness: Harness) -> None:
        self._harness = harness
        self._rng = random.Random(7)
        self._people: list[asyncio.Task[None]] = []

    async def run(self) -> None:
        """Ordinary minutes, a model that fails, a platform that refuses requests, and a crowd."""
        model, telegram = self._harness.model, self._harness.telegram
        self._add_people(PEOPLE)
        await self._pass(2 * PHASE_SECONDS)
        model.fail_next(faults.http_error(500), times=None, model=DEFAULT_MODEL)
        await self._pass(PHASE_SECONDS)
        model.planned_faults.clear()
        telegram.fault_hook = self._refuse_now_and_then
        await self._pass(PHASE_SECONDS)
        telegram.fault_hook = None
        self._add_people(CROWD)
        await self._pass(PHASE_SECONDS)
        for person in self._people:
            person.cancel()
        await asyncio.gather(*self._people, return_exceptions=True)

    async def _pass(self, seconds: float) -> None:
        """Let time pass, in which people write; a defect of theirs ends it."""
        done, _ = await asyncio.wait(self._people, timeout=seconds, return_when=asyncio.FIRST_EXCEPTION)
        for person in done:
            person.result()

    def _add_people(self, count: int) -> None:
        for platform in ("telegram", "discord"):
            for _ in range(count):
                chat = PrivateChat(self._harness, platform)
                self._people.append(asyncio.create_task(self._ask_again_and_again(chat)))

    async def _ask_again_and_again(self, chat: PrivateChat) -> None:
        while True:
            await asyncio.sleep(self._rng.uniform(1, 12))
            question = self._rng.choice(QUESTIONS)
            if question == "think" and self._rng.random() < 0.5:
                name = f"notes-{self._rng.randrange(1_000_000)}.txt"
                await chat.send_file(name, f"{name}: the ferry leaves at nine. ".encode() * 40, "When does it leave?")
                continue
            count = len(chat.texts)
            await chat.say(question)
            if question == "slow":
                await asyncio.sleep(4)
                await chat.say("/stop")
            await chat.wait_until(lambda: "".join(chat.texts[count:]), ANSWER_TIMEOUT_SECONDS)  # noqa: B023

    def _refuse_now_and_then(self, call: Call) -> Fault | None:
        if call.method.lower() in {"sendmessage", "sendmessagedraft"} and self._rng.random() < 0.01:
            return Fault(FaultKind.RATE_LIMITED, TELEGRAM_WAIT_SECONDS)
        return None
