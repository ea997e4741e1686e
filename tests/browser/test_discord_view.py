"""The Discord client of the page, used as a person would."""

import re

import pytest
from playwright.async_api import Locator, Page, expect

MARKDOWN_CASES = [
    ("**a** _b_ snake_case_x", [["bold", "a"], " ", ["italic", "b"], " snake_case_x"]),
    (
        "***both*** ~~s~~ __u__ ||x||",
        [["bold", ["italic", "both"]], " ", ["strike", "s"], " ", ["underline", "u"], " ", ["spoiler", "x"]],
    ),
    ("2 * 3 * 4, \\*no\\*", ["2 * 3 * 4, *no*"]),
    ("# Title\ntext", [["heading", "Title"], "text"]),
    ("> a\n> b\nc", [["quote", "a\nb"], "c"]),
    (">>> a\n# b", [["quote", "a\n", ["heading", "b"]]]),
    ("- a\n  - b\n- c", [["list", ["a", ["list", ["b"]]], ["c"]]]),
    ("```py\nx = *1*\n```\nend", [["codeBlock", "x = *1*"], "end"]),
    ("``a`b`` `*c*`", [["code", "a`b"], " ", ["code", "*c*"]]),
    ("[l](https://a.b/c_(d)) <https://e.f>", [["link", "l"], " ", ["link", "https://e.f"]]),
    ("[l](javascript:x) https://a.b/c.", ["[l](javascript:x) ", ["link", "https://a.b/c"], "."]),
    ("<@1> <#2> </ask:3>", [["mention", "1"], " ", ["mention", "2"], " ", ["mention", "ask"]]),
    ("-# small", [["subtext", "small"]]),
]
OUTLINE = """
async (source) => {
  const { parseMarkdown } = await import("/page/discord/markdown.js");
  const outline = (node) => {
    if (node.type === "text") return node.text;
    if (node.type === "list") return ["list", ...node.items.map((item) => item.map(outline))];
    return [node.type, ...(node.children?.map(outline) ?? [node.text ?? node.id])];
  };
  const joined = [];
  for (const one of parseMarkdown(source).map(outline)) {
    if (typeof one === "string" && typeof joined.at(-1) === "string") joined[joined.length - 1] += one;
    else joined.push(one);
  }
  return joined;
}
"""


@pytest.fixture
def pane(page: Page) -> Locator:
    return page.get_by_label("Discord", exact=True)


async def write(pane: Locator, text: str) -> None:
    field = pane.get_by_role("textbox", name="Message to Discord")
    await field.fill(text)
    await field.press("Enter")


async def test_enter_sends_what_was_typed_though_no_frame_was_drawn_since(page: Page, pane: Locator) -> None:
    field = pane.get_by_role("textbox", name="Message to Discord")
    await expect(field).to_be_visible()
    await page.evaluate("window.requestAnimationFrame = () => {}")
    await write(pane, "Hello")
    await expect(field).to_have_value("")  # empty once the message was sent


async def test_chatting_with_commands_menus_and_forms(page: Page, pane: Locator) -> None:
    for source, nodes in MARKDOWN_CASES:
        assert await page.evaluate(OUTLINE, source) == nodes, source

    await expect(pane.get_by_text("type / for its commands")).to_be_visible()
    await pane.get_by_role("textbox", name="Message to Discord").fill("/mod")
    await pane.get_by_role("option", name="/model", exact=False).first.click()
    await pane.get_by_role("button", name="Run command").click()
    await expect(pane.get_by_text("Only you can see this")).to_be_visible()
    await pane.get_by_role("button", name="Dismiss message").click()
    await expect(pane.get_by_text("Only you can see this")).to_be_hidden()

    await pane.get_by_role("button", name="general").click()
    await write(pane, "@Parley repeat: **Bold** and `code`")
    await expect(pane.locator("strong", has_text="Bold").nth(1)).to_be_visible()
    await pane.get_by_label("Speak as").first.select_option("Ben")
    await pane.get_by_role("button", name="general").click()
    await expect(pane.locator("strong", has_text="Bold").nth(1)).to_be_visible()

    answer = pane.locator(".message", has=page.locator(".badge")).last
    await answer.hover()
    await answer.get_by_label("Message actions").click()
    await answer.get_by_role("button", name="React with 🎉").click()
    await expect(answer.get_by_role("button", name=re.compile("🎉, 1"))).to_be_visible()
