"""What happens in the stand-ins becomes events: secrets stay out, limits are measured, turns are followed."""

from pathlib import Path
from typing import Any

import httpx2
import pytest

from bots.sandbox.discord import DiscordStandIn
from bots.sandbox.telegram import TelegramStandIn
from bots.sandbox.web.discord_feed import DiscordFeed
from bots.sandbox.web.event_log import EventLog
from bots.sandbox.web.formulas import formulas_of
from bots.sandbox.web.telegram_feed import TelegramFeed
from bots.sandbox.web.turn_feed import TurnFeed
from bots.sandbox.web.world import World
from core.store.turn_log import TurnSummary
from tests.clock import FakeClock


def events(log: EventLog, event_type: str) -> list[dict[str, Any]]:
    return [event for event in log.replay() if event["type"] == event_type]


class Platforms:
    """Both stand-ins with their feeds, and a client that calls them as a bot does."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.telegram, self.discord = TelegramStandIn(clock=self.clock), DiscordStandIn(clock=self.clock)
        self.world = World(self.telegram, self.discord)
        self.log = EventLog(self.clock)
        self.telegram_feed, self.discord_feed = TelegramFeed(self.world, self.log), DiscordFeed(self.world, self.log)

    async def call_telegram(self, method: str, **params: object) -> None:
        async with httpx2.AsyncClient() as client:
            await client.post(f"{self.telegram.api_base}/bot{self.telegram.token}/{method}", json=params)

    async def call_discord(self, method: str, path: str, **body: object) -> None:
        headers = {"Authorization": f"Bot {self.discord.token}"}
        async with httpx2.AsyncClient() as client:
            await client.request(method, f"{self.discord.api_base}{path}", json=body, headers=headers)


@pytest.fixture
async def platforms() -> Any:
    platforms = Platforms()
    await platforms.telegram.start()
    await platforms.discord.start()
    yield platforms
    await platforms.telegram.close()
    await platforms.discord.close()


async def test_world_has_chats_of_every_kind(platforms: Platforms) -> None:
    platforms.telegram_feed.announce_world()
    platforms.discord_feed.announce_world()
    [telegram], [discord] = events(platforms.log, "telegram.world"), events(platforms.log, "discord.world")
    assert {chat["type"] for chat in telegram["chats"]} == {"private", "supergroup"}
    assert [topic["name"] for chat in telegram["chats"] for topic in chat["topics"]] == ["Ideas", "Questions"]
    assert [person["first_name"] for person in telegram["people"]] == ["Ann", "Ben", "Chloé"]
    assert len(discord["guilds"]) == 2
    assert len(discord["direct_channels"]) == 3


async def test_telegram_message_is_the_raw_object_until_it_is_deleted(platforms: Platforms) -> None:
    chat = platforms.telegram.open_private_chat(platforms.world.telegram_people[0])
    await platforms.call_telegram("sendMessage", chat_id=chat.id, text="Hi", entities=[])
    [message] = events(platforms.log, "telegram.message")
    assert message["message"] == chat.messages[-1].json()
    await platforms.call_telegram("deleteMessage", chat_id=chat.id, message_id=chat.messages[-1].id)
    [message] = events(platforms.log, "telegram.message")
    assert message["is_deleted"]


async def test_draft_appears_and_goes(platforms: Platforms) -> None:
    chat = platforms.telegram.open_private_chat(platforms.world.telegram_people[0])
    await platforms.call_telegram("sendMessageDraft", chat_id=chat.id, draft_id=5, text="Half", can_stop=True)
    [drafts] = events(platforms.log, "telegram.drafts")
    assert [(draft["draft_id"], draft["text"], draft["can_stop"]) for draft in drafts["drafts"]] == [(5, "Half", True)]
    await platforms.call_telegram("sendMessage", chat_id=chat.id, text="Whole")
    [drafts] = events(platforms.log, "telegram.drafts")
    assert drafts["drafts"] == []


async def test_typing_ends_with_the_message(platforms: Platforms) -> None:
    chat = platforms.telegram.open_private_chat(platforms.world.telegram_people[0])
    await platforms.call_telegram("sendChatAction", chat_id=chat.id, action="typing")
    [typing] = events(platforms.log, "telegram.typing")
    assert typing["until"] == platforms.clock.time() + 5
    await platforms.call_telegram("sendMessage", chat_id=chat.id, text="Hi")
    [typing] = events(platforms.log, "telegram.typing")
    assert typing["until"] <= platforms.clock.time()


async def test_reactions_of_people_and_bot_are_shown_together(platforms: Platforms) -> None:
    ann = platforms.world.telegram_people[0]
    chat = platforms.telegram.open_private_chat(ann)
    message = await platforms.telegram.send_message(ann, chat, "Hi")
    platforms.telegram_feed.set_reaction(message, ann.id, "👍")
    reaction = [{"type": "emoji", "emoji": "👀"}]
    await platforms.call_telegram("setMessageReaction", chat_id=chat.id, message_id=message.id, reaction=reaction)
    assert events(platforms.log, "telegram.message")[-1]["reactions"] == {
        "👀": [platforms.telegram.bot.id],
        "👍": [ann.id],
    }


async def test_command_menu_is_shown_by_scope_and_language(platforms: Platforms) -> None:
    commands = [{"command": "help", "description": "Hilfe"}]
    await platforms.call_telegram("setMyCommands", commands=commands, language_code="de")
    [menu] = events(platforms.log, "telegram.commands")
    assert (menu["key"], menu["commands"]) == ("default/de", commands)


async def test_call_says_what_it_costs(platforms: Platforms) -> None:
    chat = platforms.telegram.open_private_chat(platforms.world.telegram_people[0])
    await platforms.call_telegram("sendMessage", chat_id=chat.id, text="Hi")
    channel = platforms.discord.open_dm(platforms.world.discord_people[0])
    await platforms.call_discord("POST", f"/channels/{channel.id}/messages", content="Hi")
    costs = {
        (call["platform"], cost["budget"]): (cost["used"], cost["limit"])
        for call in events(platforms.log, "call")
        for cost in call["cost"]
    }
    assert costs["telegram", "messages"] in ((1, 5), (1, 30))
    assert costs["discord", "create"] == (1, 5)
    assert costs["discord", "overall"] == (1, 50)


async def test_refused_call_says_how_long_to_wait(platforms: Platforms) -> None:
    chat = platforms.telegram.open_private_chat(platforms.world.telegram_people[0])
    platforms.telegram.flood_control.block(chat.id, 20)
    await platforms.call_telegram("sendMessage", chat_id=chat.id, text="Hi")
    [call] = events(platforms.log, "call")
    assert (call["status"], call["wait"]) == (429, 20)


async def test_calls_show_no_secrets(platforms: Platforms) -> None:
    ann = platforms.world.discord_people[0]
    platforms.discord.commands = [{"id": "1", "name": "help", "type": 1, "options": []}]
    interaction = await platforms.discord.use_command(ann, platforms.discord.open_dm(ann), "help")
    path = f"/interactions/{interaction.id}/{interaction.token}/callback"
    await platforms.call_discord("POST", path, type=4, data={"content": "Hi"})
    await platforms.call_telegram("setWebhook", url="", secret_token="very-secret")
    text = str(events(platforms.log, "call")) + str(events(platforms.log, "budget"))
    assert "/callback" in text
    for secret in (interaction.token, "very-secret", platforms.telegram.token, platforms.discord.token):
        assert secret not in text


async def test_ephemeral_message_names_who_sees_it(platforms: Platforms) -> None:
    ann = platforms.world.discord_people[0]
    platforms.discord.commands = [{"id": "1", "name": "help", "type": 1, "options": []}]
    interaction = await platforms.discord.use_command(ann, platforms.discord.open_dm(ann), "help")
    path = f"/interactions/{interaction.id}/{interaction.token}/callback"
    await platforms.call_discord("POST", path, type=4, data={"content": "Hi", "flags": 64})
    [message] = events(platforms.log, "discord.message")
    assert message["ephemeral_to"] == str(ann.id)
    await platforms.discord_feed.follow(interaction)
    assert events(platforms.log, "discord.interaction")[-1]["state"] == "acknowledged"


def summary(state: str, attempt: int = 1) -> TurnSummary:
    return TurnSummary(7, state, "telegram:1:2", "telegram:1", "owner/model", attempt, 0, 10, 20, 1000.0, None)


def test_turn_shows_the_states_it_went_through(tmp_path: Path) -> None:
    clock = FakeClock()
    log = EventLog(clock)
    feed = TurnFeed(tmp_path / "none.sqlite3", log, clock)
    for turn in (summary("queued", 0), summary("running"), summary("running"), summary("running", 2)):
        feed.announce([turn])
    [turn_event] = events(log, "turn")
    assert [(state, attempt) for state, _, attempt in turn_event["states"]] == [
        ("queued", 0),
        ("running", 1),
        ("running", 2),
    ]


def test_formulas_anywhere_in_a_rich_message_become_mathml() -> None:
    inline = {"type": "mathematical_expression", "expression": r"\frac{1}{2}"}
    blocks = [{"type": "list", "items": [{"blocks": [{"type": "paragraph", "text": ["half is ", inline]}]}]}]
    blocks.append({"type": "mathematical_expression", "expression": r"\frac{"})
    formulas = formulas_of({"blocks": blocks})
    assert list(formulas) == [r"\frac{1}{2}"], "one that cannot be converted stays TeX"
    tag, attributes, [row] = formulas[r"\frac{1}{2}"]
    assert (tag, attributes) == ("math", {"display": "inline"})
    assert row[0] == "mrow"
    assert "mfrac" in str(row)
