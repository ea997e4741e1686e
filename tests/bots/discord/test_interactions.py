"""Commands, completions, buttons and menus: kept, acknowledged in time, answered where due."""

import asyncio
from typing import Any

import pytest

from bots.discord.chat import DiscordChat
from bots.discord.ticket import Mode, Ticket
from core.errors import DeliveryError, Fault
from core.port import Button, Incoming, Kind, Option, Part
from tests.bots.discord.conftest import HERE, World
from tests.bots.discord.loopback import (
    BOT,
    CHANNEL,
    DM,
    GUILD,
    PERSON,
    THREAD,
    Loopback,
    refusal,
)

ASK = [{"name": "prompt", "type": 3, "value": "why is\nthe sky blue?"}]
DIRECT: dict[str, Any] = {"channel": {"id": DM, "type": 1, "recipients": []}}
GROUP: dict[str, Any] = {
    "channel": {"id": DM, "type": 3, "recipients": [], "name": "us", "icon": None, "owner_id": "1"},
    "authorizing_integration_owners": {"1": PERSON},
}
FOREIGN: dict[str, Any] = {"authorizing_integration_owners": {"1": PERSON}, "app_permissions": "0"}
POSTS = f"/channels/{CHANNEL}/messages"


async def acknowledgement(discord: Loopback, interaction: str) -> dict[str, Any]:
    found: dict[str, Any] = await discord.until(lambda: discord.callbacks.get(interaction))
    return found


async def asked(world: World, **where: Any) -> tuple[Incoming, dict[str, Any]]:
    interaction = await world.discord.command("ask", options=ASK, **where)
    incoming = await world.inbox.next()
    return incoming, await acknowledgement(world.discord, interaction)


async def answer(
    chat: DiscordChat, incoming: Incoming, text: str, *, key: str = "k1", quiet: bool = False
) -> str:
    return await chat.send(incoming.place, Part(text), key=key, ticket=incoming.ticket, quiet=quiet)


async def test_ask_in_a_server_shows_the_question_and_answers_by_a_normal_message(
    world: World,
) -> None:
    chat = await world.start()
    incoming, shown = await asked(world)
    assert (incoming.kind, incoming.command) == (Kind.COMMAND, "ask")
    assert incoming.text == "why is\nthe sky blue?"
    assert incoming.key.startswith("i")
    assert (incoming.sender.language, incoming.place.server) == ("de", GUILD)
    assert shown["type"] == 4
    assert shown["data"]["content"] == "> why is\n> the sky blue?"
    assert shown["data"]["allowed_mentions"]["parse"] == []
    message = await answer(chat, incoming, "because")
    [post] = world.discord.made("POST", POSTS)
    assert post.body["content"] == "because"
    question = next(m for m in world.discord.messages.values() if m["content"].startswith(">"))
    assert post.body["message_reference"]["message_id"] == question["id"]
    assert world.discord.messages[message]["flags"] & 64 == 0


async def test_a_long_question_is_shown_cut_to_the_limit(world: World) -> None:
    await world.start()
    long = [{"name": "prompt", "type": 3, "value": "x\n" * 3000}]
    interaction = await world.discord.command("ask", options=long)
    shown = await acknowledgement(world.discord, interaction)
    assert len(shown["data"]["content"]) <= 2000
    assert len((await world.inbox.next()).text) == 5999


async def test_ask_in_a_thread_posts_into_the_thread(world: World) -> None:
    chat = await world.start()
    thread = {"id": THREAD, "type": 11, "parent_id": CHANNEL, "name": "t"}
    incoming, _ = await asked(world, channel=thread)
    assert (incoming.place.chat, incoming.place.thread) == (CHANNEL, THREAD)
    await answer(chat, incoming, "here")
    assert world.discord.made("POST", f"/channels/{THREAD}/messages")


async def test_ask_in_direct_messages_answers_by_a_normal_message(world: World) -> None:
    chat = await world.start()
    incoming, shown = await asked(world, **DIRECT)
    assert incoming.place.private
    assert shown["type"] == 4
    await answer(chat, incoming, "hi")
    assert world.discord.made("POST", f"/channels/{DM}/messages")


@pytest.mark.parametrize("where", [GROUP, FOREIGN], ids=["group DM", "server without the bot"])
async def test_ask_as_a_user_installed_app_is_answered_through_the_interaction(
    world: World, where: dict[str, Any]
) -> None:
    chat = await world.start()
    incoming, shown = await asked(world, **where)
    assert not incoming.place.private
    assert (shown["type"], shown["data"]["flags"]) == (5, 0)
    first = await answer(chat, incoming, "part one")
    second = await answer(chat, incoming, "part two", key="k2")
    await chat.edit(incoming.place, first, Part("part 1"), ticket=incoming.ticket)
    await chat.edit(incoming.place, second, Part("part 2"), ticket=incoming.ticket)
    texts = {m: world.discord.messages[m]["content"] for m in (first, second)}
    assert texts == {first: "part 1", second: "part 2"}
    assert not world.discord.made("POST", "/channels/.*/messages")


async def test_an_answer_sent_before_the_acknowledgement_waits_for_it(world: World) -> None:
    chat = await world.start()
    go = asyncio.Event()

    async def slow(_: object) -> None:
        await go.wait()

    world.discord.misbehave("POST", "/interactions/.*/callback", slow)
    await world.discord.command("ask", options=ASK, **FOREIGN)
    incoming = await world.inbox.next()
    sending = asyncio.create_task(answer(chat, incoming, "early"))
    await world.discord.until(lambda: world.discord.made("POST", "/interactions/.*"))
    assert not world.discord.made("PATCH", "/webhooks/.*")
    go.set()
    assert world.discord.messages[await sending]["content"] == "early"


async def test_a_slow_store_does_not_delay_the_acknowledgement(world: World) -> None:
    chat = await world.start()
    world.inbox.gate.clear()
    interaction = await world.discord.command("model", options=[])
    shown = await acknowledgement(world.discord, interaction)
    assert (shown["type"], shown["data"]["flags"]) == (5, 64)
    assert world.inbox.arrived.empty()
    world.inbox.gate.set()
    incoming = await world.inbox.next()
    message = await answer(chat, incoming, "the model", quiet=True)
    assert world.discord.messages[message]["flags"] & 64


@pytest.mark.parametrize("late", [False, True])
async def test_a_command_that_can_not_be_kept_is_told(world: World, late: bool) -> None:
    await world.start()
    world.inbox.broken = True
    if late:
        world.inbox.gate.clear()
    interaction = await world.discord.command("model")
    await acknowledgement(world.discord, interaction)
    world.inbox.gate.set()
    told = await world.discord.until(
        lambda: [m for m in world.discord.messages.values() if "could not keep" in m["content"]]
    )
    assert told[0]["flags"] & 64


async def test_what_somebody_asks_who_is_not_let_in_does_not_stay_there(world: World) -> None:
    """The database took so long that the question was shown before it was known whose it is."""
    await world.start()
    world.inbox.denied = True
    world.inbox.gate.clear()
    interaction = await world.discord.command("ask", options=ASK)
    await acknowledgement(world.discord, interaction)
    world.inbox.gate.set()
    told = await world.discord.until(
        lambda: [m for m in world.discord.messages.values() if "let in" in m["content"]]
    )
    assert told[0]["flags"] & 64
    shown = world.discord.messages
    await world.discord.until(lambda: not any("sky" in m["content"] for m in shown.values()))


async def test_a_quiet_command_is_answered_to_the_person_alone(world: World) -> None:
    chat = await world.start()
    options = [
        {"name": "scope", "type": 3, "value": "me"},
        {"name": "name", "type": 3, "value": "llama"},
    ]
    await world.discord.command("model", options=options)
    incoming = await world.inbox.next()
    assert (incoming.command, incoming.text) == ("model", "llama me")
    first = await answer(chat, incoming, "one", quiet=True)
    second = await answer(chat, incoming, "two", key="k2", quiet=True)
    assert first != second
    assert all(world.discord.messages[m]["flags"] & 64 for m in (first, second))
    await chat.delete(incoming.place, second, ticket=incoming.ticket)
    assert second not in world.discord.messages


async def test_a_command_nobody_declares_any_more_still_reaches_the_core(world: World) -> None:
    await world.start()
    options = [{"name": "any", "type": 3, "value": "thing"}]
    interaction = await world.discord.command("forgotten", options=options)
    incoming = await world.inbox.next()
    assert (incoming.command, incoming.text) == ("forgotten", "thing")
    assert (await acknowledgement(world.discord, interaction))["data"]["flags"] == 64


async def test_a_quiet_command_is_answered_after_a_restart(world: World) -> None:
    await world.start()
    await world.discord.command("usage")
    incoming = await world.inbox.next()
    await world.discord.until(lambda: world.discord.callbacks)
    chat = await world.restart()
    first = await answer(chat, incoming, "12 tokens", quiet=True)
    assert first in world.discord.originals.values()
    assert world.discord.messages[first]["content"] == "12 tokens"
    chat = await world.restart()
    assert await answer(chat, incoming, "12 tokens", quiet=True) == first  # the same one again
    assert await answer(chat, incoming, "more", key="k2", quiet=True) != first


async def test_ask_is_answered_after_a_restart_in_reply_to_the_question(world: World) -> None:
    await world.start()
    incoming, _ = await asked(world)
    chat = await world.restart()
    await answer(chat, incoming, "late but here")
    [post] = world.discord.made("POST", POSTS)
    assert post.body["message_reference"]["message_id"] in world.discord.originals.values()


async def test_an_expired_interaction_is_gone_unless_the_bot_may_post(world: World) -> None:
    chat = await world.start()
    old = {"application": BOT, "interaction": "1", "token": "t", "expires": 1}
    quiet = Ticket(mode=Mode.QUIET, posts=True, **old).encode()  # type: ignore[arg-type]
    with pytest.raises(DeliveryError) as gone:
        await chat.send(HERE, Part("x"), key="k", ticket=quiet)
    assert gone.value.fault is Fault.GONE
    ask = Ticket(mode=Mode.POST, posts=True, **old).encode()  # type: ignore[arg-type]
    assert await chat.send(HERE, Part("x"), key="k", ticket=ask) in world.discord.messages


async def test_where_posting_turns_out_forbidden_the_interaction_answers(world: World) -> None:
    chat = await world.start()
    incoming, _ = await asked(world)
    world.discord.misbehave("POST", POSTS, refusal(403, 50001))
    message = await answer(chat, incoming, "another way")
    await chat.edit(incoming.place, message, Part("edited"), ticket=incoming.ticket)
    assert world.discord.messages[message]["content"] == "edited"
    assert world.discord.made("POST", "/webhooks/.*")


async def test_completion_comes_from_the_core_within_discords_limits(world: World) -> None:
    await world.start()
    world.suggested = [("L" * 150, f"model-{n}") for n in range(40)]
    world.suggested.insert(1, ("too long to be a value", "v" * 101))
    typing = [{"name": "name", "type": 3, "value": "lla", "focused": True}]
    interaction = await world.discord.command("model", kind=4, options=typing)
    body = await acknowledgement(world.discord, interaction)
    choices = body["data"]["choices"]
    assert body["type"] == 8
    assert 20 <= len(choices) <= 25
    assert choices[0] == {"name": "L" * 100, "value": "model-0"}
    assert all(len(choice["value"]) <= 100 for choice in choices)
    [(place, sender, typed)] = world.asked
    assert (place.chat, sender.user, typed) == (CHANNEL, PERSON, "lla")
    assert world.inbox.arrived.empty()


async def test_a_button_works_after_a_restart(world: World) -> None:
    chat = await world.start()
    stop = Button("Stop", "stop:42", danger=True)
    message = await chat.send(HERE, Part("thinking", buttons=(stop,)), key="k")
    [row] = world.discord.messages[message]["components"]
    custom_id = row["components"][0]["custom_id"]
    await world.restart()
    interaction = await world.discord.press(message, custom_id)
    pressed = await world.inbox.next()
    assert (pressed.kind, pressed.text, pressed.message) == (Kind.BUTTON, "stop:42", message)
    assert (pressed.sender.user, pressed.key) == (PERSON, f"i{interaction}")
    assert (await acknowledgement(world.discord, interaction))["type"] == 6


async def test_a_pressed_buttons_answer_is_a_message_and_its_notice_is_quiet(world: World) -> None:
    chat = await world.start()
    retry = Part("done", buttons=(Button("Retry", "retry:1"),))
    message = await chat.send(HERE, retry, key="k")
    await world.discord.press(message, "parley:retry:1")
    pressed = await world.inbox.next()
    notice = await answer(chat, pressed, "not yours", key="k2", quiet=True)
    assert world.discord.messages[notice]["flags"] & 64
    again = await answer(chat, pressed, "again", key="k3")
    assert world.discord.messages[again]["flags"] & 64 == 0
    await chat.edit(pressed.place, again, Part("again!"), ticket=pressed.ticket)
    await chat.edit(pressed.place, message, Part("done"), ticket=pressed.ticket)
    assert world.discord.messages[again]["content"] == "again!"
    assert world.discord.messages[message]["components"] == []


async def test_a_menu_for_one_person_is_pressed_and_changed(world: World) -> None:
    chat = await world.start()
    await world.discord.command("model")
    incoming = await world.inbox.next()
    menu = tuple(Option(f"Model {n}", f"model:{n}", "128k", chosen=n == 1) for n in range(23))
    part = Part("Choose", menu=menu, buttons=(Button("More", "page:2"),))
    message = await chat.send(incoming.place, part, key="k", ticket=incoming.ticket, quiet=True)
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
    assert (pressed.text, pressed.message) == ("model:7", message)
    token = Ticket.decode(pressed.ticket or "").token
    world.discord.originals[token] = message
    await acknowledgement(world.discord, interaction)
    await chat.edit(pressed.place, message, Part("Model 7 it is"), ticket=pressed.ticket)
    assert world.discord.messages[message]["content"] == "Model 7 it is"
    assert world.discord.made("PATCH", f"/webhooks/{BOT}/{token}/messages/@original")
