"""A bot process that answers `/metrics`, and a run of it in which everything happens that is measured."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeAlias

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from bots.sandbox.model import ModelStandIn, faults
from bots.sandbox.stand_in import Fault, FaultKind
from core.settings.model import DEFAULT_MODEL
from tests.end_to_end.harness import Harness
from tests.end_to_end.private_chat import PrivateChat
from tests.ports import free_port
from tests.waiting import wait_until

Scrape: TypeAlias = Mapping[tuple[str, frozenset[tuple[str, str]]], float]
"""Values by the sample's name and labels."""
WAIT_SECONDS = 4
"""What Telegram demands of the bot."""


def find_values(scrape: Scrape, name: str, **labels: str) -> list[float]:
    """Of all samples of this name that have these labels."""
    return [value for (sample, own), value in scrape.items() if sample == name and labels.items() <= dict(own).items()]


@dataclass
class MonitoredBot:
    port: int
    scrapes: list[Scrape] = field(default_factory=list)

    async def get(self, path: str) -> tuple[int, str]:
        async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{self.port}{path}") as response:
            return response.status, await response.text()

    async def is_ready(self) -> bool:
        return (await self.get("/readyz"))[0] == 200

    async def scrape(self) -> Scrape:
        _, text = await self.get("/metrics")
        families = text_string_to_metric_families(text)
        self.scrapes.append(
            {
                (sample.name, frozenset(sample.labels.items())): sample.value
                for family in families
                for sample in family.samples
            }
        )
        return self.scrapes[-1]

    async def wait_for(self, condition: Callable[[Scrape], bool]) -> None:
        async def is_met() -> bool:
            return condition(await self.scrape())

        await wait_until(is_met, 30, interval_seconds=0.2)


@asynccontextmanager
async def monitored_bot(harness: Harness, **changed: str) -> AsyncIterator[MonitoredBot]:
    """Answers one question at a time, so that others wait."""
    bot = MonitoredBot(free_port())
    variables = {"PARLEY_MONITORING_LISTEN": f"{bot.port}", "PARLEY_TURNS_AT_ONCE": "1", **changed}
    async with harness.run_process(**variables):
        await wait_until(bot.is_ready)
        yield bot


async def let_everything_happen(harness: Harness, bot: MonitoredBot) -> None:
    """Answers on both platforms, also stopped and failed ones, a failover, refusals, a full queue and a full outbox."""
    telegram, discord, model = PrivateChat(harness, "telegram"), PrivateChat(harness, "discord"), harness.model
    await bot.scrape()
    await asyncio.gather(telegram.ask("repeat: first", "first"), discord.ask("repeat: second", "second"))
    for platform, chat in (("telegram", telegram), ("discord", discord)):
        await _begin_to_ask(model, "slow", chat)
        await chat.ask("/stop", "Stopped")
        await chat.say("error 400")
        await bot.wait_for(partial(_has_failed_answer, platform=platform))
    model.fail_next(faults.http_error(500), times=None, model=DEFAULT_MODEL)
    await telegram.ask("repeat: from another model", "from another model", 60)
    model.planned_faults.clear()
    harness.telegram.fault_hook = _refuse_first_message(lambda call: call.method.lower() == "sendmessage")
    harness.discord.fault_hook = _refuse_first_message(
        lambda call: call.method == "POST" and call.path.endswith("/messages")
    )
    for chat in (telegram, discord):
        await chat.say("repeat: late")
    await bot.wait_for(lambda scrape: find_values(scrape, "parley_outbox_age_seconds")[0] > 0)
    for chat in (telegram, discord):
        await chat.wait_for("late", WAIT_SECONDS + 20)
    model.tokens_per_second = 2
    # The bot answers one question at a time.
    await _begin_to_ask(model, "repeat: this answer takes a while, so that the next question waits for it", telegram)
    await discord.say("repeat: last")
    await bot.wait_for(lambda scrape: find_values(scrape, "parley_queue_age_seconds")[0] > 0)
    model.tokens_per_second = 2000
    await discord.wait_for("last", 60)
    await bot.wait_for(lambda scrape: find_values(scrape, "parley_outbox_turns") == [0])


def _has_failed_answer(scrape: Scrape, platform: str) -> bool:
    return find_values(scrape, "parley_answer_seconds_count", platform=platform, outcome="failed") == [1]


async def _begin_to_ask(model: ModelStandIn, text: str, chat: PrivateChat) -> None:
    """Ask, and wait until the model has the question: a message that comes sooner may be joined to it."""
    count = len(model.requests)
    await chat.say(text)
    await model.wait_for(lambda: len(model.requests) > count, 30)


def _refuse_first_message(is_message: Callable[[Any], bool]) -> Callable[[Any], Fault | None]:
    refused: list[object] = []

    def find_fault(call: object) -> Fault | None:
        if not is_message(call) or refused:
            return None
        refused.append(call)
        return Fault(FaultKind.RATE_LIMITED, WAIT_SECONDS)

    return find_fault
