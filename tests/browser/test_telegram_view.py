"""Telegram's client on the page, without a bot: it draws what the test announces, and asks for what the person does."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from playwright.async_api import Browser, FilePayload, Locator, expect

from bots.sandbox.stand_in import Json
from tests.browser.scripted_page import ScriptedPage

BOT = {"id": 1, "is_bot": True, "first_name": "Parley", "username": "parley_bot", "description": "I answer questions."}
ANN = {"id": 1001, "is_bot": False, "first_name": "Ann", "language_code": "en"}
BEN = {"id": 1002, "is_bot": False, "first_name": "Ben", "language_code": "de"}
PRIVATE = {"id": 1001, "type": "private", "first_name": "Ann"}
GROUP = {"id": -100, "type": "supergroup", "title": "Team"}
COMMANDS = [("model", "Choose a model"), ("models", "List the models"), ("new", "Begin anew")]


class Client(ScriptedPage):
    """Telegram's pane in a browser."""

    def __init__(self) -> None:
        super().__init__()
        self.log.add(
            "telegram.world",
            "world",
            bot=BOT,
            people=[ANN, BEN],
            chats=[
                {**PRIVATE, "members": [1001], "topics": []},
                {**GROUP, "members": [1001, 1002], "topics": []},
            ],
        )
        for language, commands in (("", COMMANDS), ("de", [("modell", "Ein Modell wählen")])):
            self.log.add(
                "telegram.commands",
                f"default/{language}",
                scope="default",
                language_code=language,
                commands=[{"command": command, "description": text} for command, text in commands],
            )

    def show(self, message_id: int, chat: Json = PRIVATE, sender: Json = BOT, **fields: Any) -> None:
        """A message; `reactions` and `formulas` are the event's."""
        event = {"reactions": fields.pop("reactions", {}), "formulas": fields.pop("formulas", {}), "is_deleted": False}
        message = {"message_id": message_id, "date": 1_800_000_000 + message_id, "chat": chat, "from": sender, **fields}
        self.log.add("telegram.message", f"{chat['id']}/{message_id}", chat_id=chat["id"], message=message, **event)

    def show_draft(self, text: str, **fields: Any) -> None:
        draft: Json = {"draft_id": 7, "message_thread_id": None, "entities": [], "rich_message": None, "can_stop": True}
        drafts = [{**draft, "text": text, **fields}]
        self.log.add("telegram.drafts", "1001", chat_id=1001, drafts=drafts, formulas={})

    @property
    def field(self) -> Locator:
        return self.pane.get_by_role("textbox", name="Message to")

    def message(self, text: str) -> Locator:
        return self.pane.get_by_role("article").filter(has_text=text)

    async def choose(self, text: str, item: str) -> None:
        """Choose from the menu of the message with this text."""
        message = self.message(text)
        await message.hover()
        await message.get_by_role("button", name="What to do").click()
        await message.get_by_role("menuitem", name=item).click()


@pytest.fixture
async def client(browser: Browser) -> AsyncIterator[Client]:
    async with Client().opened(browser, "Telegram") as client:
        yield client


async def test_empty_chat_shows_the_bot_and_start(client: Client) -> None:
    await expect(client.pane.get_by_text("I answer questions.")).to_be_visible()
    await client.pane.get_by_role("button", name="Start").click()
    assert await client.next_action() == {"action": "telegram.send", "person": 1001, "chat": 1001, "text": "/start"}
    client.show(1, sender=ANN, text="/start")
    await expect(client.field).to_be_visible()


async def test_formatting_is_what_the_bot_sent(client: Client) -> None:
    text = "See 😀 bold and a secret.\nx = 1"
    entities = [
        {"type": "bold", "offset": text.index("bold") + 1, "length": 4},
        {"type": "spoiler", "offset": text.index("secret") + 1, "length": 6},
        {"type": "pre", "offset": text.index("x = 1") + 1, "length": 5, "language": "python"},
        {"type": "hologram", "offset": 0, "length": 3},
    ]
    client.show(1, text=text, entities=entities)
    message = client.message("See")
    await expect(message.locator("strong")).to_have_text("bold")
    await expect(message.get_by_title("Unknown entity: hologram")).to_have_text("See")
    await expect(message.locator("pre")).to_have_text("x = 1")
    await expect(message.get_by_text("secret", exact=True)).to_be_hidden()
    await message.get_by_role("button", name="Hidden text").press("Enter")
    await expect(message.get_by_text("secret", exact=True)).to_be_visible()
    await client.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await message.get_by_role("button", name="Copy code").click()
    assert await client.page.evaluate("navigator.clipboard.readText()") == "x = 1"


async def test_rich_blocks_and_unknown_ones(client: Client) -> None:
    cell = {"align": "left", "valign": "middle"}
    math = ["math", {}, [["msup", {}, [["mi", {}, ["x"]], ["mn", {}, ["2"]]]]]]
    blocks = [
        {"type": "heading", "size": 2, "text": "Planets"},
        {"type": "table", "cells": [[{**cell, "text": "Name", "is_header": True}], [{**cell, "text": "Earth"}]]},
        {"type": "mathematical_expression", "expression": "x^2"},
        {"type": "details", "summary": "More", "blocks": [{"type": "paragraph", "text": "inside"}]},
        {"type": "hologram"},
    ]
    client.show(1, rich_message={"blocks": blocks}, formulas={"x^2": math})
    message = client.message("Planets")
    await expect(message.get_by_role("columnheader")).to_have_text("Name")
    await expect(message.locator("math msup")).to_be_visible()
    await expect(message.get_by_text("inside")).to_be_hidden()
    await message.get_by_text("More").click()
    await expect(message.get_by_text("inside")).to_be_visible()
    await expect(message.get_by_text("unknown block: hologram")).to_be_visible()


async def test_draft_grows_and_can_be_stopped(client: Client) -> None:
    client.show(1, sender=ANN, text="Why?")
    client.show_draft("")
    draft = client.pane.get_by_role("article", name="The bot is writing")
    await expect(draft).to_contain_text("Thinking…")
    client.show_draft("Because of the first reason")
    await expect(draft).to_contain_text("Because of the first reason")
    await draft.get_by_role("button", name="Stop").click()
    assert await client.next_action() == {"action": "telegram.stop", "chat": 1001, "draft": 7}
    client.log.add("telegram.drafts", "1001", chat_id=1001, drafts=[], formulas={})
    await expect(draft).to_be_hidden()


async def test_pressed_button_is_busy_and_shows_the_answer(client: Client) -> None:
    markup = {"inline_keyboard": [[{"text": "Retry", "callback_data": "retry:1"}]]}
    client.show(1, text="Answer", reply_markup=markup)
    await client.pane.get_by_role("button", name="Retry").click()
    assert await client.next_action() == {
        "action": "telegram.press", "person": 1001, "chat": 1001, "message": 1, "data": "retry:1",
    }  # fmt: skip
    client.log.add("telegram.notice", None, person=1001, chat_id=1001, message_id=1, text="Soon.", show_alert=False)
    await expect(client.pane.get_by_text("Soon.")).to_be_visible()
    client.log.add("telegram.notice", None, person=1001, chat_id=1001, message_id=1, text="No.", show_alert=True)
    await client.pane.get_by_role("dialog").get_by_role("button", name="OK").click()
    await expect(client.pane.get_by_text("No.")).to_be_hidden()


async def test_menu_of_a_message(client: Client) -> None:
    client.show(1, sender=ANN, text="My question")
    client.show(2, text="The answer", reactions={"👀": [1]})
    place = {"person": 1001, "chat": 1001}
    await client.choose("The answer", "Reply")
    await client.field.press_sequentially("And why?")
    await client.field.press("Enter")
    assert await client.next_action() == {"action": "telegram.send", **place, "text": "And why?", "reply_to": 2}
    await (
        client.message("The answer")
        .get_by_text("The answer")
        .evaluate("(element) => getSelection().setBaseAndExtent(element.firstChild, 4, element.firstChild, 10)")
    )
    await client.choose("The answer", "Quote and reply")
    await client.field.press_sequentially("Which?")
    await client.field.press("Enter")
    assert await client.next_action() == {
        "action": "telegram.send", **place, "text": "Which?", "reply_to": 2, "quote": "answer",
    }  # fmt: skip
    await client.choose("My question", "Edit")
    await client.field.fill("My better question")
    await client.field.press("Enter")
    assert await client.next_action() == {
        "action": "telegram.edit", **place, "message": 1, "text": "My better question",
    }  # fmt: skip
    await client.choose("My question", "Delete")
    assert await client.next_action() == {"action": "telegram.delete", **place, "message": 1}
    await client.message("The answer").get_by_role("button", name="👀").click()
    assert await client.next_action() == {"action": "telegram.react", **place, "message": 2, "emoji": "👀"}


async def test_keys_act_on_what_was_typed_though_no_frame_was_drawn_since(client: Client) -> None:
    client.show(1, text="Hello")
    await expect(client.field).to_be_visible()
    await client.page.evaluate("window.requestAnimationFrame = () => {}")
    await client.field.press_sequentially("/mo")
    for key in ("ArrowDown", "Enter"):
        await client.field.press(key)
    assert (await client.next_action())["text"] == "/models"


async def test_sent_message_leaves_the_focus_where_the_person_went(client: Client) -> None:
    client.show(1, text="Hello")
    client.may_act.clear()
    await client.field.fill("How are you?")
    await client.field.press("Enter")
    await client.next_action()
    elsewhere = client.page.get_by_role("button", name="Theme")
    await elsewhere.focus()
    client.may_act.set()
    await expect(client.field).to_have_value("")
    await client.page.evaluate("new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)))")
    await expect(elsewhere).to_be_focused()


async def test_offer_for_what_is_typed_after_the_bots_name_is_sent(client: Client) -> None:
    client.show(1, text="Hello")
    results = [
        {"id": "ask", "title": "Ask Parley", "description": "why"},
        {"id": "own", "title": "Why not?", "description": "Your last answer"},
    ]
    client.result = {"query": "7", "results": results}
    await client.field.press_sequentially("@Parley_bot why")
    assert await client.next_action() == {
        "action": "telegram.type_inline", "person": 1001, "chat": 1001, "text": "why",
    }  # fmt: skip
    offers = client.pane.get_by_role("listbox", name="What the bot offers").get_by_role("option")
    await expect(offers).to_have_text(["Ask Parleywhy", "Why not?Your last answer"])
    await client.field.press("Enter")
    assert await client.next_action() == {
        "action": "telegram.choose_result", "chat": 1001, "query": "7", "result": "ask",
    }  # fmt: skip
    await expect(offers).to_have_count(0)
    await expect(client.field).to_have_value("")
    client.show(2, sender=ANN, text="why", via_bot=BOT)
    await expect(client.message("why")).to_contain_text("via @parley_bot")


async def test_nothing_is_asked_about_a_text_that_was_sent_before_the_pause(client: Client) -> None:
    client.show(1, text="Hello")
    await client.field.fill("@parley_bot why")
    await client.field.press("Enter")
    assert (await client.next_action())["action"] == "telegram.send"
    await client.page.evaluate("new Promise((resolve) => setTimeout(resolve, 500))")  # timers end in their order
    assert client.is_idle


async def test_commands_are_filtered_while_typing_and_chosen_by_keyboard(client: Client) -> None:
    client.show(1, text="Hello")
    await client.field.press_sequentially("/mo")
    options = client.pane.get_by_role("listbox").get_by_role("option")
    await expect(options).to_have_text(["/modelChoose a model", "/modelsList the models"])
    await client.field.press("ArrowDown")
    await client.field.press("Enter")
    assert (await client.next_action())["text"] == "/models"
    await expect(client.field).to_be_focused()
    await expect(client.field).to_have_value("")
    await client.field.press_sequentially("/new idea")
    await expect(options).to_have_count(0)
    await client.field.press("Shift+Enter")
    await client.field.press_sequentially("second line")
    await client.field.press("Enter")
    assert (await client.next_action())["text"] == "/new idea\nsecond line"


async def test_pictures_are_sent_as_an_album_or_as_files(client: Client) -> None:
    client.show(1, text="Hello")
    pictures: list[FilePayload] = [
        {"name": f"{name}.png", "mimeType": "image/png", "buffer": b"\x89PNG"} for name in ("a", "b")
    ]
    await client.pane.get_by_label("Attach files").set_input_files(pictures)
    await client.field.press("Enter")
    first, second = [await client.next_action() for _ in pictures]
    assert first["album"] == second["album"]
    assert "as_file" not in first
    await client.pane.get_by_label("Attach files").set_input_files(pictures[:1])
    await client.pane.get_by_label("Send pictures as files").check()
    await client.field.press("Enter")
    file = await client.next_action()
    assert file["as_file"]
    assert "album" not in file
    await expect(client.pane.get_by_label("Send pictures as files")).to_have_count(0)


async def test_sticker_is_sent_as_a_reply(client: Client) -> None:
    client.show(1, text="Hello")
    await client.choose("Hello", "Reply")
    await client.pane.get_by_role("button", name="Send a sticker").click()
    assert await client.next_action() == {
        "action": "telegram.send_sticker", "person": 1001, "chat": 1001, "reply_to": 1,
    }  # fmt: skip
    await expect(client.pane.get_by_label("Do not reply")).to_have_count(0)


async def test_files_are_sent_with_a_caption(client: Client) -> None:
    client.show(1, text="Hello")
    files: list[FilePayload] = [
        {"name": "a.txt", "mimeType": "text/plain", "buffer": b"first"},
        {"name": "b.txt", "mimeType": "text/plain", "buffer": b"second"},
    ]
    await client.pane.get_by_label("Attach files").set_input_files(files)
    await client.field.fill("Two files")
    await client.field.press("Enter")
    first, second = await client.next_action(), await client.next_action()
    assert (first["text"], second.get("text")) == ("Two files", None)
    uploads = [client.uploads.take(action["upload"]) for action in (first, second)]
    assert [(upload.name, upload.content) for upload in uploads] == [("a.txt", b"first"), ("b.txt", b"second")]


async def test_several_people_with_their_own_chats_and_unread_counts(client: Client) -> None:
    client.show(1, text="Hello")
    client.show(2, chat=GROUP, text="Hello all")
    await client.pane.get_by_role("button", name="Back").click()
    chats = client.pane.get_by_role("navigation", name="Telegram chats")
    await expect(chats.get_by_role("button")).to_have_count(2)
    await expect(chats.get_by_role("button", name="Team")).to_contain_text("1")
    await client.pane.get_by_role("combobox", name="You are").select_option("Ben")
    await expect(chats.get_by_role("button")).to_have_count(1)
    await chats.get_by_role("button", name="Team").click()
    await expect(client.message("Hello all")).to_be_visible()
    await client.field.press_sequentially("/")
    await expect(client.pane.get_by_role("listbox").get_by_role("option")).to_have_text(["/modellEin Modell wählen"])
    await client.field.press("Enter")
    sent = await client.next_action()
    assert (sent["person"], sent["chat"], sent["text"]) == (1002, -100, "/")
    await client.pane.get_by_role("combobox", name="You are").select_option("Ann")
    await client.field.fill("And me")
    await client.field.press("Enter")
    sent = await client.next_action()
    assert (sent["person"], sent["chat"]) == (1001, -100), "still in the group"
    await client.pane.get_by_role("button", name="Back").click()
    await expect(chats.get_by_role("button", name="Team").get_by_label("unread")).to_have_count(0)


async def test_link_to_the_bot_offers_start_with_its_parameter(client: Client) -> None:
    text = "https://t.me/parley_bot?start=invite42"
    client.show(1, text=text, entities=[{"type": "url", "offset": 0, "length": len(text)}])
    await client.pane.get_by_role("link", name=text).click()
    await client.pane.get_by_role("button", name="Start").click()
    assert (await client.next_action())["text"] == "/start invite42"


async def test_long_chat_shows_the_newest_messages_first(client: Client) -> None:
    for number in range(1, 151):
        client.show(number, text=f"Message {number} of many")
    await expect(client.message("Message 150 of")).to_be_in_viewport()
    await expect(client.message("Message 50 of")).to_have_count(0)
    await client.pane.get_by_role("button", name="Earlier messages").click()
    await expect(client.message("Message 50 of")).to_have_count(1)


async def test_open_chat_and_person_survive_a_reload(client: Client) -> None:
    client.show(2, chat=GROUP, text="Hello all")
    await client.pane.get_by_role("button", name="Back").click()
    await client.pane.get_by_role("combobox", name="You are").select_option("Ben")
    await client.pane.get_by_role("button", name="Team").click()
    await client.page.reload()
    await expect(client.message("Hello all")).to_be_visible()
    await client.field.fill("Hi")
    await client.field.press("Enter")
    assert (await client.next_action())["person"] == 1002
