"""What a newcomer does on the page."""

import asyncio

from playwright.async_api import Locator, Page, expect


async def ask(pane: Locator, text: str) -> None:
    field = pane.get_by_role("textbox", name="Message to")
    await field.fill(text)
    await field.press("Enter")


async def test_both_bots_answer_while_they_write(page: Page) -> None:
    await expect(page.get_by_text("The bot is running")).to_be_visible()
    panes = page.get_by_label("Telegram", exact=True), page.get_by_label("Discord", exact=True)
    await panes[0].get_by_role("button", name="Start", exact=True).click()
    for pane in panes:
        await ask(pane, "long 2500")
    # While an answer can be stopped, its beginning is there already.
    await asyncio.gather(*(expect(pane.get_by_role("button", name="Stop")).to_be_visible() for pane in panes))
    messages = panes[0].get_by_role("log"), panes[1]
    await asyncio.gather(*(expect(part.get_by_text("Section 1")).to_be_visible() for part in messages))
    await expect(messages[0].get_by_text("Section 7")).to_be_hidden()
    for pane, part in zip(panes, messages, strict=True):
        await expect(part.get_by_text("Section 7")).to_be_visible()
        await expect(pane.get_by_role("button", name="Stop")).to_be_hidden()
    await page.reload()
    for part in messages:
        await expect(part.get_by_text("Section 7")).to_be_visible()
