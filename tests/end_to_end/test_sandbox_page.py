"""Scenarios of the sandbox page, with the real bot in a process of its own and without a browser."""

import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from bots.sandbox.bot_process import BotProcess, BotState
from bots.sandbox.discord import User as DiscordUser
from bots.sandbox.model.script import long_document
from bots.sandbox.run import SandboxOptions, start_services
from bots.sandbox.stand_in import Json
from bots.sandbox.telegram import User as TelegramUser
from bots.sandbox.web import protocol
from bots.sandbox.web.page import SandboxPage
from bots.sandbox.web.scenarios import TELEGRAM_WAIT_SECONDS
from bots.sandbox.web.world import World
from core.settings.model import DEFAULT_MODEL
from tests.waiting import wait_until

pytestmark = pytest.mark.timeout(400)

PHI_4 = "microsoft/phi-4"
SCENARIO_TIMEOUT_SECONDS = 150.0
ANSWER_TIMEOUT_SECONDS = 60.0
LANDMARK_PATTERN = re.compile(r"(?:Section|Paragraph|Passage|point|row) \d+(?:\.\d+)?|line_\d+_\d+|第\d+段")
"""Places in a long answer, each of which occurs once."""


class RunningPage:
    def __init__(self, page: SandboxPage, bot: BotProcess, world: World) -> None:
        self.page, self.bot, self.world = page, bot, world

    def event(self, event_type: str, key: str) -> Json:
        return next(event for event in self.page.log.replay() if (event["type"], event["key"]) == (event_type, key))

    def events(self, event_type: str) -> list[Json]:
        return [event for event in self.page.log.replay() if event["type"] == event_type]

    async def play(self, name: str) -> list[str]:
        """Run a scenario to its end. Returns its steps."""
        await self.page.perform(protocol.StartScenario(id=1, name=name))
        await wait_until(lambda: self.event("scenario", name)["state"] == "running")
        await wait_until(lambda: self.event("scenario", name)["state"] == "done", SCENARIO_TIMEOUT_SECONDS)
        return [step["text"] for step in self.event("scenario", name)["steps"]]

    def telegram_answers(self, person: TelegramUser | None = None) -> list[str]:
        """In the private chat of `person`, or else of Ann."""
        chat = self.world.telegram.open_private_chat(person or self.world.telegram_people[0])
        return [message.text for message in self.world.telegram.messages(chat) if message.from_bot]

    async def ask(self, text: str) -> str:
        """Ask as Ann on Telegram. Returns the complete answer."""
        telegram, ann = self.world.telegram, self.world.telegram_people[0]
        chat, count = telegram.open_private_chat(ann), len(self.telegram_answers())
        await telegram.send_message(ann, chat, text)
        await wait_until(lambda: len(self.telegram_answers()) > count, ANSWER_TIMEOUT_SECONDS)
        return self.telegram_answers()[-1]

    def models(self) -> list[str]:
        """Of the completed requests, in order."""
        return [request["model"] for request in self.events("model.request") if request["state"] == "done"]

    def discord_answers(self, person: DiscordUser | None = None) -> list[str]:
        channel = self.world.discord.open_dm(person or self.world.discord_people[0])
        return [message.content for message in self.world.discord.messages(channel) if message.from_bot]


@pytest.fixture
async def running() -> AsyncIterator[RunningPage]:
    async with AsyncExitStack() as stack:
        services = await stack.enter_async_context(
            start_services(SandboxOptions(model_api="scripted", tokens_per_second=100))
        )
        world = World(services.telegram, services.discord)
        page = SandboxPage(world, services.model, services.database)
        stack.push_async_callback(page.close)
        bot = BotProcess(services.environment, page.show_log_line, page.show_bot_state)
        page.attach_bot(bot)
        stack.push_async_callback(bot.close)
        await page.start()
        await page.start_bot()
        await wait_until(lambda: bot.state is BotState.RUNNING, 90)
        yield RunningPage(page, bot, world)


async def test_question_after_the_bots_name_is_answered_in_any_chat(running: RunningPage) -> None:
    ann = running.world.telegram_people[0]
    chat = next(chat for chat in running.world.telegram.chats.values() if ann in chat.members and not chat.is_private)
    typing = protocol.TelegramTypeInline(id=1, person=ann.id, chat=chat.id, text="repeat: Lisbon")
    offers = await running.page.perform(typing)
    result = offers["results"][0]["id"]
    await running.page.perform(protocol.TelegramChooseResult(id=2, chat=chat.id, query=offers["query"], result=result))
    await wait_until(lambda: "\nLisbon" in running.world.telegram.messages(chat)[-1].text, 60)


async def test_scenarios_run_by_themselves(running: RunningPage) -> None:
    steps = await running.play("kill")
    assert steps[-1] == "Both answers are complete, each exactly once."
    for answers in (running.telegram_answers(), running.discord_answers()):
        assert sum("Section 1" in answer for answer in answers) == 1
        assert "Section 7" in answers[-1]
    attempts = [attempt for turn in running.events("turn") for _, _, attempt in turn["states"]]
    assert max(attempts) == 2, "the page shows that the turns were claimed again"

    steps = await running.play("model")
    assert steps[-1].startswith("The service works again.")

    for chosen_model in (DEFAULT_MODEL, PHI_4):
        assert chosen_model.partition("/")[2] in await running.ask(f"/model {chosen_model}")
        steps = await running.play("quota")
        assert steps[2].startswith(f"Today's quota of {chosen_model} is used up")
        assert steps[-2].startswith("Question 3 is answered by another model")
        assert "no quota left today" in running.telegram_answers()[-1]
        assert "no quota left" not in await running.ask("repeat: Answer 4.")
        assert running.models()[-4:-2] + running.models()[-1:] == [chosen_model] * 3
        assert running.models()[-2] != chosen_model
    await running.ask(f"/model {DEFAULT_MODEL}")

    # A quota that is used up by hand is forgotten with the day, and by the repair.
    for end in (protocol.ServiceCommand(id=2, command=":day"), protocol.ServiceRepair(id=3)):
        await running.page.perform(protocol.ServiceCommand(id=1, command=":quota", argument=DEFAULT_MODEL))
        assert "no quota left" in await running.ask("repeat: Another model.")
        await running.page.perform(end)
        assert "no quota left" not in await running.ask("repeat: The first model.")
    with pytest.raises(ValueError, match="no such scenario"):
        await running.page.perform(protocol.StartScenario(id=1, name="none"))


async def test_fifty_people_at_once_get_whole_answers_and_no_refusal(running: RunningPage) -> None:
    steps = await running.play("crowd")
    assert steps[-1] == "All 50 have their answer."
    telegram, discord = running.world.telegram, running.world.discord
    guests = [user for user in telegram.users.values() if user.name.startswith("Guest")]
    people = [user for user in discord.users.values() if user.name.startswith("Guest")]
    assert [running.telegram_answers(user) for user in guests] == [[f"Hello, {user.name.lower()}."] for user in guests]
    assert [running.discord_answers(user) for user in people] == [[f"Hello, {user.name.lower()}."] for user in people]
    assert (len(guests), len(people)) == (25, 25)
    assert not telegram.calls_with_status(429)
    assert not discord.calls_with_status(429)


async def test_bot_sends_nothing_while_telegram_says_wait(running: RunningPage) -> None:
    steps = await running.play("wait")
    assert steps[-2:] == [
        "Discord's answer is complete: nobody else waits.",
        "Telegram's answer is complete. Requests during the wait: 0.",
    ]
    chat = running.world.telegram.open_private_chat(running.world.telegram_people[0])
    calls = [call for call in running.world.telegram.calls if call.params.get("chat_id") == chat.id]
    (refused,) = [number for number, call in enumerate(calls) if call.status == 429]
    assert calls[refused + 1].time - calls[refused].time >= TELEGRAM_WAIT_SECONDS
    for answers in (running.telegram_answers(), running.discord_answers()):
        assert LANDMARK_PATTERN.findall("\n".join(answers)) == LANDMARK_PATTERN.findall(long_document(1500))
