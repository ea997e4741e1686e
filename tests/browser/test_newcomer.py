"""What a newcomer does on the page."""

import asyncio
import os

import pytest
from playwright.async_api import Locator, Page, expect

from tests.browser.conftest import ROOT

IMAGES = ROOT / "docs" / "images"
pytestmark = pytest.mark.timeout(400)  # for a busy machine, where a bot takes half a minute to start


async def ask(pane: Locator, text: str) -> None:
    field = pane.get_by_role("textbox", name="Message to")
    await field.fill(text)
    await field.press("Enter")


async def test_newcomer_chats_breaks_the_service_and_kills_the_bot(page: Page) -> None:
    await expect(page.get_by_text("The bot is running")).to_be_visible()
    panes = page.get_by_label("Telegram", exact=True), page.get_by_label("Discord", exact=True)
    telegram, inside = panes[0], page.get_by_label("Inside", exact=True)
    await telegram.get_by_role("button", name="Start", exact=True).click()
    answers = telegram.get_by_role("log"), panes[1]

    # Both bots answer, and their answers grow.
    await inside.get_by_text("Break and repair").click()
    await inside.get_by_label("Speed").select_option(label="5 tokens/s")
    for pane in panes:
        await ask(pane, "long 2500")
    # While an answer can be stopped, its beginning is there already.
    await asyncio.gather(*(expect(pane.get_by_role("button", name="Stop")).to_be_visible() for pane in panes))
    await asyncio.gather(*(expect(part.get_by_text("Section 1")).to_be_visible() for part in answers))
    await expect(answers[0].get_by_text("Section 7")).to_be_hidden()

    # The bot is killed in mid-answer: both answers are completed.
    await inside.get_by_role("button", name="Kill the bot").click()
    await expect(page.get_by_text("The bot was killed")).to_be_visible()
    await inside.get_by_label("Speed").select_option(label="400 tokens/s")
    await inside.get_by_role("button", name="Start the bot").click()
    for pane, part in zip(panes, answers, strict=True):
        await expect(part.get_by_text("Section 7")).to_be_visible()
        await expect(pane.get_by_role("button", name="Stop")).to_be_hidden()
        await expect(part.get_by_text("Section 7")).to_have_count(1)

    # The model is switched.
    await ask(telegram, "/model phi-4")
    await expect(answers[0].get_by_text("Model: phi-4")).to_be_visible()

    # The service is broken, and repaired.
    await inside.get_by_label("Every question…").select_option(label="429: no credit")
    await expect(inside.get_by_text("2 things are broken")).to_be_visible()
    await ask(telegram, "repeat: nobody pays")
    await expect(answers[0].get_by_text("credit")).to_be_visible()
    await inside.get_by_role("button", name="Repair everything").click()
    await expect(inside.get_by_text("things are broken")).to_be_hidden()
    await ask(telegram, "repeat: It works again.")
    await expect(answers[0].get_by_text("It works again.", exact=True)).to_be_visible()

    # A reload shows the same.
    await page.reload()
    for part in answers:
        await expect(part.get_by_text("Section 7")).to_be_visible()


@pytest.mark.skipif(not os.environ.get("PARLEY_SCREENSHOTS"), reason="PARLEY_SCREENSHOTS=1 draws docs/images anew")
async def test_pictures_of_the_documentation(page: Page) -> None:
    await expect(page.get_by_text("The bot is running")).to_be_visible()
    telegram, discord = page.get_by_label("Telegram", exact=True), page.get_by_label("Discord", exact=True)
    await telegram.get_by_role("button", name="Start", exact=True).click()
    for pane in (telegram, discord):
        await ask(pane, "What can a chat show?")
    for part in (telegram.get_by_role("log"), discord):
        await expect(part.get_by_text("A quote")).to_be_visible()
        await expect(part.get_by_role("button", name="Retry")).to_be_visible()
    await page.screenshot(path=IMAGES / "sandbox-light.png")
    await page.emulate_media(color_scheme="dark")
    await page.screenshot(path=IMAGES / "sandbox-dark.png")
    await page.set_viewport_size({"width": 390, "height": 800})
    await page.screenshot(path=IMAGES / "sandbox-phone.png")
