"""The pane Inside, without a bot: it draws what the test announces, and asks for what the person does."""

import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Locator, expect

from bots.sandbox.stand_in import Json
from tests.browser.conftest import launched_browser
from tests.browser.scripted_page import ScriptedPage

# One browser for all tests: its start takes longer than a test.
pytestmark = pytest.mark.asyncio(loop_scope="module")

STARTED_AT = time.time()
CALL: Json = {
    "number": 1, "platform": "telegram", "method": "sendMessage", "target": "", "status": 429, "wait": 7.0, "seconds": 0.25,
    "started_at": STARTED_AT, "request": {"text": "What was asked"}, "response": {"description": "Too Many Requests"},
    "cost": [{"budget": "chat", "used": 3.0, "limit": 20}],
}  # fmt: skip
REQUEST: Json = {
    "number": 2, "model": "maker/one", "endpoint": "chat", "state": "done", "status": 200, "started_at": STARTED_AT,
    "first_piece_at": STARTED_AT + 0.5, "ended_at": STARTED_AT + 2, "prompt_tokens": 30, "completion_tokens": 12,
    "context_window": 8000, "pieces": 12, "request": {"max_tokens": 77}, "text": "What the model wrote",
}  # fmt: skip
TURN: Json = {
    "turn_id": 3, "platform": "discord", "chat": "50", "person": "discord:1001", "state": "done", "model": "maker/one",
    "states": [["queued", STARTED_AT, 0], ["running", STARTED_AT + 0.5, 1], ["done", STARTED_AT + 2, 1]], "attempt": 1,
    "failed_attempts": 0, "prompt_tokens": 30, "completion_tokens": 12, "created_at": STARTED_AT,
    "finished_at": STARTED_AT + 2.5,
}  # fmt: skip
LOG_LINE: Json = {"number": 4, "level": "warning", "event": "model.failed", "fields": {"attempt": 5}}
ENTRIES = {"call": ("1", CALL), "model.request": ("2", REQUEST), "turn": ("3", TURN), "log": ("4", LOG_LINE)}


class Inside(ScriptedPage):
    def announce_entries(self) -> None:
        for event_type, (key, fields) in ENTRIES.items():
            self.log.add(event_type, key, **fields)

    def announce_scenario(self, name: str, state: str = "ready", *steps: str) -> None:
        texts = {"title": f"The {name} ends", "look_at": f"the gauges of the {name}"}
        announced = [{"text": step, "time": STARTED_AT} for step in steps]
        self.log.add("scenario", name, name=name, **texts, state=state, steps=announced)

    async def stop_clock(self) -> None:
        """The bars of the timeline stay where they are."""
        await self.page.clock.set_fixed_time(datetime.fromtimestamp(STARTED_AT + 5, UTC))

    def entry(self, title: str) -> Locator:
        entries = self.pane.get_by_role("list", name="Entries").locator("> li")
        return entries.filter(has=self.page.locator(".entry-title").get_by_text(title, exact=True))


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with launched_browser() as browser:
        yield browser


@pytest_asyncio.fixture(loop_scope="module")
async def inside(browser: Browser) -> AsyncIterator[Inside]:
    async with Inside().opened(browser, "Inside") as inside:
        yield inside


async def test_scenario_says_what_to_look_at_and_its_steps(inside: Inside) -> None:
    for name in ("model", "bot"):
        inside.announce_scenario(name)
    scenarios = inside.pane.get_by_label("Scenarios")
    other, button = (scenarios.get_by_role("button", name=f"The {name} ends") for name in ("model", "bot"))
    look_at, steps = scenarios.get_by_text("Look at:"), scenarios.get_by_role("list", name="Steps")
    await expect(look_at).to_have_count(0)
    await button.click()
    assert await inside.next_action() == {"action": "scenario.start", "name": "bot"}

    inside.announce_scenario("bot", "running", "Ann asks a question.", "The bot is killed.")
    await expect(scenarios.get_by_text("Look at: the gauges of the bot")).to_be_visible()
    await expect(steps.get_by_role("listitem")).to_have_text(["Ann asks a question.", "The bot is killed."])
    await expect(steps.locator(".current")).to_have_text("The bot is killed.")
    await expect(scenarios.get_by_text("Running…")).to_be_visible()
    await expect(button).to_have_attribute("aria-pressed", "true")
    for one in (button, other):
        await expect(one).to_be_disabled()

    inside.announce_scenario("bot", "done", "Ann asks a question.", "The bot is killed.", "The bot runs again.")
    await expect(steps.get_by_role("listitem")).to_have_count(3)
    await expect(steps.locator(".current")).to_have_count(0)
    await expect(scenarios.get_by_text("The scenario has ended.")).to_be_visible()
    await expect(other).to_be_enabled()

    inside.announce_scenario("model", "done", "The model is silent.")
    await expect(scenarios.get_by_text("Look at: the gauges of the model")).to_be_visible()
    await expect(look_at).to_have_count(1)


async def test_bar_of_each_kind_opens_its_details(inside: Inside) -> None:
    await inside.stop_clock()
    inside.announce_entries()
    bars = {
        "Telegram": ("sendMessage: 429, 250 ms", "sendMessage", "What was asked"),
        "Model": ("one: done, 12 tokens", "one", "What the model wrote"),
        "Turns": ("Turn 3: running, attempt 1", "Turn 3 on discord", "running, attempt 1, at"),
    }
    for lane, (label, title, detail) in bars.items():
        details = inside.entry(title).get_by_text(detail)
        await expect(details).to_be_hidden()
        bar = inside.pane.get_by_role("group", name=f"{lane}: ").get_by_role("button", name=label, exact=True)
        await bar.click()
        await expect(details).to_be_visible()
        await expect(inside.entry(title).locator("summary")).to_be_focused()


async def test_entry_of_each_kind_shows_its_details(inside: Inside) -> None:
    inside.announce_entries()
    sections = {
        "sendMessage": ("429, wait 7 s · chat 3/20", {"Request": "What was asked", "Response": "Too Many Requests"}),
        "one": (
            "done, 30 + 12 tokens, first after 500 ms",
            {"Response": "What the model wrote", "Request": '"max_tokens": 77'},
        ),
        "Turn 3 on discord": ("done, 2.5 s", {"Turn": '"person": "discord:1001"'}),
        "model.failed": ("warning", {"Fields": '"attempt": 5'}),
    }
    for title, (note, details) in sections.items():
        entry = inside.entry(title)
        await expect(entry.locator(".entry-note")).to_have_text(note)
        await entry.locator("summary").click()
        for label, text in details.items():
            await expect(entry.get_by_role("heading", name=label)).to_be_visible()
            await expect(entry.get_by_label(label, exact=True)).to_contain_text(text)
    await expect(inside.entry("sendMessage").get_by_text("sendMessage, 250 ms")).to_be_visible()
    states = inside.entry("Turn 3 on discord").get_by_role("listitem")
    await expect(states).to_contain_text(["queued, attempt 0, at", "running, attempt 1, at", "done, attempt 1, at"])


async def test_filter_shows_one_kind(inside: Inside) -> None:
    inside.announce_entries()
    entries = inside.pane.get_by_role("list", name="Entries").locator("> li")
    await expect(entries).to_have_count(4)
    buttons = {"Platforms": "sendMessage", "Model": "one", "Turns": "Turn 3 on discord", "Log": "model.failed"}
    for name, title in buttons.items():
        await inside.pane.get_by_role("group", name="Show").get_by_role("button", name=name).click()
        await expect(entries).to_have_count(1)
        await expect(inside.entry(title)).to_be_visible()
