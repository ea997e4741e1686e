"""Measures how much longer others wait for the model while one person sends the worst there is.

Bob asks 20 questions on each platform, first alone, then while Eve sends hostile texts, files, instructions and
commands without a pause, and gets hostile answers. The time is from Bob's message to the request at the model.

Run by hand: `python -m tests.benchmarks.bench_hostile_person`. The stand-ins run on the same machine and slow the bot
down, so the difference is an upper bound.
"""

import asyncio
import itertools
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from tests.end_to_end.harness import Harness, running_harness

QUESTIONS = 20
PAUSE_SECONDS = 1.5
"""Between two questions: a chat gets one message a second, so answers in quick succession would wait for that."""
HOSTILE_TEXTS = (
    "$" + "1" * 1300 + " " * 2600 + "=$",
    "*" * 4000,
    "_" * 4000,
    "![[" * 1300,
    "\\(" * 2000,
    "> " * 2000,
    "|a" * 2000,
    "/stop",
    "/settings share maybe",
    "/remember " + "* " * 1900,
    "/system " + "$1 " * 1300,
)
HOSTILE_ANSWERS = ("*" * 100_000, "_" * 100_000, "![[" * 30_000, "\\(" * 50_000, "$1 " * 30_000, "> " * 50_000)
HOSTILE_FILE = b"a\n" * 1_000_000

Send = Callable[[str], Awaitable[object]]


class Conversation:
    """What one person sends on one platform."""

    def __init__(self, send: Send, send_file: Callable[[], Awaitable[object]] | None = None) -> None:
        self.send = send
        self.send_file = send_file


def start_conversations(harness: Harness, name: str) -> dict[str, Conversation]:
    telegram, discord = harness.telegram, harness.discord
    person, member = telegram.create_user(name), discord.create_user(name)
    chat, channel = telegram.open_private_chat(person), discord.open_dm(member)
    return {
        "telegram": Conversation(
            lambda text: telegram.send_message(person, chat, text),
            lambda: telegram.send_document(person, chat, "a.txt", HOSTILE_FILE, caption="read it"),
        ),
        "discord": Conversation(lambda text: discord.send_message(member, channel, text[:2000])),
    }


class Model:
    """Answers, and records when Bob's questions arrive."""

    def __init__(self) -> None:
        self.arrived_at: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self._hostile_answers = itertools.cycle(HOSTILE_ANSWERS)

    def answer(self, body: dict[str, Any]) -> str:
        if "Bob's question" not in str(body["messages"][-1]):
            return next(self._hostile_answers)
        if not self.arrived_at.done():
            self.arrived_at.set_result(time.monotonic())
        return "fine"


async def median_wait(model: Model, send: Send) -> float:
    """The median of the seconds until the model gets one of Bob's questions."""
    waits = []
    for _ in range(QUESTIONS):
        model.arrived_at = asyncio.get_running_loop().create_future()
        sent_at = time.monotonic()
        await send("Bob's question")
        async with asyncio.timeout(120):
            waits.append(await model.arrived_at - sent_at)
        await asyncio.sleep(PAUSE_SECONDS)
    return statistics.median(waits)


async def attack(conversations: dict[str, Conversation]) -> None:
    for number in itertools.count():
        for conversation in conversations.values():
            await conversation.send(HOSTILE_TEXTS[number % len(HOSTILE_TEXTS)])
            if conversation.send_file is not None and number % 10 == 0:
                await conversation.send_file()
        await asyncio.sleep(0.05)


async def measure(folder: Path) -> None:
    async with running_harness(folder) as harness:
        model = Model()
        harness.model.answer = model.answer
        # Without limits for a person, so that everything hostile is worked on.
        async with harness.run_process(PARLEY_MESSAGES_A_MINUTE="1000000", PARLEY_OPEN_TURNS="10000"):
            bob, eve = start_conversations(harness, "Bob"), start_conversations(harness, "Eve")
            alone = {name: await median_wait(model, own.send) for name, own in bob.items()}
            attack_task = asyncio.create_task(attack(eve))
            beside_eve = {name: await median_wait(model, own.send) for name, own in bob.items()}
            attack_task.cancel()
            for name, seconds in alone.items():
                sys.stdout.write(
                    f"{name}: {seconds:.3f} s alone, {beside_eve[name]:.3f} s beside Eve, "
                    f"difference {beside_eve[name] - seconds:.3f} s (median of {QUESTIONS})\n"
                )


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(measure(Path(folder)))


if __name__ == "__main__":
    main()
