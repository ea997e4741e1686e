"""Commands, completions, buttons and menus: kept, acknowledged in time, answered where due."""

import asyncio
from typing import Any

import pytest

from bots.discord.adapter import DiscordAdapter
from bots.discord.interaction_token import InteractionToken, ResponseMode
from core.conversation.model_registry import Suggestion
from core.errors import DeliveryError, DeliveryFailure
from core.port import Button, EventKind, Incoming, MenuItem, Part
from tests.bots.discord.conftest import CHANNEL_PLACE, AdapterHarness
from tests.bots.discord.scripted_discord import (
    BOT,
    CHANNEL,
    DM,
    GUILD,
    PERSON,
    THREAD,
    ScriptedDiscord,
    error_reply,
)

ASK = [{"name": "prompt", "type": 3, "value": "why is\nthe sky blue?"}]
DIRECT: dict[str, Any] = {"channel": {"id": DM, "type": 1, "recipients": []}}
GROUP: dict[str, Any] = {
    "channel": {"id": DM, "type": 3, "recipients": [], "name": "us", "icon": None, "owner_id": "1"},
    "authorizing_integration_owners": {"1": PERSON},
}
USER_INSTALLED: dict[str, Any] = {
    "authorizing_integration_owners": {"1": PERSON},
    "app_permissions": "0",
}
MESSAGES_PATH = f"/channels/{CHANNEL}/messages"


async def acknowledgement(discord: ScriptedDiscord, interaction: str) -> dict[str, Any]:
    found: dict[str, Any] = await discord.wait_until(lambda: discord.callbacks.get(interaction))
    return found


async def use_ask_command(world: AdapterHarness, **where: Any) -> tuple[Incoming, dict[str, Any]]:
    interaction = await world.discord.command("ask", options=ASK, **where)
    incoming = await world.inbox.next()
    return incoming, await acknowledgement(world.discord, interaction)


async def send_answer(
    chat: DiscordAdapter, incoming: Incoming, text: str, *, key: str = "k1", ephemeral: bool = False
) -> str:
    return await chat.send(
        incoming.place,
        Part(text),
        key=key,
        interaction_token=incoming.interaction_token,
        ephemeral=ephemeral,
    )


async def test_ask_shows_question_and_answers_by_message(
    world: AdapterHarness,
) -> None:
    chat = await world.start()
    incoming, shown = await use_ask_command(world)
    assert (incoming.kind, incoming.command) == (EventKind.COMMAND, "ask")
    assert incoming.text == "why is\nthe sky blue?"
    assert incoming.key.startswith("i")
    assert (incoming.sender.language, incoming.place.server) == ("de", GUILD)
    assert shown["type"] == 4
    assert shown["data"]["content"] == "> why is\n> the sky blue?"
    assert shown["data"]["allowed_mentions"]["parse"] == []
    message = await send_answer(chat, incoming, "because")
    [post] = world.discord.requests_to("POST", MESSAGES_PATH)
    assert post.body["content"] == "because"
    question = next(m for m in world.discord.messages.values() if m["content"].startswith(">"))
    assert post.body["message_reference"]["message_id"] == question["id"]
    assert world.discord.messages[message]["flags"] & 64 == 0


async def test_long_question_is_truncated(world: AdapterHarness) -> None:
    await world.start()
    long = [{"name": "prompt", "type": 3, "value": "x\n" * 3000}]
    interaction = await world.discord.command("ask", options=long)
    shown = await acknowledgement(world.discord, interaction)
    assert len(shown["data"]["content"]) <= 2000
    assert len((await world.inbox.next()).text) == 5999


async def test_ask_in_a_thread_posts_into_the_thread(world: AdapterHarness) -> None:
    chat = await world.start()
    thread = {"id": THREAD, "type": 11, "parent_id": CHANNEL, "name": "t"}
    incoming, _ = await use_ask_command(world, channel=thread)
    assert (incoming.place.chat, incoming.place.thread) == (CHANNEL, THREAD)
    await send_answer(chat, incoming, "here")
    assert world.discord.requests_to("POST", f"/channels/{THREAD}/messages")


async def test_ask_in_direct_messages_answers_by_message(world: AdapterHarness) -> None:
    chat = await world.start()
    incoming, shown = await use_ask_command(world, **DIRECT)
    assert incoming.place.is_private
    assert shown["type"] == 4
    await send_answer(chat, incoming, "hi")
    assert world.discord.requests_to("POST", f"/channels/{DM}/messages")


@pytest.mark.parametrize("where", [GROUP, USER_INSTALLED], ids=["group DM", "server without the bot"])
async def test_user_installed_ask_is_answered_through_interaction(world: AdapterHarness, where: dict[str, Any]) -> None:
    chat = await world.start()
    incoming, shown = await use_ask_command(world, **where)
    assert not incoming.place.is_private
    assert (shown["type"], shown["data"]["flags"]) == (5, 0)
    first = await send_answer(chat, incoming, "part one")
    second = await send_answer(chat, incoming, "part two", key="k2")
    await chat.edit(incoming.place, first, Part("part 1"), interaction_token=incoming.interaction_token)
    await chat.edit(incoming.place, second, Part("part 2"), interaction_token=incoming.interaction_token)
    texts = {m: world.discord.messages[m]["content"] for m in (first, second)}
    assert texts == {first: "part 1", second: "part 2"}
    assert not world.discord.requests_to("POST", "/channels/.*/messages")


async def test_answer_waits_for_acknowledgement(world: AdapterHarness) -> None:
    chat = await world.start()
    go = asyncio.Event()

    async def slow(_: object) -> None:
        await go.wait()

    world.discord.script("POST", "/interactions/.*/callback", slow)
    await world.discord.command("ask", options=ASK, **USER_INSTALLED)
    incoming = await world.inbox.next()
    sending = asyncio.create_task(send_answer(chat, incoming, "early"))
    await world.discord.wait_until(lambda: world.discord.requests_to("POST", "/interactions/.*"))
    assert not world.discord.requests_to("PATCH", "/webhooks/.*")
    go.set()
    assert world.discord.messages[await sending]["content"] == "early"


async def test_slow_store_does_not_delay_acknowledgement(world: AdapterHarness) -> None:
    chat = await world.start()
    world.inbox.may_store.clear()
    interaction = await world.discord.command("model", options=[])
    shown = await acknowledgement(world.discord, interaction)
    assert (shown["type"], shown["data"]["flags"]) == (5, 64)
    assert world.inbox.arrived.empty()
    world.inbox.may_store.set()
    incoming = await world.inbox.next()
    message = await send_answer(chat, incoming, "the model", ephemeral=True)
    assert world.discord.messages[message]["flags"] & 64


@pytest.mark.parametrize("late", [False, True])
async def test_unstored_command_is_reported(world: AdapterHarness, late: bool) -> None:
    await world.start()
    world.inbox.is_failing = True
    if late:
        world.inbox.may_store.clear()
    interaction = await world.discord.command("model")
    await acknowledgement(world.discord, interaction)
    world.inbox.may_store.set()
    told = await world.discord.wait_until(
        lambda: [m for m in world.discord.messages.values() if "could not save" in m["content"]]
    )
    assert told[0]["flags"] & 64


async def test_question_of_denied_user_is_removed(world: AdapterHarness) -> None:
    """The database took so long that the question was shown before it was known whose it is."""
    await world.start()
    world.inbox.denies = True
    world.inbox.may_store.clear()
    interaction = await world.discord.command("ask", options=ASK)
    await acknowledgement(world.discord, interaction)
    world.inbox.may_store.set()
    told = await world.discord.wait_until(
        lambda: [m for m in world.discord.messages.values() if "approved by" in m["content"]]
    )
    assert told[0]["flags"] & 64
    shown = world.discord.messages
    await world.discord.wait_until(lambda: not any("sky" in m["content"] for m in shown.values()))


async def test_ephemeral_command_is_answered_privately(world: AdapterHarness) -> None:
    chat = await world.start()
    options = [
        {"name": "scope", "type": 3, "value": "me"},
        {"name": "name", "type": 3, "value": "llama"},
    ]
    await world.discord.command("model", options=options)
    incoming = await world.inbox.next()
    assert (incoming.command, incoming.text) == ("model", "llama me")
    first = await send_answer(chat, incoming, "one", ephemeral=True)
    second = await send_answer(chat, incoming, "two", key="k2", ephemeral=True)
    assert first != second
    assert all(world.discord.messages[m]["flags"] & 64 for m in (first, second))
    await chat.delete(incoming.place, second, interaction_token=incoming.interaction_token)
    assert second not in world.discord.messages


async def test_undeclared_command_reaches_core(world: AdapterHarness) -> None:
    await world.start()
    options = [{"name": "any", "type": 3, "value": "thing"}]
    interaction = await world.discord.command("forgotten", options=options)
    incoming = await world.inbox.next()
    assert (incoming.command, incoming.text) == ("forgotten", "thing")
    assert (await acknowledgement(world.discord, interaction))["data"]["flags"] == 64


async def test_ephemeral_command_is_answered_after_restart(world: AdapterHarness) -> None:
    await world.start()
    await world.discord.command("usage")
    incoming = await world.inbox.next()
    await world.discord.wait_until(lambda: world.discord.callbacks)
    chat = await world.restart()
    first = await send_answer(chat, incoming, "12 tokens", ephemeral=True)
    assert first in world.discord.originals.values()
    assert world.discord.messages[first]["content"] == "12 tokens"
    chat = await world.restart()
    assert await send_answer(chat, incoming, "12 tokens", ephemeral=True) == first  # the same one again
    assert await send_answer(chat, incoming, "more", key="k2", ephemeral=True) != first


async def test_ask_is_answered_after_restart(world: AdapterHarness) -> None:
    await world.start()
    incoming, _ = await use_ask_command(world)
    chat = await world.restart()
    await send_answer(chat, incoming, "late but here")
    [post] = world.discord.requests_to("POST", MESSAGES_PATH)
    assert post.body["message_reference"]["message_id"] in world.discord.originals.values()


async def test_expired_interaction_is_gone_where_posting_is_forbidden(
    world: AdapterHarness,
) -> None:
    chat = await world.start()
    old = {"application_id": BOT, "interaction_id": "1", "token": "t", "expires_at": 1}
    quiet = InteractionToken(mode=ResponseMode.EPHEMERAL, can_post=True, **old).encode()  # type: ignore[arg-type]
    with pytest.raises(DeliveryError) as gone:
        await chat.send(CHANNEL_PLACE, Part("x"), key="k", interaction_token=quiet)
    assert gone.value.failure is DeliveryFailure.GONE
    ask = InteractionToken(mode=ResponseMode.CHANNEL, can_post=True, **old).encode()  # type: ignore[arg-type]
    assert await chat.send(CHANNEL_PLACE, Part("x"), key="k", interaction_token=ask) in world.discord.messages


async def test_interaction_answers_where_posting_is_forbidden(world: AdapterHarness) -> None:
    chat = await world.start()
    incoming, _ = await use_ask_command(world)
    world.discord.script("POST", MESSAGES_PATH, error_reply(403, 50001))
    message = await send_answer(chat, incoming, "another way")
    await chat.edit(incoming.place, message, Part("edited"), interaction_token=incoming.interaction_token)
    assert world.discord.messages[message]["content"] == "edited"
    assert world.discord.requests_to("POST", "/webhooks/.*")


async def test_completions_fit_discord_limits(world: AdapterHarness) -> None:
    await world.start()
    world.completions = [Suggestion("L" * 150, f"model-{n}") for n in range(40)]
    world.completions.insert(1, Suggestion("too long to be a value", "v" * 101))
    typing = [{"name": "name", "type": 3, "value": "lla", "focused": True}]
    interaction = await world.discord.command("model", kind=4, options=typing)
    body = await acknowledgement(world.discord, interaction)
    choices = body["data"]["choices"]
    assert body["type"] == 8
    assert 20 <= len(choices) <= 25
    assert choices[0] == {"name": "L" * 100, "value": "model-0"}
    assert all(len(choice["value"]) <= 100 for choice in choices)
    assert world.completion_requests == ["lla"]
    assert world.inbox.arrived.empty()


async def test_button_works_after_restart(world: AdapterHarness) -> None:
    chat = await world.start()
    stop = Button("Stop", "stop:42", is_destructive=True)
    message = await chat.send(CHANNEL_PLACE, Part("thinking", buttons=(stop,)), key="k")
    [row] = world.discord.messages[message]["components"]
    custom_id = row["components"][0]["custom_id"]
    await world.restart()
    interaction = await world.discord.press(message, custom_id)
    pressed = await world.inbox.next()
    assert (pressed.kind, pressed.text, pressed.message_id) == (EventKind.BUTTON, "stop:42", message)
    assert (pressed.sender.user, pressed.key) == (PERSON, f"i{interaction}")
    assert (await acknowledgement(world.discord, interaction))["type"] == 6


async def test_button_answer_is_message_and_notice_is_ephemeral(world: AdapterHarness) -> None:
    chat = await world.start()
    retry = Part("done", buttons=(Button("Retry", "retry:1"),))
    message = await chat.send(CHANNEL_PLACE, retry, key="k")
    await world.discord.press(message, "parley:retry:1")
    pressed = await world.inbox.next()
    notice = await send_answer(chat, pressed, "not yours", key="k2", ephemeral=True)
    assert world.discord.messages[notice]["flags"] & 64
    again = await send_answer(chat, pressed, "again", key="k3")
    assert world.discord.messages[again]["flags"] & 64 == 0
    await chat.edit(pressed.place, again, Part("again!"), interaction_token=pressed.interaction_token)
    await chat.edit(pressed.place, message, Part("done"), interaction_token=pressed.interaction_token)
    assert world.discord.messages[again]["content"] == "again!"
    assert world.discord.messages[message]["components"] == []


async def test_ephemeral_menu_is_updated(world: AdapterHarness) -> None:
    chat = await world.start()
    await world.discord.command("model")
    incoming = await world.inbox.next()
    menu = tuple(MenuItem(f"Model {n}", f"model:{n}", "128k", is_selected=n == 1) for n in range(23))
    part = Part("Choose", menu=menu, buttons=(Button("More", "page:2"),))
    message = await chat.send(
        incoming.place, part, key="k", interaction_token=incoming.interaction_token, ephemeral=True
    )
    select_row, button_row = world.discord.messages[message]["components"]
    [select] = select_row["components"]
    assert (select["type"], len(select["options"])) == (3, 23)
    assert select["options"][1] == {
        "label": "Model 1",
        "value": "model:1",
        "description": "128k",
        "default": True,
    }
    assert len(button_row["components"]) == 1
    chat = await world.restart()
    interaction = await world.discord.press(message, select["custom_id"], values=["model:7"])
    pressed = await world.inbox.next()
    assert (pressed.text, pressed.message_id) == ("model:7", message)
    token = InteractionToken.decode(pressed.interaction_token or "").token
    world.discord.originals[token] = message
    await acknowledgement(world.discord, interaction)
    await chat.edit(pressed.place, message, Part("Model 7 it is"), interaction_token=pressed.interaction_token)
    assert world.discord.messages[message]["content"] == "Model 7 it is"
    assert world.discord.requests_to("PATCH", f"/webhooks/{BOT}/{token}/messages/@original")
