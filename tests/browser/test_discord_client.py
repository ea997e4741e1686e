"""Discord's client on the page, without a bot: it draws what the test announces, and asks for what the person does."""

import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, FilePayload, Locator, expect

from bots.sandbox.stand_in import Json
from bots.sandbox.web.server import ChatFile
from tests.browser.conftest import launched_browser
from tests.browser.discord_messages import COMPONENTS_V2, CONTAINER, EMBED
from tests.browser.scripted_page import ScriptedPage
from tests.images import make_image

# One browser for all tests: its start takes longer than a test.
pytestmark = pytest.mark.asyncio(loop_scope="module")

BOT: Json = {"id": "1", "global_name": "Parley", "bot": True}
ANN: Json = {"id": "1001", "global_name": "Ann", "bot": False}
CHANNEL: Json = {"id": "50", "name": "general"}
CHAT_INPUT, STRING, BOOLEAN, ATTACHMENT = 1, 3, 5, 11
PLACE = {"person": "1001", "channel": "50"}
FILE: FilePayload = {"name": "notes.txt", "mimeType": "text/plain", "buffer": b"some notes"}
COMMANDS: list[Json] = [
    {
        "name": "ask",
        "description": "Ask",
        "options": [
            {"name": "question", "description": "What", "type": STRING},
            {"name": "private", "description": "Only for you", "type": BOOLEAN},
        ],
    },
    {
        "name": "model",
        "description": "Choose a model",
        "options": [{"name": "name", "description": "Which", "type": STRING, "autocomplete": True}],
    },
    {
        "name": "remember",
        "description": "Store a file",
        "options": [{"name": "file", "description": "Which", "type": ATTACHMENT, "required": True}],
    },
]
LOCALISED: Json = {
    "type": CHAT_INPUT,
    "name": "key",
    "name_localizations": {"de": "schlüssel"},
    "description": "Your key",
    "description_localizations": {"de": "Dein Schlüssel"},
    "options": [
        {
            "name": "action",
            "name_localizations": {"de": "aktion"},
            "description": "What",
            "description_localizations": {"de": "Was"},
            "type": STRING,
            "choices": [{"name": "delete", "value": "delete", "name_localizations": {"de": "löschen"}}],
        }
    ],
}


class Client(ScriptedPage):
    """Discord's pane in a browser, with the channel "general"."""

    def __init__(self) -> None:
        super().__init__()
        self.announce_channels(CHANNEL)
        self.log.add("discord.commands", "commands", commands=[{"type": CHAT_INPUT, **one} for one in COMMANDS])

    def announce_channels(self, *channels: Json, person: Json = ANN) -> None:
        guild = {"id": "40", "name": "Server", "members": ["1001"], "channels": list(channels)}
        self.log.add("discord.world", "world", bot=BOT, people=[person], guilds=[guild], direct_channels=[])

    def show(self, message_id: int, content: str = "", **fields: Any) -> None:
        """A message of the bot in the channel."""
        timestamp = datetime.fromtimestamp(1_800_000_000 + message_id, UTC).isoformat()
        message = {
            "id": str(message_id),
            "author": BOT,
            "content": content,
            "timestamp": timestamp,
            "flags": 0,
            **fields,
        }
        event: Json = {"channel_id": "50", "ephemeral_to": None, "is_deleted": False, "reactions": {}}
        self.log.add("discord.message", str(message_id), **event, message=message)

    @property
    def field(self) -> Locator:
        return self.pane.get_by_role("textbox", name="Message to Discord")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with launched_browser() as browser:
        yield browser


@pytest_asyncio.fixture(loop_scope="module")
async def client(browser: Browser) -> AsyncIterator[Client]:
    async with Client().opened(browser, "Discord") as client:
        yield client


async def test_command_is_chosen_by_keyboard(client: Client) -> None:
    await client.field.press_sequentially("/")
    options = client.pane.get_by_role("listbox", name="Commands").get_by_role("option")
    await expect(options).to_have_count(3)
    await expect(options.nth(0)).to_have_attribute("aria-selected", "true")
    for key, index in (("ArrowDown", 1), ("ArrowDown", 2), ("ArrowDown", 0), ("ArrowUp", 2), ("ArrowUp", 1)):
        await client.field.press(key)
        await expect(options.nth(index)).to_have_attribute("aria-selected", "true")
        active = await options.nth(index).get_attribute("id")
        await expect(client.field).to_have_attribute("aria-activedescendant", active or "")
    await client.field.press("Enter")
    await expect(client.pane.get_by_text("/model Choose a model")).to_be_visible()


async def test_mentioned_command_is_filled_in_by_keyboard_and_click(client: Client) -> None:
    client.show(60, "Choose another with </model:11>, not with </gone:12> or `</model:11>`.")
    mention = client.pane.get_by_role("button", name="/model", exact=True)
    await mention.focus()
    await mention.press("Enter")
    option = client.pane.get_by_label("name: Which")
    await expect(option).to_be_focused()
    await option.press("Escape")
    await expect(client.field).to_be_visible()
    await mention.click()
    await expect(option).to_be_focused()
    await expect(client.pane.get_by_role("button", name="/gone")).to_have_count(0)


async def test_commands_have_names_in_the_persons_language(client: Client) -> None:
    client.announce_channels(CHANNEL, person={**ANN, "locale": "de"})
    client.log.add("discord.commands", "commands", commands=[LOCALISED])
    options = client.pane.get_by_role("listbox", name="Commands").get_by_role("option")
    for typed in ("/schlü", "/KEY", "/ey"):
        await client.field.fill(typed)
        await expect(options).to_have_text("/schlüsselDein Schlüssel")
    await client.field.fill("/schlüssel")
    await client.field.press("Tab")
    option = client.pane.get_by_label("aktion: Was")
    await expect(option.get_by_role("option")).to_have_text(["–", "löschen"])
    await option.select_option("delete")
    await client.pane.get_by_role("button", name="Run command").click()
    action = await client.next_action()
    assert (action["action"], action["name"], action["options"]) == ("discord.command", "key", {"action": "delete"})


async def test_options_are_completed_while_typing(client: Client) -> None:
    client.result = [{"name": "phi-4", "value": "microsoft/phi-4"}]
    await client.field.fill("/model")
    await client.field.press("Tab")
    option = client.pane.get_by_label("name: Which")
    await expect(option).to_be_focused()
    await option.press_sequentially("phi")
    action = await client.next_action()
    while action.get("current") != "phi":  # a slow page asks for what was typed first, too
        action = await client.next_action()
    assert (action["action"], action["name"], action["option"]) == ("discord.autocomplete", "model", "name")
    await expect(client.pane.locator("datalist option")).to_have_attribute("value", "microsoft/phi-4")
    client.result = "77"
    await option.fill("microsoft/phi-4")
    await option.press("Enter")
    action = await client.next_action()
    while action["action"] != "discord.command":
        action = await client.next_action()
    assert (action["name"], action["options"]) == ("model", {"name": "microsoft/phi-4"})


async def test_truth_value_is_sent_as_one(client: Client) -> None:
    """The bot takes no number for one: a private question would be public."""
    await client.field.fill("/ask")
    await client.field.press("Tab")
    await client.pane.get_by_label("private: Only for you").select_option("True")
    await client.pane.get_by_role("button", name="Run command").click()
    action = await client.next_action()
    assert action["options"] == {"private": True}
    assert action["options"]["private"] is True


async def test_file_is_sent(client: Client) -> None:
    await client.pane.get_by_label("Attach a file").set_input_files(FILE)
    await expect(client.pane.get_by_text("notes.txt")).to_be_visible()
    await client.field.fill("My notes")
    await client.field.press("Enter")
    sent = await client.next_action()
    assert (sent["action"], sent["text"]) == ("discord.send", "My notes")
    assert client.uploads.take(sent["upload"]).content == b"some notes"


async def test_upload_that_fails_is_said_and_can_be_repeated(client: Client) -> None:
    await client.page.route("**/uploads*", lambda route: route.abort())
    client.expected_error = "net::ERR_FAILED"
    failures = client.page.get_by_text("The file could not be sent.")
    await client.pane.get_by_label("Attach a file").set_input_files(FILE)
    await expect(failures).to_have_count(1)
    await client.field.fill("/remember")
    await client.field.press("Tab")
    option = client.pane.get_by_label("file: Which")
    await option.set_input_files(FILE)
    await expect(failures).to_have_count(2)
    await expect(option).to_have_value("")
    await client.page.unroute("**/uploads*")
    await option.set_input_files(FILE)
    await client.pane.get_by_role("button", name="Run command").click()
    action = await client.next_action()
    assert client.uploads.take(action["options"]["file"]).name == "notes.txt"


async def test_what_a_message_can_carry_is_drawn(client: Client) -> None:
    picture = {"id": "70", "filename": "cat.png", "content_type": "image/png", "size": 100}
    client.files["70"] = ChatFile("cat.png", make_image())
    client.show(1, components=[CONTAINER], flags=COMPONENTS_V2)
    client.show(2, "", embeds=[EMBED], attachments=[picture])
    client.log.add("discord.typing", "50", channel_id="50", until=time.time() + 600)
    messages = client.pane.get_by_role("list", name="Messages")
    container = messages.locator(".container")
    await expect(container.locator("strong")).to_have_text("bold")
    for text in ("In a section", "After the line"):
        await expect(container.get_by_text(text)).to_be_visible()
    await expect(container.get_by_role("button", name="Beside it")).to_be_visible()
    await expect(container.get_by_role("separator")).to_be_visible()
    await container.get_by_role("button", name="In a row").click()
    assert await client.next_action() == {"action": "discord.press", **PLACE, "message": "1", "custom_id": "row:1"}
    embed = messages.get_by_role("article")
    for text in ("The author", "The description", "The field", "The value", "The footer"):
        await expect(embed.get_by_text(text)).to_be_visible()
    await expect(embed.get_by_role("link", name="The title")).to_have_attribute("href", "https://example.org/")
    image = messages.get_by_role("img", name="cat.png")
    await expect(image).to_be_visible()
    await expect(image).to_have_js_property("naturalWidth", 64)
    await expect(client.pane.get_by_text("Parley is typing…")).to_be_visible()
    await expect(messages.get_by_text("Unknown component")).to_have_count(0)
    client.log.add("discord.typing", "50", channel_id="50", until=time.time() - 1)
    await expect(client.pane.get_by_text("is typing…")).to_have_count(0)


async def test_component_that_cannot_be_drawn_says_so(client: Client) -> None:
    client.show(1, components=[{"type": 99}], flags=COMPONENTS_V2)
    await expect(client.pane.get_by_text("Unknown component of type 99")).to_be_visible()


async def test_menu_of_choices_is_used(client: Client) -> None:
    options = [{"label": "Phi", "value": "phi"}, {"label": "Gemma", "value": "gemma"}]
    menu = {"type": 3, "custom_id": "models:1", "placeholder": "Choose a model", "options": options}
    client.show(1, "Models", components=[{"type": 1, "components": [menu]}])
    await client.pane.get_by_text("Choose a model").click()
    await client.pane.get_by_role("button", name="Gemma").click()
    assert await client.next_action() == {
        "action": "discord.select", **PLACE, "message": "1", "custom_id": "models:1", "values": ["gemma"],
    }  # fmt: skip


async def test_form_keeps_the_focus_and_gives_it_back(client: Client) -> None:
    button = {"type": 2, "style": 2, "label": "Feedback", "custom_id": "feedback:1"}
    client.show(1, "Answer", components=[{"type": 1, "components": [button]}])
    feedback = client.pane.get_by_role("button", name="Feedback")
    field = {"type": 4, "style": 1, "label": "What was wrong?", "required": True}
    modal = {"title": "Feedback form", "components": [{"type": 1, "components": [field]}]}
    for number in (1, 2):
        await feedback.focus()
        await feedback.press("Enter")
        assert (await client.next_action())["action"] == "discord.press"
        interaction = {"interaction_id": str(number), "user_id": "1001", "channel_id": "50", "message_id": "1"}
        client.log.add("discord.interaction", str(number), **interaction, state="acknowledged", modal=modal)
        form = client.pane.get_by_role("dialog", name="Feedback form")
        await expect(form.get_by_label("What was wrong?")).to_be_focused()
        for _ in range(7):
            await client.page.keyboard.press("Tab")
            is_inside = "document.activeElement === document.body || document.activeElement.closest('dialog') !== null"
            assert await client.page.evaluate(is_inside)
        if number == 1:
            await client.page.keyboard.press("Escape")
        else:
            await form.get_by_label("What was wrong?").fill("Too long")
            await form.get_by_label("What was wrong?").press("Enter")
            action = await client.next_action()
            assert action == {"action": "discord.submit", "interaction": "2", "text": "Too long"}
        await expect(form).to_be_hidden()
        await expect(feedback).to_be_focused()


async def test_thread_is_created_from_a_message(client: Client) -> None:
    client.show(1, "Which tea is best?")
    client.result = "1"
    message = client.pane.get_by_role("listitem").filter(has_text="Which tea is best?")
    await message.hover()
    await message.get_by_label("Message actions").click()
    await message.get_by_role("button", name="Create thread").click()
    form = client.pane.get_by_role("dialog", name="Create thread")
    await form.get_by_label("Thread name").fill("Tea")
    client.announce_channels(CHANNEL, {"id": "1", "name": "Tea", "parent_id": "50"})
    await form.get_by_role("button", name="Create thread").click()
    assert await client.next_action() == {"action": "discord.create_thread", **PLACE, "message": "1", "name": "Tea"}
    await expect(client.pane.get_by_role("heading", name="#Tea")).to_be_visible()
    await expect(form).to_be_hidden()
    await expect(client.field).to_be_focused()
