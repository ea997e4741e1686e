"""Errors, interactions and rate limits, over plain HTTP and websockets."""

import asyncio
from typing import Any

import pytest

from bots.sandbox.discord import Limits
from bots.sandbox.discord.limits import FixedWindow
from tests.bots.sandbox.discord.raw_client import RawClient, raw_client


def button(**fields: Any) -> dict[str, Any]:
    return {"type": 2, "style": 1, "label": "Go", "custom_id": "go", **fields}


def rows(*items: dict[str, Any]) -> dict[str, Any]:
    return {"content": "x", "components": [{"type": 1, "components": list(items)}]}


def menu(count: int) -> dict[str, Any]:
    options = [{"label": str(n), "value": str(n)} for n in range(count)]
    return {"type": 3, "custom_id": "menu", "options": options}


def text(length: int) -> dict[str, Any]:
    return {"type": 10, "content": "x" * length}


def container(*components: dict[str, Any]) -> dict[str, Any]:
    return {"type": 17, "components": list(components)}


def section(*components: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"type": 9, "components": list(components), **fields}


def card(*components: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """A message of components V2."""
    return {"flags": 1 << 15, "components": list(components), **fields}


TEXT = text(1)
ROW = {"type": 1, "components": [button()]}
BAD_MESSAGES: list[tuple[dict[str, Any], int, str]] = [
    ({"content": "x" * 2001}, 50035, "content"),
    ({"content": ""}, 50006, ""),
    ({"content": " \n "}, 50006, ""),
    ({"components": [ROW]}, 50006, ""),
    ({"content": 5}, 50035, "content"),
    ({"content": "x", "nonce": "n" * 26}, 50035, "nonce"),
    ({"content": "x", "message_reference": {"message_id": "1"}}, 50035, "message_reference"),
    (
        {"content": "x", "allowed_mentions": {"parse": ["users"], "users": ["1"]}},
        50035,
        "allowed_mentions",
    ),
    ({"content": "x", "components": [ROW] * 6}, 50035, "components"),
    (rows(*(button(custom_id=str(n)) for n in range(6))), 50035, "components"),
    (rows(), 50035, "components"),
    (rows(button(), button()), 50035, "components"),
    (rows(button(custom_id="")), 50035, "components"),
    (rows(button(custom_id="c" * 101)), 50035, "components"),
    (rows(button(label="l" * 81)), 50035, "components"),
    (rows(button(label="")), 50035, "components"),
    (rows({"type": 10, "content": "x"}), 50035, "components"),
    (rows(menu(26)), 50035, "components"),
    (rows(menu(0)), 50035, "components"),
    (rows(menu(1), button()), 50035, "components"),
    ({"content": "x", "allowed_mentions": {"parse": ["all"]}}, 50035, "allowed_mentions"),
    ({"content": "x", "embeds": [{"title": "t"}]}, 50035, "embeds"),
    (card(TEXT, content="x"), 50035, "content"),
    (card(), 50006, ""),
    (card(*[TEXT] * 41), 50035, "components"),
    (card(text(2001), text(2000)), 50035, "components"),
    (card(text(0)), 50035, "components"),
    (card(container()), 50035, "components"),
    (card(container(container(TEXT))), 50035, "components"),
    (card(container(button())), 50035, "components"),
    (card(section(TEXT)), 50035, "components"),
    (card(section(*[TEXT] * 4, accessory=button())), 50035, "components"),
    (card(section(TEXT, accessory=menu(1))), 50035, "components"),
    (card(section(TEXT, accessory=button(label=""))), 50035, "components"),
    (card(ROW, ROW), 50035, "components"),
    (card(section(TEXT, accessory=button()), ROW), 50035, "components"),
    (card({"type": 99}), 50035, "components"),
]


@pytest.mark.parametrize(("body", "code", "field"), BAD_MESSAGES)
async def test_invalid_message_is_refused(raw: RawClient, body: dict[str, Any], code: int, field: str) -> None:
    status, error = await raw.call("POST", raw.messages_path, body)
    assert (status, error["code"]) == (400, code)
    assert next(iter(error.get("errors", {"": 0}))) == field
    assert raw.server.messages(raw.dm) == []


@pytest.mark.parametrize(
    "body",
    [
        {"content": "x" * 2000},
        {"content": "x", "nonce": "n" * 25},
        {"content": "x", "message_reference": {"message_id": "1", "fail_if_not_exists": False}},
        {
            "content": "x",
            "components": [
                {"type": 1, "components": [button(custom_id=f"{row}{n}") for n in range(5)]} for row in range(5)
            ],
        },
        rows(menu(25)),
        card(*[TEXT] * 40),
        card(container(text(1999), section(*[TEXT] * 3, accessory=button())), text(1998)),
        card(*({"type": 1, "components": [button(custom_id=str(n))]} for n in range(20))),
        card(TEXT, content=None),
    ],
)
async def test_message_at_limit_is_accepted(raw: RawClient, body: dict[str, Any]) -> None:
    status, message = await raw.call("POST", raw.messages_path, body)
    assert (status, message["content"]) == (200, body.get("content") or "")


async def test_card_stays_a_card(raw: RawClient) -> None:
    _, message = await raw.call("POST", raw.messages_path, {"content": "plain"})
    path = f"{raw.messages_path}/{message['id']}"
    status, error = await raw.call("PATCH", path, card(TEXT))
    assert (status, error["code"]) == (400, 50035), "the content must go"
    status, message = await raw.call("PATCH", path, card(TEXT, content=None))
    assert (status, message["flags"], message["content"]) == (200, 1 << 15, "")
    status, error = await raw.call("PATCH", path, {"content": "plain", "flags": 0, "components": []})
    assert (status, error["code"]) == (400, 50035)
    status, message = await raw.call("PATCH", path, {"components": [text(2)]})
    assert (status, message["flags"], message["components"][0]["content"]) == (200, 1 << 15, "xx")


async def test_unknown_objects_are_404(raw: RawClient) -> None:
    body = {"content": "x"}
    messages_path, app = raw.messages_path, raw.server.application_id
    assert await raw.error_of("POST", "/channels/1/messages", body) == (404, 10003)
    assert await raw.error_of("PATCH", f"{messages_path}/1", body) == (404, 10008)
    assert await raw.error_of("DELETE", f"{messages_path}/1") == (404, 10008)
    assert await raw.error_of("POST", "/interactions/1/none/callback", {"type": 5}) == (404, 10062)
    assert await raw.error_of("POST", f"/webhooks/{app}/none", body) == (404, 10015)
    assert await raw.error_of("PATCH", f"/webhooks/{app}/none/messages/@original", body) == (
        404,
        10015,
    )
    assert await raw.error_of("POST", "/users/@me/channels", {"recipient_id": "1"}) == (400, 50033)
    assert await raw.error_of("PUT", "/applications/1/commands", []) == (404, 10002)
    assert (await raw.call("GET", "/guilds/1/bans"))[0] == 404


async def test_a_wrong_token_is_unauthorized(raw: RawClient) -> None:
    assert await raw.call("GET", "/users/@me", token="other") == (
        401,
        {"code": 0, "message": "401: Unauthorized"},
    )
    assert len(raw.server.calls_with_status(401)) == 1


async def test_content_type_is_json(raw: RawClient) -> None:
    await raw.call("GET", "/users/@me")
    assert raw.headers["Content-Type"] == "application/json"


async def test_broken_json_is_refused(raw: RawClient) -> None:
    headers = {"Authorization": f"Bot {raw.server.token}", "Content-Type": "application/json"}
    async with raw.http.post(raw.server.api_base + raw.messages_path, data=b"{", headers=headers) as response:
        assert (response.status, (await response.json())["code"]) == (400, 50109)


async def test_messages_of_others_cannot_be_edited(raw: RawClient) -> None:
    guild = raw.server.create_guild("Home", raw.ann)
    channel = raw.server.create_channel(guild, "general")
    for place, code in ((channel, 50013), (raw.dm, 50003)):
        message = await raw.server.send_message(raw.ann, place, "mine")
        path = f"/channels/{place.id}/messages/{message.id}"
        assert await raw.error_of("PATCH", path, {"content": "yours"}) == (403, 50005)
        assert await raw.error_of("DELETE", path) == (403, code)
        assert message.content == "mine"


async def test_empty_edit_is_refused(raw: RawClient) -> None:
    _, message = await raw.call("POST", raw.messages_path, {"content": "x"})
    path = f"{raw.messages_path}/{message['id']}"
    assert await raw.error_of("PATCH", path, {"content": ""}) == (400, 50006)
    status, edited = await raw.call("PATCH", path, {"components": [ROW]})
    assert (status, edited["content"], len(edited["components"])) == (200, "x", 1)


async def test_nonce_deduplicates_messages(raw: RawClient) -> None:
    body = {"content": "x", "nonce": "job-1", "enforce_nonce": True}
    first, second = [(await raw.call("POST", raw.messages_path, body))[1]["id"] for _ in range(2)]
    assert first == second
    raw.clock.now += 600
    assert (await raw.call("POST", raw.messages_path, body))[1]["id"] != first


async def test_snowflakes_increase_and_hold_time(raw: RawClient) -> None:
    messages = [(await raw.call("POST", raw.messages_path, {"content": "x"}))[1] for _ in range(30)]
    ids = [int(message["id"]) for message in messages]
    assert ids == sorted(set(ids))
    times = [message["timestamp"] for message in messages]
    assert times == sorted(times)


async def test_interaction_is_acknowledged_once_in_time(raw: RawClient) -> None:
    interaction, callback = await raw.start_interaction()
    assert await raw.error_of("POST", raw.webhook_path(interaction), {"content": "early"}) == (404, 10015)
    assert (await raw.call("POST", callback, {"type": 5}))[0] == 204
    assert await raw.error_of("POST", callback, {"type": 5}) == (400, 40060)
    late, callback = await raw.start_interaction()
    raw.clock.now += 3.1
    assert await raw.error_of("POST", callback, {"type": 5}) == (404, 10062)
    assert late.has_failed
    assert not interaction.has_failed


async def test_unacknowledged_interaction_fails(raw: RawClient) -> None:
    interaction, _ = await raw.start_interaction()
    await raw.clock.advance(2.9)
    assert not interaction.has_failed
    await raw.clock.advance(0.1)
    assert interaction.has_failed


async def test_refused_response_leaves_interaction_open(raw: RawClient) -> None:
    interaction, callback = await raw.start_interaction()
    too_long = {"type": 4, "data": {"content": "x" * 2001}}
    assert await raw.error_of("POST", callback, too_long) == (400, 50035)
    assert await raw.error_of("POST", callback, {"type": 7}) == (400, 50035)
    status, body = await raw.call("POST", callback + "?with_response=true", {"type": 4, "data": {"content": "x"}})
    assert (status, body["resource"]["message"]["content"]) == (200, "x")
    assert [m.content for m in interaction.responses] == ["x"]


async def test_response_is_editable_until_token_expires(raw: RawClient) -> None:
    interaction, callback = await raw.start_interaction()
    await raw.call("POST", callback, {"type": 5, "data": {"flags": 64}})
    original = raw.webhook_path(interaction, "/messages/@original")
    assert (await raw.call("GET", original))[1]["flags"] == 64 | 128
    assert (await raw.call("PATCH", original, {"content": "done"}))[1]["flags"] == 64
    _, followup = await raw.call("POST", raw.webhook_path(interaction), {"content": "more"})
    assert [m.content for m in interaction.responses] == ["done", "more"]
    channel_path = f"{raw.messages_path}/{interaction.responses[0].id}"
    assert await raw.error_of("PATCH", channel_path, {"content": "x"}) == (404, 10008)  # ephemeral
    assert (await raw.call("DELETE", raw.webhook_path(interaction, f"/messages/{followup['id']}")))[0] == 204
    assert (await raw.call("DELETE", original))[0] == 204
    assert await raw.error_of("GET", original) == (404, 10008)
    raw.clock.now += 901
    assert await raw.error_of("POST", raw.webhook_path(interaction), {"content": "x"}) == (401, 50027)


async def test_user_install_allows_five_followups(raw: RawClient) -> None:
    raw.server.commands = [{"id": "1", "name": "ask", "type": 1, "options": []}]
    interaction = await raw.server.use_command(raw.ann, raw.dm, "ask", is_user_installed=True)
    callback = f"/interactions/{interaction.id}/{interaction.token}/callback"
    await raw.call("POST", callback, {"type": 4, "data": {"content": "first"}})
    statuses = [(await raw.call("POST", raw.webhook_path(interaction), {"content": "x"}))[0] for _ in range(6)]
    assert statuses == [200] * 5 + [400]


def command(**fields: Any) -> dict[str, Any]:
    return {"name": "ask", "description": "Ask", **fields}


def option(**fields: Any) -> dict[str, Any]:
    return {"name": "text", "description": "Text", "type": 3, **fields}


LONG_CHOICES = [{"name": "n" * 100, "value": f"{n:0100}"} for n in range(25)]


@pytest.mark.parametrize(
    ("commands", "code"),
    [
        ([command(name="Ask")], 50035),
        ([command(name="with space")], 50035),
        ([command(name="n" * 33)], 50035),
        ([command(description="")], 50035),
        ([command(description="d" * 101)], 50035),
        ([command(), command()], 50035),
        ([command(options=[option(name=f"o{n}") for n in range(26)])], 50035),
        ([command(options=[option(), option()])], 50035),
        ([command(options=[option(name="a"), option(name="b", required=True)])], 50035),
        ([command(options=[option(choices=[{"name": "", "value": "x"}])])], 50035),
        ([command(options=[option(choices=LONG_CHOICES, autocomplete=True)])], 50035),
        (
            [command(options=[option(name="a", choices=LONG_CHOICES), option(name="b", choices=LONG_CHOICES)])],
            50035,
        ),
        ([command(name=f"c{n}") for n in range(101)], 30032),
        ([command(type=3)], 50035),
        ([command(name_localizations={"de": "Fragen"})], 50035),
        ([command(name_localizations={"de": "f" * 33})], 50035),
        ([command(name_localizations={"xx": "fragen"})], 50035),
        ([command(name="a", name_localizations={"de": "c"}), command(name="b", name_localizations={"de": "c"})], 50035),
        ([command(description_localizations={"de": "d" * 101})], 50035),
        ([command(options=[option(description_localizations={"ja": ""})])], 50035),
        ([{"type": 3, "name": "Ask", "name_localizations": {"de": "f" * 33}}], 50035),
    ],
)
async def test_commands_are_refused(raw: RawClient, commands: list[dict[str, Any]], code: int) -> None:
    path = f"/applications/{raw.server.application_id}/commands"
    assert await raw.error_of("PUT", path, commands) == (400, code)
    assert raw.server.commands == []


async def test_command_keeps_id(raw: RawClient) -> None:
    path = f"/applications/{raw.server.application_id}/commands"
    _, (first,) = await raw.call("PUT", path, [command()])
    _, (again, _) = await raw.call("PUT", path, [command(), command(name="other")])
    assert first["id"] == again["id"]


@pytest.mark.parametrize(
    "choices",
    [[{"name": str(n), "value": str(n)} for n in range(26)], [{"name": "n" * 101, "value": "x"}]],
)
async def test_invalid_choices_are_refused(raw: RawClient, choices: list[dict[str, str]]) -> None:
    raw.server.commands = [command(id="1", type=1, options=[option(autocomplete=True)])]
    task = asyncio.create_task(raw.server.autocomplete(raw.ann, raw.dm, "ask", "text", "x"))
    interaction = await raw.server.wait_for(lambda: next(iter(raw.server.interactions.values()), None))
    assert interaction is not None
    callback = f"/interactions/{interaction.id}/{interaction.token}/callback"
    assert await raw.error_of("POST", callback, {"type": 8, "data": {"choices": choices}}) == (
        400,
        50035,
    )
    await raw.call("POST", callback, {"type": 8, "data": {"choices": choices[:0]}})
    assert await task == []


async def test_channel_limit_is_five_per_five_seconds() -> None:
    async with raw_client(Limits()) as raw:
        remaining = []
        for _ in range(5):
            assert (await raw.call("POST", raw.messages_path, {"content": "x"}))[0] == 200
            remaining.append(raw.headers["X-RateLimit-Remaining"])
        assert remaining == ["4", "3", "2", "1", "0"]
        raw.clock.now += 2
        status, error = await raw.call("POST", raw.messages_path, {"content": "x"})
        assert (status, error["retry_after"], error["global"]) == (429, 3.0, False)
        assert raw.headers["Via"]
        path = f"{raw.messages_path}/{raw.server.messages(raw.dm)[0].id}"
        edits = [(await raw.call("PATCH", path, {"content": "y"}))[0] for _ in range(6)]
        assert edits == [200] * 5 + [429]
        assert (await raw.call("POST", f"/channels/{raw.dm.id}/typing"))[0] == 204
        raw.clock.now += 3
        assert (await raw.call("POST", raw.messages_path, {"content": "x"}))[0] == 200
        assert len(raw.server.calls_with_status()) == 2


async def test_interaction_responses_skip_global_limit() -> None:
    async with raw_client(Limits(overall=FixedWindow(3, 1))) as raw:
        interaction, callback = await raw.start_interaction()
        await raw.call("POST", callback, {"type": 5})
        edits = [
            (await raw.call("PATCH", raw.webhook_path(interaction, "/messages/@original"), {"content": "x"}))[0]
            for _ in range(6)
        ]
        assert edits == [200] * 5 + [429]
        calls = [await raw.call("GET", "/users/@me") for _ in range(4)]
        assert [status for status, _ in calls] == [200] * 3 + [429]
        assert calls[-1][1]["global"] is True
        assert raw.headers["X-RateLimit-Scope"] == "global"


@pytest.mark.parametrize(
    ("frame", "close_code"),
    [
        ({"op": 2, "d": {"token": "wrong", "intents": 1}}, 4004),
        ({"op": 6, "d": {"token": "wrong", "session_id": "x", "seq": 1}}, 4004),
        ({"op": 2, "d": {"intents": 1, "shard": [2, 2]}}, 4010),
        ({"op": 3, "d": {}}, 4003),
        ({"op": 99, "d": {}}, 4001),
        ({"op": 2, "d": {"intents": "all"}}, 4002),
    ],
)
async def test_gateway_closes_on_invalid_frame(raw: RawClient, frame: dict[str, Any], close_code: int) -> None:
    frame["d"].setdefault("token", raw.server.token)
    async with asyncio.timeout(5), raw.http.ws_connect(raw.server.gateway_url) as socket:
        assert (await socket.receive_json())["op"] == 10
        await socket.send_json(frame)
        await socket.receive()
        assert socket.close_code == close_code


async def test_unknown_session_is_invalid(raw: RawClient) -> None:
    async with asyncio.timeout(5), raw.http.ws_connect(raw.server.gateway_url) as socket:
        await socket.receive_json()
        await socket.send_json({"op": 6, "d": {"token": raw.server.token, "session_id": "x", "seq": 1}})
        assert await socket.receive_json() == {"op": 9, "d": False}


async def test_slash_waits_for_command_sync(raw: RawClient) -> None:
    task = asyncio.create_task(raw.server.use_command(raw.ann, raw.dm, "ask"))
    await raw.call("PUT", f"/applications/{raw.server.application_id}/commands", [command()])
    assert (await task).type == 2
