"""Whoever may not use the bot gets nothing, by whatever way they reach it.

The ways are read from the adapters: the updates that the bot asks Telegram for, the handlers of events and interactions
of Discord's client, the commands, and the actions of buttons. One without a case here fails a test.
"""

import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bots.discord.commands import ASK_ABOUT_MESSAGE, MESSAGE_COMMANDS, commands_payload
from bots.discord.gateway_client import INTERACTION_HANDLERS, GatewayClient
from bots.discord.modals import ASK_MODAL, EDIT_MODAL, FIELD_CUSTOM_ID, MODAL_NAMES
from bots.discord.payloads import CUSTOM_ID_PREFIX
from bots.sandbox import discord as discord_stand_in
from bots.sandbox import telegram as telegram_stand_in
from bots.sandbox.discord.enums import CommandType, ComponentType, InteractionType
from bots.sandbox.telegram.state import MemberStatus
from bots.telegram.updates import ALLOWED_UPDATES
from core.buttons import ButtonAction
from core.commands.declarations import COMMANDS
from core.store import grants
from core.store.database import Store
from core.texts.answers import ACCESS_DENIED
from tests.end_to_end.harness import Harness, bot_texts, running_harness
from tests.waiting import wait_until

STRANGER, BANNED, REMOVED = "stranger", "banned person", "removed operator"
PEOPLE = (STRANGER, BANNED, REMOVED)
SECRET = "the answer to Olga"
EPHEMERAL = 1 << 6
SETTINGS = {
    "access": "pairing",
    "messages_a_minute": 10_000,
    "open_turns": 1_000,
    "telegram_seen_reaction": "👀",
}
"""With everything that the bot may do of its own accord."""

NO_PERSON = {"on_connect", "on_guild_available", "on_ready", "on_resumed", "on_disconnect", "on_error"}
"""Events of Discord's client that say something about the connection only."""


def forged_actions(person: str) -> list[str]:
    """The data of each button, with arguments that would have an effect if a person who may press it did."""
    arguments = ["1", "2", "3", person, "1:x", "0", "de", "microsoft/phi-4", ""]
    return [f"{action}:{argument}" for action in ButtonAction for argument in arguments]


class Bot:
    """The running bot with its operator, and one person who may not use it."""

    def __init__(self, harness: Harness, folder: Path) -> None:
        self.harness = harness
        self.folder = folder
        self.sentinels = 0

    async def change_grants(self, change: Callable[..., Any], *arguments: object) -> None:
        store = Store(self.harness.settings().core.database_url)
        await store.open(migrates=False)
        await store.write(change, *arguments)
        await store.close()

    def query(self, query: str, *arguments: str) -> list[Any]:
        with closing(sqlite3.connect(self.folder / "parley.sqlite3")) as database:
            return database.execute(query, arguments).fetchall()

    def roles(self) -> list[tuple[str, str]]:
        return self.query("SELECT subject, role FROM grants ORDER BY subject")

    def count_turns(self, person: str) -> int:
        """How many events of a person were stored."""
        ((count,),) = self.query("SELECT count(*) FROM turns WHERE person_key = ?", person)
        return int(count)

    def actions_on_secret(self, person: str) -> list[str]:
        """The data of each button under the answer to Olga, and of those that let `person` in."""
        ((turn,),) = self.query("SELECT turn_id FROM messages WHERE role = 'assistant' AND text = ?", SECRET)
        return [
            f"{action}:{person if action in (ButtonAction.APPROVE, ButtonAction.REFUSE) else turn}"
            for action in ButtonAction
        ]


# Telegram


@dataclass
class TelegramBot:
    bot: Bot
    telegram: telegram_stand_in.TelegramStandIn
    olga: Any
    """The operator."""
    mia: Any
    """Who may use the bot."""
    person: Any
    group: Any
    first_message: Any
    """Of the person."""
    inline_message: Any
    """By which Mia may ask, in a chat that the bot is not in."""

    @property
    def elsewhere(self) -> Any:
        return self.inline_message.chat

    @property
    def chat(self) -> Any:
        return self.telegram.open_private_chat(self.person)

    @property
    def subject(self) -> str:
        return f"telegram:person:{self.person.id}"

    async def forge_press(self, data: str, message: Any, user: Any = None) -> None:
        """What a modified client can send: any data, as if the message had such a button."""
        user = user or self.person
        pressed = {"inline_message_id": message.inline_id} if message.inline_id else {"message": message.json()}
        self.telegram.updates.add(
            "callback_query",
            {
                "id": str(next(self.telegram._query_ids)),
                "from": user.json(),
                "data": data,
                "chat_instance": "1",
                **pressed,
            },
            message.chat.id,
        )
        self.telegram.notify_waiters()

    async def answer_sentinel(self) -> None:
        """Wait until the bot has handled everything before a question of the operator."""
        self.bot.sentinels += 1
        text = f"sentinel {self.bot.sentinels}"
        chat = self.telegram.open_private_chat(self.olga)
        await self.telegram.send_message(self.olga, chat, f"repeat: {text}")
        await self.telegram.wait_for(lambda: text in "".join(bot_texts(self.telegram.messages(chat))), 30)


async def write_on_telegram(world: TelegramBot) -> None:
    telegram, person, group = world.telegram, world.person, world.group
    for text in (
        "hello",
        "/start",
        "/start AAAAA-AAAAA",
        "/help",
        "/ask hi",
        "/access_requests",
        "/stop",
        "/retry",
        "/key sk-1",
    ):
        await telegram.send_message(person, world.chat, text)
        await telegram.send_message(person, group, f"{text}@{telegram.bot.username}" if text.startswith("/") else text)
    for command in COMMANDS:
        await telegram.send_message(person, world.chat, f"/{command.name} on")
    await telegram.send_message(person, group, f"@{telegram.bot.username} hello")
    answer = next(message for message in telegram.messages(group) if message.from_bot)
    await telegram.send_message(person, group, "what about this?", reply_to=answer)
    for chat in (world.chat, group):
        await telegram.forward_message(person, chat, answer)
        await telegram.send_photo(person, chat, caption=f"@{telegram.bot.username} what is it?")
        await telegram.send_sticker(person, chat)
        await telegram.send_document(person, chat, "a.txt", b"text")


async def edit_on_telegram(world: TelegramBot) -> None:
    await world.telegram.edit_message(world.first_message, "my new question")


async def press_on_telegram(world: TelegramBot) -> None:
    answer = next(message for message in world.telegram.messages(world.group) if message.from_bot)
    for data in forged_actions(world.subject):
        await world.forge_press(data, answer)
        await world.forge_press(data, world.inline_message)
    for button in world.inline_message.buttons:
        await world.forge_press(button["callback_data"], world.inline_message)


async def add_to_group_on_telegram(world: TelegramBot) -> None:
    other_group = world.telegram.create_supergroup("Elsewhere", world.person)
    for status in (MemberStatus.LEFT, MemberStatus.MEMBER):
        world.telegram._set_bot_status(other_group, world.person, status)
    await world.telegram.promote_bot(world.person, other_group)


async def stop_on_telegram(world: TelegramBot) -> None:
    for draft in range(1, 40):
        payload = {"chat": world.chat.json(), "draft_id": draft}
        world.telegram.updates.add("stopped_message_generation", payload, world.chat.id)
    world.telegram.notify_waiters()


async def query_inline_on_telegram(world: TelegramBot) -> None:
    for text in ("", "h", "hello", SECRET):
        await world.telegram.type_inline(world.person, text)
    # The bot waits for a moment before it answers: until it has answered somebody else.
    query = await world.telegram.type_inline(world.mia, "hello")
    await world.telegram.wait_for(lambda: query in world.telegram.inline_answers, 30)
    (answer,) = (call for call in world.telegram.calls if call.params.get("inline_query_id") == query)
    world.telegram.calls.remove(answer)


async def choose_inline_on_telegram(world: TelegramBot) -> None:
    """As if the person had been offered something."""
    for result_id in ("ask", "text-0", "1"):
        chosen = {"result_id": result_id, "from": world.person.json(), "query": f"repeat: {SECRET}"}
        for inline_message_id in ("made-up", world.inline_message.inline_id):
            payload = chosen | {"inline_message_id": inline_message_id}
            world.telegram.updates.add("chosen_inline_result", payload, world.person.id)
    world.telegram.notify_waiters()


async def summon_on_telegram(world: TelegramBot) -> None:
    name = world.telegram.bot.username
    for text in (f"@{name} hello", f"/ask@{name} hi", f"/start@{name} AAAAA-AAAAA", f"/help@{name}"):
        await world.telegram.summon(world.person, world.elsewhere, text)
    # Another chat than the one with this ID that the bot knows.
    await world.telegram.summon(world.person, world.group, f"@{name} hello")


TELEGRAM_CASES: dict[str, Callable[[TelegramBot], Awaitable[None]]] = {
    "message": write_on_telegram,
    "edited_message": edit_on_telegram,
    "callback_query": press_on_telegram,
    "my_chat_member": add_to_group_on_telegram,
    "stopped_message_generation": stop_on_telegram,
    "inline_query": query_inline_on_telegram,
    "chosen_inline_result": choose_inline_on_telegram,
    "guest_message": summon_on_telegram,
}


async def place_question(world: TelegramBot) -> Any:
    """Mia's, whose button has not been pressed yet."""
    telegram = world.telegram
    telegram.has_inline_feedback = False
    elsewhere = telegram.create_supergroup("Elsewhere", world.mia, world.person)
    elsewhere.bot_status = MemberStatus.LEFT
    query = await telegram.type_inline(world.mia, "repeat: the answer to Mia")
    await telegram.wait_for(lambda: query in telegram.inline_answers, 30)
    return await telegram.choose_result(query, elsewhere, "ask")


@asynccontextmanager
async def telegram_bot(folder: Path, who: str) -> AsyncIterator[TelegramBot]:
    """The person has written once, so that a stranger has had the one answer that strangers get."""
    async with running_harness(folder) as harness:
        telegram = harness.telegram
        olga, mia, person = (telegram.create_user(name) for name in ("Olga", "Mia", "Eve"))
        group = telegram.create_supergroup("Home", olga, mia, person)
        await harness.start(**SETTINGS)
        bot = Bot(harness, folder)
        await bot.change_grants(grants.grant, f"telegram:person:{olga.id}", grants.Role.OPERATOR, "Olga")
        await bot.change_grants(grants.add_member, f"telegram:person:{mia.id}")
        world = TelegramBot(bot, telegram, olga, mia, person, group, None, None)
        if who == REMOVED:
            await bot.change_grants(grants.grant, world.subject, grants.Role.OPERATOR, "Eve")
            await telegram.send_message(person, world.chat, "repeat: the answer to Eve")
            await telegram.wait_for(lambda: "answer to Eve" in "".join(bot_texts(telegram.messages(world.chat))), 30)
            await bot.change_grants(grants.revoke, world.subject)
        if who == BANNED:
            await bot.change_grants(grants.ban, world.subject)
        await harness.stop()  # the next start reads the grants again
        await harness.start(**SETTINGS)
        await telegram.promote_bot(olga, group)  # it then receives every message
        world.first_message = await telegram.send_message(person, world.chat, "let me in")
        world.inline_message = await place_question(world)
        await telegram.send_message(olga, group, f"/ask@{telegram.bot.username} repeat: {SECRET}")
        await telegram.wait_for(lambda: SECRET in "".join(bot_texts(telegram.messages(group))), 30)
        await world.answer_sentinel()
        yield world


def test_every_update_of_telegram_has_a_case() -> None:
    assert TELEGRAM_CASES.keys() == set(ALLOWED_UPDATES)


@pytest.mark.parametrize("who", PEOPLE)
async def test_nobody_without_access_gets_anything_on_telegram(tmp_path: Path, who: str) -> None:
    async with telegram_bot(tmp_path, who) as world:
        olgas_chat = world.telegram.open_private_chat(world.olga)
        before, roles = bot_texts(world.telegram.messages(world.chat)), world.bot.roles()
        turns = world.bot.count_turns(f"telegram:{world.person.id}")
        for kind, case in TELEGRAM_CASES.items():
            world.telegram.calls.clear()
            requests = len(world.bot.harness.model.requests)
            await case(world)
            await world.answer_sentinel()
            calls = [call for call in world.telegram.calls if call.method.lower() != "getupdates"]
            calls = [call for call in calls if str(call.params.get("chat_id")) != str(olgas_chat.id)]
            # Telegram's clients show a spinner until a press is answered.
            unexpected = [c for c in calls if (c.method, [*c.params]) != ("answerCallbackQuery", ["callback_query_id"])]
            assert unexpected == [], kind
            assert len(world.bot.harness.model.requests) == requests + 1, kind
            assert world.bot.count_turns(f"telegram:{world.person.id}") == turns, kind
            assert world.bot.roles() == roles
        assert bot_texts(world.telegram.messages(world.chat)) == before
        assert (before == []) is (who == BANNED)


async def test_forged_presses_of_a_member_reach_nothing_of_others_on_telegram(tmp_path: Path) -> None:
    async with telegram_bot(tmp_path, STRANGER) as world:
        mia = world.mia
        chat = world.telegram.open_private_chat(mia)
        await world.telegram.send_message(mia, chat, "repeat: the answer to Mia")
        await world.telegram.wait_for(lambda: "answer to Mia" in "".join(bot_texts(world.telegram.messages(chat))), 30)
        own = next(message for message in world.telegram.messages(chat) if message.from_bot)
        group_before, roles = world.telegram.transcript(world.group), world.bot.roles()
        for data in world.bot.actions_on_secret(world.subject):
            await world.forge_press(data, own, mia)
        await world.answer_sentinel()
        await wait_until(lambda: world.bot.query("SELECT count(*) FROM turns WHERE finished_at IS NULL") == [(0,)], 60)
        assert SECRET not in world.telegram.transcript(chat)
        assert world.telegram.transcript(world.group) == group_before
        assert world.bot.roles() == roles


# Discord


@dataclass
class DiscordBot:
    bot: Bot
    discord: discord_stand_in.DiscordStandIn
    olga: Any
    """The operator."""
    mia: Any
    """Who may use the bot."""
    person: Any
    channel: Any
    answer: Any
    """Of the bot, to Olga, in the channel."""
    first_message: Any
    """Of the person."""
    operators_form: Any
    """A form that Olga has not sent yet."""

    @property
    def dm(self) -> Any:
        return self.discord.open_dm(self.person)

    @property
    def subject(self) -> str:
        return f"discord:person:{self.person.id}"

    async def forge_press(self, data: str, message: Any, user: Any = None) -> None:
        """What a modified client can send: any data, as if the message had such a button."""
        component = {"custom_id": CUSTOM_ID_PREFIX + data, "component_type": ComponentType.BUTTON}
        press = await self.discord._create_interaction(
            InteractionType.COMPONENT, user or self.person, message.channel, component, message=message
        )
        # Not all at once: Discord gives the bot three seconds for each.
        await self.discord.wait_for(lambda: press.acknowledged_at is not None, 30)

    async def answer_sentinel(self) -> None:
        """Wait until the bot has handled everything before a question of the operator."""
        self.bot.sentinels += 1
        text = f"sentinel {self.bot.sentinels}"
        dm = self.discord.open_dm(self.olga)
        await self.discord.send_message(self.olga, dm, f"repeat: {text}")
        await self.discord.wait_for(lambda: text in "".join(bot_texts(self.discord.messages(dm))), 30)


async def write_on_discord(world: DiscordBot) -> None:
    discord, person, channel = world.discord, world.person, world.channel
    for text in ("hello", "/start AAAAA-AAAAA", "/key sk-1", "/access_requests"):
        await discord.send_message(person, world.dm, text)
        await discord.send_message(person, channel, f"{discord.mention} {text}")
    await discord.send_message(person, channel, "what about this?", reply_to=world.answer)
    for place in (world.dm, channel):
        await discord.forward_message(person, place, world.answer)
        await discord.send_file(person, place, "a.txt", b"text", text=discord.mention)


async def edit_on_discord(world: DiscordBot) -> None:
    await world.discord.edit_message(world.person, world.first_message, "my new question")


async def use_commands_on_discord(world: DiscordBot) -> None:
    for place in (world.dm, world.channel):
        for command in COMMANDS:
            options: dict[str, Any] = {argument.name: "on" for argument in command.arguments if argument.is_required}
            await world.discord.use_command(world.person, place, command.name, **options)
        await world.discord.use_command(world.person, place, "ask", prompt="hi", private=True)


async def complete_on_discord(world: DiscordBot) -> None:
    for command in COMMANDS:
        for argument in command.arguments:
            if argument.autocompletes_models:
                for place in (world.dm, world.channel):
                    assert await world.discord.autocomplete(world.person, place, command.name, argument.name, "p") == []


async def use_message_commands_on_discord(world: DiscordBot) -> None:
    for name in MESSAGE_COMMANDS:
        await world.discord.use_message_command(world.person, world.answer, name)
        await world.discord.use_message_command(world.person, world.first_message, name)


async def submit_forms_on_discord(world: DiscordBot) -> None:
    """Forms that a modified client makes up, also those that are open to the operator."""
    forms = [world.operators_form.modal["custom_id"]]
    arguments = ["", "1", "2", "3", str(world.operators_form.id)]
    forms += [f"{name}:{argument}" for name in MODAL_NAMES for argument in arguments]
    for custom_id in forms:
        await world.discord.send_submission(
            world.operators_form, custom_id, FIELD_CUSTOM_ID, f"repeat: {SECRET}", user=world.person
        )


async def press_on_discord(world: DiscordBot) -> None:
    for data in forged_actions(world.subject):
        await world.forge_press(data, world.answer)


async def add_to_server_on_discord(world: DiscordBot) -> None:
    guild = world.discord.create_guild("Elsewhere", world.person, has_bot=False)
    world.discord.create_channel(guild, "general")
    await world.discord.add_bot(guild)


async def use_all_commands_on_discord(world: DiscordBot) -> None:
    for case in COMMAND_CASES.values():
        await case(world)


async def interact_on_discord(world: DiscordBot) -> None:
    for case in INTERACTION_CASES.values():
        await case(world)


INTERACTION_CASES: dict[Any, Callable[[DiscordBot], Awaitable[None]]] = {
    InteractionType.APPLICATION_COMMAND: use_all_commands_on_discord,
    InteractionType.AUTOCOMPLETE: complete_on_discord,
    InteractionType.COMPONENT: press_on_discord,
    InteractionType.MODAL_SUBMIT: submit_forms_on_discord,
}
COMMAND_CASES: dict[CommandType, Callable[[DiscordBot], Awaitable[None]]] = {
    CommandType.CHAT_INPUT: use_commands_on_discord,
    CommandType.MESSAGE: use_message_commands_on_discord,
}
DISCORD_CASES: dict[str, Callable[[DiscordBot], Awaitable[None]]] = {
    "on_message": write_on_discord,
    "on_raw_message_edit": edit_on_discord,
    "on_interaction": interact_on_discord,
    "on_guild_join": add_to_server_on_discord,
}


@asynccontextmanager
async def discord_bot(folder: Path, who: str) -> AsyncIterator[DiscordBot]:
    """The person has written once, so that a stranger has had the one answer that strangers get."""
    async with running_harness(folder) as harness:
        discord = harness.discord
        olga, mia, person = (discord.create_user(name) for name in ("Olga", "Mia", "Eve"))
        channel = discord.create_channel(discord.create_guild("Home", olga, mia, person), "general")
        await harness.start(**SETTINGS)
        bot = Bot(harness, folder)
        await bot.change_grants(grants.grant, f"discord:person:{olga.id}", grants.Role.OPERATOR, "Olga")
        await bot.change_grants(grants.add_member, f"discord:person:{mia.id}")
        subject = f"discord:person:{person.id}"
        if who == REMOVED:
            await bot.change_grants(grants.grant, subject, grants.Role.OPERATOR, "Eve")
            dm = discord.open_dm(person)
            await discord.send_message(person, dm, "repeat: the answer to Eve")
            await discord.wait_for(lambda: "answer to Eve" in "".join(bot_texts(discord.messages(dm))), 30)
            await bot.change_grants(grants.revoke, subject)
        if who == BANNED:
            await bot.change_grants(grants.ban, subject)
        await harness.stop()  # the next start reads the grants again
        await harness.start(**SETTINGS)
        first_message = await discord.send_message(person, discord.open_dm(person), "let me in")
        await discord.send_message(olga, channel, f"{discord.mention} repeat: {SECRET}")
        await discord.wait_for(lambda: SECRET in bot_texts(discord.messages(channel)), 30)
        answer = next(message for message in discord.messages(channel) if message.from_bot)
        form = await discord.use_message_command(olga, answer, ASK_ABOUT_MESSAGE)
        await discord.wait_for(lambda: form.modal is not None, 30)
        world = DiscordBot(bot, discord, olga, mia, person, channel, answer, first_message, form)
        await world.answer_sentinel()
        yield world


def test_every_event_of_discord_has_a_case() -> None:
    handlers = {name for name in vars(GatewayClient) if name.startswith("on_")}
    assert DISCORD_CASES.keys() == handlers - NO_PERSON
    assert {case.value for case in INTERACTION_CASES} == {handled.value for handled in INTERACTION_HANDLERS}
    assert {payload["type"] for payload in commands_payload(COMMANDS, {})} == {*map(int, COMMAND_CASES)}


def is_refusal(call: Any, who: str) -> bool:
    """Discord demands a response to what people do with commands and buttons. Only they see it."""
    if call.method != "POST" or not call.path.startswith("/interactions/"):
        return False
    if call.body in ({"type": 8, "data": {"choices": []}}, {"type": 6}):
        return True
    data = call.body.get("data", {})
    return who != BANNED and data.get("content") == ACCESS_DENIED and data.get("flags") == EPHEMERAL


def public_texts(world: DiscordBot, place: Any) -> list[str]:
    return bot_texts([message for message in world.discord.messages(place) if message.ephemeral_to is None])


@pytest.mark.parametrize("who", PEOPLE)
async def test_nobody_without_access_gets_anything_on_discord(tmp_path: Path, who: str) -> None:
    async with discord_bot(tmp_path, who) as world:
        discord, olgas_dm = world.discord, world.discord.open_dm(world.olga)
        before = [public_texts(world, place) for place in (world.channel, world.dm)]
        roles, turns = world.bot.roles(), world.bot.count_turns(f"discord:{world.person.id}")
        for name, case in DISCORD_CASES.items():
            discord.calls.clear()
            requests = len(world.bot.harness.model.requests)
            await case(world)
            await world.answer_sentinel()
            if who != BANNED:  # to whom commands get no response
                await discord.wait_for(lambda: all(i.acknowledged_at for i in discord.interactions.values()), 30)
            calls = [call for call in discord.calls if f"/channels/{olgas_dm.id}/" not in call.path]
            assert [call for call in calls if not is_refusal(call, who)] == [], name
            assert len(world.bot.harness.model.requests) == requests + 1, name
            assert world.bot.count_turns(f"discord:{world.person.id}") == turns, name
            assert world.bot.roles() == roles
        assert [public_texts(world, place) for place in (world.channel, world.dm)] == before


async def test_forged_presses_of_a_member_reach_nothing_of_others_on_discord(tmp_path: Path) -> None:
    async with discord_bot(tmp_path, STRANGER) as world:
        discord = world.discord
        mia = world.mia
        dm = discord.open_dm(mia)
        await discord.send_message(mia, dm, "repeat: the answer to Mia")
        await discord.wait_for(lambda: "answer to Mia" in "".join(bot_texts(discord.messages(dm))), 30)
        own = next(message for message in discord.messages(dm) if message.from_bot)
        roles = world.bot.roles()
        for data in world.bot.actions_on_secret(world.subject):
            await world.forge_press(data, own, mia)
        await world.answer_sentinel()
        await wait_until(lambda: world.bot.query("SELECT count(*) FROM turns WHERE finished_at IS NULL") == [(0,)], 60)
        turns = (data.partition(":")[2] for data in world.bot.actions_on_secret(world.subject))
        edits = {f"{EDIT_MODAL}:{turn}" for turn in turns}
        # With the ID of a message, the form would be Mia's own question about a message that she can read.
        for custom_id in (f"{ASK_MODAL}:{world.operators_form.id}", f"{ASK_MODAL}:1", *edits):
            await discord.send_submission(world.operators_form, custom_id, FIELD_CUSTOM_ID, "", user=mia)
        await world.answer_sentinel()
        assert SECRET not in discord.transcript(dm, mia)
        assert public_texts(world, world.channel) == [SECRET]
        assert world.bot.roles() == roles
