"""The page without a bot: its state, its connection, its keyboard and what a screen reader gets of it."""

import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, ViewportSize, expect

from bots.sandbox.discord import DiscordStandIn
from bots.sandbox.model import ModelStandIn
from bots.sandbox.model_controls import PERSONAL_KEY
from bots.sandbox.telegram import Call, TelegramStandIn
from bots.sandbox.web.page import SandboxPage
from bots.sandbox.web.world import World
from core.settings.model import DEFAULT_MODEL

pytestmark = pytest.mark.timeout(300)

PHONE, DESK = ViewportSize(width=390, height=800), ViewportSize(width=1400, height=850)
REPLAY = """
async (events) => {
  const { EMPTY_STATE, reduce, reduceAll } = await import("/page/state.js");
  const freeze = (value) => {
    if (value && typeof value === "object" && !Object.isFrozen(value)) {
      Object.freeze(value);
      Object.values(value).forEach(freeze);
    }
    return value;
  };
  // A frozen state shows that nothing is changed in place.
  const state = events.reduce((before, event) => freeze(reduce(before, event)), freeze(EMPTY_STATE));
  return { state, again: reduceAll(EMPTY_STATE, events) };
}
"""


class Sandbox:
    def __init__(self, folder: Path) -> None:
        self.telegram, self.discord, self.model = TelegramStandIn(), DiscordStandIn(), ModelStandIn()
        self.page = SandboxPage(World(self.telegram, self.discord), self.model, folder / "none.sqlite3")

    async def fill(self) -> None:
        """A message on each side."""
        ann = self.telegram.users[1001]
        await self.telegram.send_message(ann, self.telegram.open_private_chat(ann), "Hello, Telegram")
        person = next(user for user in self.discord.users.values() if user.name == "Ann")
        await self.discord.send_message(person, self.discord.open_dm(person), "Hello, Discord")


@pytest.fixture
async def sandbox(tmp_path: Path) -> AsyncIterator[Sandbox]:
    sandbox = Sandbox(tmp_path)
    await sandbox.telegram.start()
    await sandbox.discord.start()
    await sandbox.page.start()
    yield sandbox
    await sandbox.page.close()
    await sandbox.telegram.close()
    await sandbox.discord.close()


@pytest.fixture
async def page(browser: Browser, sandbox: Sandbox) -> AsyncIterator[Page]:
    page = await browser.new_page(viewport=DESK)
    await page.goto(sandbox.page.server.guard.address())
    await expect(page.get_by_text("See what happens when")).to_be_visible()
    yield page
    await page.close()


async def test_state_is_a_pure_function_of_the_events(page: Page, sandbox: Sandbox) -> None:
    await sandbox.fill()
    events = sandbox.page.log.replay()
    deleted = {**next(event for event in events if event["type"] == "telegram.message"), "is_deleted": True}
    calls = [{"type": "call", "key": str(n), "number": n} for n in range(1500)]
    result = await page.evaluate(REPLAY, [*events, deleted, *calls, {"type": "unknown", "key": "x"}])
    assert result["state"] == result["again"]
    telegram = result["state"]["telegram"]
    assert str(deleted["message"]["message_id"]) not in telegram["messages"][str(deleted["chat_id"])]
    [[discord_message]] = [list(by_id.values()) for by_id in result["state"]["discord"]["messages"].values()]
    assert discord_message["message"]["content"] == "Hello, Discord"
    assert [call["number"] for call in result["state"]["inside"]["calls"]] == list(range(500, 1500))


async def test_lost_connection_is_shown_until_it_is_back(page: Page, sandbox: Sandbox) -> None:
    port = sandbox.page.server.guard.port
    await sandbox.page.server.close()
    await expect(page.get_by_text("The connection to the sandbox was lost")).to_be_visible()
    await sandbox.page.server.start(port)
    await expect(page.get_by_text("The connection to the sandbox was lost")).to_be_hidden()
    await sandbox.fill()
    await expect(page.get_by_label("Discord", exact=True).get_by_text("Hello, Discord")).to_be_visible()


async def test_window_without_access_says_so(page: Page) -> None:
    await page.context.clear_cookies()
    await page.reload()
    await expect(page.get_by_text("This address has been used already")).to_be_visible()


async def test_texts_cannot_become_html(page: Page, sandbox: Sandbox) -> None:
    refusal = "document.body.insertAdjacentHTML('beforeend', '<img src=x>')"
    with pytest.raises(Exception, match="TrustedHTML"):
        await page.evaluate(f"() => {{ {refusal} }}")
    person = next(user for user in sandbox.discord.users.values() if user.name == "Ann")
    attack = "<img src=x onerror=alert(1)><script>alert(1)</script>"
    await sandbox.discord.send_message(person, sandbox.discord.open_dm(person), attack)
    await expect(page.get_by_label("Discord", exact=True).get_by_text("onerror=alert(1)")).to_be_visible()
    assert await page.locator("img[src=x], body script").count() == 0


async def test_phone_shows_one_pane_that_the_keyboard_chooses(page: Page) -> None:
    await page.set_viewport_size(PHONE)
    inside = page.get_by_label("Inside", exact=True)
    await expect(inside).to_be_hidden()
    await page.get_by_role("tab", name="Telegram").focus()
    await page.keyboard.press("ArrowLeft")
    await expect(page.get_by_role("tab", name="Inside")).to_be_focused()
    await expect(inside).to_be_visible()
    overflow = await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert overflow <= 0, "nothing is wider than a phone"


async def test_theme_is_chosen_and_remembered(page: Page) -> None:
    await page.get_by_role("button", name="Theme: Like the system").click()
    await page.get_by_role("button", name="Theme: Light").click()
    await page.reload()
    await expect(page.get_by_role("button", name="Theme: Dark")).to_be_visible()
    background = await page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert background == "rgb(18, 20, 27)"


async def test_what_a_switch_broke_is_counted_said_and_repaired(page: Page, sandbox: Sandbox) -> None:
    repair = page.get_by_role("button", name="Repair everything")
    await expect(repair).to_be_disabled()
    await page.get_by_text("Break and repair").click()
    await page.get_by_label("Use up today's quota of").select_option(DEFAULT_MODEL)
    await expect(page.get_by_text(f"Today's quota of {DEFAULT_MODEL} is used up.")).to_be_visible()  # a short message
    await page.get_by_label("Speed").select_option("5")
    await expect(page.get_by_text("2 things are broken")).to_be_visible()
    await expect(page.get_by_role("list", name="Broken at present").get_by_role("listitem")).to_have_count(2)
    await page.get_by_label("A smaller window has").select_option("512")
    await page.get_by_label("Shrink the window of").select_option(DEFAULT_MODEL)
    await expect(page.get_by_text(f"{DEFAULT_MODEL} now refuses requests over 512 tokens.")).to_be_visible()
    await expect(page.get_by_text("3 things are broken")).to_be_visible()
    await page.get_by_role("button", name="Show a key for /key").click()
    await expect(page.get_by_text(PERSONAL_KEY)).to_be_visible()
    limit = page.get_by_label("Telegram…")
    await limit.select_option("429")
    await expect(page.get_by_text("4 things are broken")).to_be_visible()
    call = Call("sendMessage", {"chat_id": 1}, time=0.0)
    assert sandbox.telegram.fault_hook is not None
    sandbox.telegram.fault_hook(call)
    await expect(limit).to_have_value("")
    await expect(page.get_by_text("3 things are broken")).to_be_visible()
    await repair.click()
    await expect(page.get_by_text("things are broken")).to_be_hidden()
    await expect(repair).to_be_disabled()


async def test_bar_of_the_timeline_opens_its_entry(page: Page, sandbox: Sandbox) -> None:
    now = time.time()
    await page.clock.set_fixed_time(datetime.fromtimestamp(now, UTC))  # the bars stay where they are
    fields = {"platform": "telegram", "target": "", "status": 200, "response": "ok", "wait": None, "cost": []}
    for number in range(120):
        started_at = now - 10 + number / 12 if number else now - 20
        call = {"number": number, "method": f"call{number}", "started_at": started_at, "seconds": 0.08}
        sandbox.page.log.add("call", str(number), **fields, **call, request={"text": f"Request {number}."})
    lane = page.get_by_role("group", name="Telegram: 120 in the last 30 seconds")
    await page.get_by_role("button", name="Log", exact=True).click()
    # By keyboard, from the newest to the one before.
    await lane.get_by_role("button", name="call119:").focus()
    await page.keyboard.press("ArrowLeft")
    await expect(lane.get_by_role("button", name="call118:")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.get_by_text("Request 118.")).to_be_visible()
    await expect(page.locator("summary", has_text="call118")).to_be_focused()
    # By mouse, one that is older than what the list shows, while the list is closed.
    await page.get_by_text("Everything that happened").click()
    await lane.get_by_role("button", name="call0:").click()
    await expect(page.get_by_text("Request 0.")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_page_has_no_serious_accessibility_violation(page: Page, sandbox: Sandbox, scheme: Any) -> None:
    await page.emulate_media(color_scheme=scheme)
    await sandbox.fill()
    await expect(page.get_by_label("Discord", exact=True).get_by_text("Hello, Discord")).to_be_visible()
    await page.get_by_text("Break and repair").click()
    results = await Axe().run(page)
    serious = [
        (violation["id"], [node["html"][:200] for node in violation["nodes"]])
        for violation in results.response["violations"]
        if violation["impact"] in ("serious", "critical")
    ]
    assert not serious
