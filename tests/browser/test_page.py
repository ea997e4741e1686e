"""The page without a bot: its state, its connection, its keyboard and what a screen reader gets of it."""

import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, ViewportSize, expect

from bots.sandbox.discord import DiscordStandIn, User
from bots.sandbox.model import ModelStandIn
from bots.sandbox.model_controls import PERSONAL_KEY
from bots.sandbox.stand_in import Json
from bots.sandbox.telegram import Call, TelegramStandIn
from bots.sandbox.web.page import SandboxPage
from bots.sandbox.web.world import World
from core.settings.model import DEFAULT_MODEL
from tests.browser.discord_messages import COMPONENTS_V2, CONTAINER, EMBED
from tests.images import make_image

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
        await self.discord.send_message(self._friend, self.discord.open_dm(self._friend), "Hello, Discord")

    def show_everything(self) -> None:
        """Announce commands, and on each side a message with what messages can carry."""
        log, cell = self.page.log, {"align": "left", "valign": "middle"}
        commands = [{"command": name, "description": f"The command {name}"} for name in ("model", "new")]
        log.add("telegram.commands", "default/", scope="default", language_code="", commands=commands)
        option = {"name": "name", "description": "Which", "type": 3, "autocomplete": True, "required": True}
        slash_commands = [
            {"type": 1, "name": name, "description": f"The command {name}", "options": [option]}
            for name in ("model", "new")
        ]
        log.add("discord.commands", "commands", commands=slash_commands)
        table = [[{**cell, "text": "Name", "is_header": True}], [{**cell, "text": "Earth"}]]
        code = {"type": "pre", "text": "x = 1", "language": "python"}
        formula = {"type": "mathematical_expression", "expression": "x^2"}
        details = {"type": "details", "summary": "More", "blocks": [{"type": "paragraph", "text": "inside"}]}
        blocks = [
            {"type": "heading", "size": 2, "text": "Planets"},
            {"type": "table", "cells": table},
            code,
            formula,
            details,
        ]
        keyboard = [[{"text": "Retry", "callback_data": "retry"}, {"text": "Site", "url": "https://example.org"}]]
        ann, bot = self.telegram.users[1001], self.telegram.bot
        message = {
            "message_id": 900, "date": 1_800_000_000, "chat": self.telegram.open_private_chat(ann).json(), "from": bot.json(),
            "rich_message": {"blocks": blocks}, "reply_markup": {"inline_keyboard": keyboard}, "receiver_user": ann.json(),
        }  # fmt: skip
        math = ["math", {}, [["msup", {}, [["mi", {}, ["x"]], ["mn", {}, ["2"]]]]]]
        event = {"chat_id": ann.id, "is_deleted": False, "reactions": {"👍": [1]}, "formulas": {"x^2": math}}
        log.add("telegram.message", f"{ann.id}/900", **event, message=message)
        discord_event = self._discord_event()
        for shown in (*self._discord_layouts(), self._discord_message()):
            log.add("discord.message", shown["id"], **discord_event, message=shown)
        channel = discord_event["channel_id"]
        log.add("discord.typing", channel, channel_id=channel, until=time.time() + 600)

    def _discord_event(self) -> Json:
        channel = str(self.discord.open_dm(self._friend).id)
        return {
            "channel_id": channel,
            "ephemeral_to": None,
            "is_deleted": False,
            "reactions": {"👍": [str(self._friend.id)]},
        }

    def _discord_message(self) -> Json:
        options = [{"label": name, "value": name, "description": "A model"} for name in ("phi", "gemma")]
        menu = {"type": 3, "custom_id": "models", "placeholder": "Choose a model", "options": options}
        buttons = [
            {"type": 2, "style": style, "label": f"Button {style}", "custom_id": f"b{style}"} for style in range(1, 5)
        ]
        return {
            "id": "9" * 18, "author": self.discord.bot.json(), "timestamp": "2027-01-15T08:00:00+00:00", "flags": 64,
            "content": "# Title\n> quote\n```py\nx = 1\n```\n||spoiler|| `code` [link](https://example.org)",
            "components": [{"type": 1, "components": [menu]}, {"type": 1, "components": buttons}],
        }  # fmt: skip

    def _discord_layouts(self) -> list[Json]:
        """Messages without content: components of version 2, and an embed with a picture."""
        picture = {"id": "7", "filename": "cat.png", "content_type": "image/png", "size": 100}
        self.discord.files["7"] = (picture, make_image())
        common = {"author": self.discord.bot.json(), "timestamp": "2027-01-15T07:00:00+00:00", "content": ""}
        return [
            {**common, "id": "7" * 18, "flags": COMPONENTS_V2, "components": [CONTAINER]},
            {**common, "id": "8" * 18, "flags": 0, "embeds": [EMBED], "attachments": [picture]},
        ]

    def show_form(self) -> None:
        """Open a form on Discord."""
        field = {"type": 4, "style": 2, "label": "What was wrong?", "required": False}
        modal = {"title": "Feedback", "components": [{"type": 1, "components": [field]}]}
        interaction = {"interaction_id": "5", "user_id": str(self._friend.id), "channel_id": "1", "message_id": None}
        self.page.log.add("discord.interaction", "5", **interaction, kind=2, state="acknowledged", modal=modal)

    @property
    def _friend(self) -> User:
        return next(user for user in self.discord.users.values() if user.name == "Ann")


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
    await page.get_by_role("button", name="Drop connections").first.click()
    await expect(page.get_by_text("No connection was open.")).to_be_visible()
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


async def serious_violations(page: Page, view: str, *panes: str) -> list[object]:
    """In these panes, or on the whole page."""
    results = await Axe().run(page, context={"include": [[f"#pane-{pane}"] for pane in panes]} if panes else None)
    return [
        (view, violation["id"], node["html"][:200], node["failureSummary"][:300])
        for violation in results.response["violations"]
        for node in violation["nodes"]
        if violation["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_page_has_no_serious_accessibility_violation(page: Page, sandbox: Sandbox, scheme: Any) -> None:
    await page.emulate_media(color_scheme=scheme)
    await sandbox.fill()
    sandbox.show_everything()
    telegram, discord = page.get_by_label("Telegram", exact=True), page.get_by_label("Discord", exact=True)
    await expect(discord.get_by_text("Hello, Discord")).to_be_visible()
    for text in ("In a section", "The description", "is typing…"):
        await expect(discord.get_by_text(text)).to_be_visible()
    await expect(discord.get_by_role("img", name="cat.png")).to_be_visible()
    await expect(telegram.get_by_role("columnheader", name="Name")).to_be_visible()
    await page.get_by_text("Break and repair").click()
    await page.get_by_label("Use up today's quota of").select_option(DEFAULT_MODEL)
    found = await serious_violations(page, "desk")

    fields = [pane.get_by_role("textbox", name="Message to") for pane in (telegram, discord)]
    for pane, field in zip((telegram, discord), fields, strict=True):
        await field.fill("/")
        await expect(pane.get_by_role("listbox").get_by_role("option")).to_have_count(2)
    found += await serious_violations(page, "command pickers", "telegram", "discord")

    await fields[0].fill("")
    await fields[1].fill("/model")
    await fields[1].press("Tab")
    await expect(discord.get_by_role("button", name="Run command")).to_be_visible()
    await discord.get_by_text("Choose a model").click()
    await telegram.get_by_role("article").last.get_by_role("button", name="What to do").click()
    found += await serious_violations(page, "menus and options", "telegram", "discord")
    await page.keyboard.press("Escape")

    sandbox.show_form()
    await expect(discord.get_by_role("dialog")).to_be_visible()
    found += await serious_violations(page, "form", "discord")
    await page.keyboard.press("Escape")
    await telegram.locator(".chat-title").click()
    await expect(telegram.get_by_role("dialog")).to_be_visible()
    found += await serious_violations(page, "profile", "telegram")
    await page.keyboard.press("Escape")

    await page.set_viewport_size(PHONE)
    for tab in ("Telegram", "Discord", "Inside"):
        await page.get_by_role("tab", name=tab).click()
        found += await serious_violations(page, f"{tab} on a phone", tab.lower())
    assert not found
