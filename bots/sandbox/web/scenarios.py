"""Scenarios that run by themselves: each breaks something, and says what to look at."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from bots.sandbox.discord.state import Channel
from bots.sandbox.model import ModelStandIn
from bots.sandbox.model.accounts import Account
from bots.sandbox.model.refusals import refuse
from bots.sandbox.model.tokeniser import message_text
from bots.sandbox.stand_in import FaultKind, Json
from bots.sandbox.telegram.state import Chat
from bots.sandbox.web.event_log import EventLog
from bots.sandbox.web.platform_faults import PlatformFaults
from bots.sandbox.web.world import World

ANSWER_TIMEOUT_SECONDS = 120.0
CROWD_SIZE = 50
TELEGRAM_WAIT_SECONDS = 20
STOP_LABEL = "Stop"
LONG_QUESTION = "long 1500"


@dataclass(frozen=True, slots=True)
class Stage:
    """What scenarios act on."""

    world: World
    model: ModelStandIn
    faults: dict[str, PlatformFaults]
    start_bot: Callable[[], Awaitable[None]]
    kill_bot: Callable[[], Awaitable[None]]
    forget_day: Callable[[], Awaitable[None]]
    """Makes the bot forget what it knows of the quotas of today. Raises `ValueError`."""
    step: Callable[[str], None]
    """Says what happens now."""

    @property
    def chat(self) -> Chat:
        """Ann's private chat on Telegram."""
        return self.world.telegram.open_private_chat(self.world.telegram_people[0])

    @property
    def channel(self) -> Channel:
        """Ann's direct messages on Discord."""
        return self.world.discord.open_dm(self.world.discord_people[0])

    async def ask_on_telegram(self, text: str) -> Callable[[], bool]:
        """Ask as Ann. Returns whether the answer is complete, as a function."""
        server, chat = self.world.telegram, self.chat
        question = await server.send_message(self.world.telegram_people[0], chat, text)
        return lambda: _is_answered_on_telegram(chat, question.id)

    async def ask_on_discord(self, text: str) -> Callable[[], bool]:
        server, channel = self.world.discord, self.channel
        question = await server.send_message(self.world.discord_people[0], channel, text)
        return lambda: _is_answered_on_discord(channel, question.id)

    async def wait(self, condition: Callable[[], bool]) -> None:
        """Raises `TimeoutError`."""
        async with asyncio.timeout(ANSWER_TIMEOUT_SECONDS):
            while not condition():
                await self.world.telegram.clock.sleep(0.2)

    async def wait_for_text(self, requests: int) -> None:
        """Wait until the model writes `requests` answers at once."""
        await self.wait(lambda: len(self._streams()) >= requests)

    def _streams(self) -> list[object]:
        return [
            request
            for request in self.model.requests
            if len(request.piece_times) > 30 and not request.is_completed and request.disconnected_at is None
        ]


def _is_answered_on_telegram(chat: Chat, after_id: int) -> bool:
    answers = [message for message in chat.messages if message.id > after_id and message.from_bot]
    return bool(answers) and not any(_has_stop(button["text"]) for button in answers[-1].buttons)


def _is_answered_on_discord(channel: Channel, after_id: int) -> bool:
    answers = [message for message in channel.messages if message.id > after_id and message.from_bot]
    labels = [item.get("label", "") for row in answers[-1].components for item in row["components"]] if answers else []
    return bool(answers) and not any(map(_has_stop, labels))


def _has_stop(label: str) -> bool:
    return label.endswith(STOP_LABEL)


async def crowd(stage: Stage) -> None:
    telegram_server, discord_server = stage.world.telegram, stage.world.discord
    stage.step(f"{CROWD_SIZE} people ask at the same moment, half of them on each platform.")
    done: list[Callable[[], bool]] = []
    for number in range(CROWD_SIZE // 2):
        user = telegram_server.create_user(f"Guest {number + 1}")
        chat = telegram_server.open_private_chat(user)
        asked = await telegram_server.send_message(user, chat, f"repeat: Hello, guest {number + 1}.")
        done.append(_answer_check(_is_answered_on_telegram, chat, asked.id))
    for number in range(CROWD_SIZE // 2):
        person = discord_server.create_user(f"Guest {number + 1}")
        channel = discord_server.open_dm(person)
        question = await discord_server.send_message(person, channel, f"repeat: Hello, guest {number + 1}.")
        done.append(_answer_check(_is_answered_on_discord, channel, question.id))
    await stage.wait(lambda: sum(check() for check in done) >= len(done) // 2)
    stage.step("Half of them have their answer.")
    await stage.wait(lambda: all(check() for check in done))
    stage.step(f"All {len(done)} have their answer.")


def _answer_check(check: Callable[[Any, int], bool], place: object, after_id: int) -> Callable[[], bool]:
    return lambda: check(place, after_id)


async def model_disappears(stage: Stage) -> None:
    stage.step("Ann asks a long question on Telegram and on Discord.")
    checks = [await stage.ask_on_telegram(LONG_QUESTION), await stage.ask_on_discord(LONG_QUESTION)]
    await stage.wait_for_text(2)
    stage.model.fault_hook = refuse("gateway")
    stage.model.drop_connections()
    stage.step("The model service breaks both connections and answers 502 from now on.")
    try:
        await stage.wait(lambda: all(check() for check in checks))
        stage.step("Both answers end with what had arrived, and say what happened.")
    finally:
        stage.model.fault_hook = None
    stage.step("The service works again. Press Retry under an answer.")


async def telegram_says_wait(stage: Stage) -> None:
    stage.step("Ann asks a long question on Telegram and on Discord.")
    checks = [await stage.ask_on_telegram(LONG_QUESTION), await stage.ask_on_discord(LONG_QUESTION)]
    await stage.wait_for_text(2)
    telegram = stage.faults["telegram"]
    telegram.inject(FaultKind.RATE_LIMITED, TELEGRAM_WAIT_SECONDS, 1)
    try:
        stage.step(f"Telegram refuses the next request: wait {TELEGRAM_WAIT_SECONDS} seconds.")
        await stage.wait(checks[1])
        stage.step("Discord's answer is complete: nobody else waits.")
        await stage.wait(checks[0])
    finally:
        telegram.inject(None, 0.0, 0)
    early = len(stage.world.telegram.early_calls())
    stage.step(f"Telegram's answer is complete. Requests during the wait: {early}.")


async def kill_and_restart(stage: Stage) -> None:
    stage.step("Ann asks a long question on Telegram and on Discord.")
    checks = [await stage.ask_on_telegram(LONG_QUESTION), await stage.ask_on_discord(LONG_QUESTION)]
    await stage.wait_for_text(2)
    await stage.kill_bot()
    stage.step("The bot is killed in mid-answer (SIGKILL).")
    await stage.world.telegram.clock.sleep(1.0)
    await stage.start_bot()
    stage.step("The bot starts again and claims the two turns of the dead process.")
    await stage.wait(lambda: all(check() for check in checks))
    stage.step("Both answers are complete, each exactly once.")


async def quota_runs_out(stage: Stage) -> None:
    for number in (1, 2):
        stage.step(f"Ann asks question {number} on Telegram.")
        await stage.wait(await stage.ask_on_telegram(f"repeat: Answer {number}."))
    model, account = _find_model(stage.model, "repeat: Answer 2.")
    account.quotas[model] = stage.model.usage.tokens_used(api_key=account.api_key, model=model)
    try:
        stage.step(f"Today's quota of {model} is used up: this model has answered until now.")
        await stage.wait(await stage.ask_on_telegram("repeat: Answer 3."))
        answering_model, _ = _find_model(stage.model, "repeat: Answer 3.")
        if answering_model == model:
            raise ValueError("No other model has answered question 3. Look at the answer and at the lane “Model”.")
        stage.step(
            f"Question 3 is answered by another model, {answering_model}, and the answer says so. The bot would "
            "remember the quota until tomorrow."
        )
    finally:
        account.quotas.pop(model, None)
        await stage.forget_day()
    stage.step("The quota is full again, as on a new day: the next question goes to the first model.")


def _find_model(service: ModelStandIn, prompt: str) -> tuple[str, Account]:
    """The model that has answered `prompt`, and the account whose quota that cost. Raises `ValueError`."""
    requests = (request for request in service.requests if message_text(request.body["messages"][-1]).endswith(prompt))
    newest = max(requests, key=lambda request: request.received_at, default=None)
    if newest is None or not newest.is_completed or newest.status != 200:
        raise ValueError("No model has answered the last question. Look at the lane “Model”.")
    return str(newest.body["model"]), service.accounts[newest.api_key]


@dataclass(frozen=True, slots=True)
class Scenario:
    title: str
    look_at: str
    run: Callable[[Stage], Awaitable[None]]


SCENARIOS = {
    "crowd": Scenario(
        "50 people at once",
        "The gauges under “Limits”: the bot uses what the platforms allow, and is never refused. Complete answers go "
        "before previews.",
        crowd,
    ),
    "model": Scenario(
        "The model disappears in mid-answer",
        "The ends of both answers, and the lane “Model”: how often the bot asks again, and when it gives up.",
        model_disappears,
    ),
    "wait": Scenario(
        f"Telegram says wait {TELEGRAM_WAIT_SECONDS} s",
        "The lane “Telegram” is empty during the wait, while Discord goes on. Afterwards the answer comes at once.",
        telegram_says_wait,
    ),
    "kill": Scenario(
        "Kill and restart",
        "The lane “Turns”: both turns are claimed a second time. No answer is lost or comes twice.",
        kill_and_restart,
    ),
    "quota": Scenario(
        "Quota exhausted at the third question",
        "The line under the third answer, and the request to another model.",
        quota_runs_out,
    ),
}


class ScenarioRunner:
    """Runs one scenario at a time, and announces its steps."""

    def __init__(self, log: EventLog, create_stage: Callable[[Callable[[str], None]], Stage]) -> None:
        self._log = log
        self._create_stage = create_stage
        self._task: asyncio.Task[None] | None = None

    def announce(self) -> None:
        for name in SCENARIOS:
            self._announce(name, "ready", [])

    def start(self, name: str) -> None:
        """Raises `ValueError` if one is running."""
        if name not in SCENARIOS:
            raise ValueError("There is no such scenario.")
        if self._task is not None and not self._task.done():
            raise ValueError("Another scenario is running. Wait for its end.")
        self._task = asyncio.create_task(self._run(name))

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self, name: str) -> None:
        steps: list[Json] = []

        def step(text: str) -> None:
            steps.append({"text": text, "time": stage.world.telegram.clock.time()})
            self._announce(name, "running", steps)

        stage = self._create_stage(step)
        try:
            await SCENARIOS[name].run(stage)
        except TimeoutError:
            step("This takes too long. Look at the log below.")
        except ValueError as error:
            step(str(error))
        finally:
            self._announce(name, "done", steps)

    def _announce(self, name: str, state: str, steps: list[Json]) -> None:
        scenario = SCENARIOS[name]
        self._log.add(
            "scenario",
            name,
            name=name,
            title=scenario.title,
            look_at=scenario.look_at,
            state=state,
            steps=list(steps),
        )
