"""What the stand-in refuses, said over plain HTTP and websockets."""

import asyncio
from typing import Any

import pytest

from bots.sandbox.discord import Limits
from bots.sandbox.discord.limits import Rule
from tests.bots.sandbox.discord.plain import Raw, talking


def button(**more: Any) -> dict[str, Any]:
    return {"type": 2, "style": 1, "label": "Go", "custom_id": "go", **more}


def rows(*items: dict[str, Any]) -> dict[str, Any]:
    return {"content": "x", "components": [{"type": 1, "components": list(items)}]}


def menu(count: int) -> dict[str, Any]:
    options = [{"label": str(n), "value": str(n)} for n in range(count)]
    return {"type": 3, "custom_id": "menu", "options": options}


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
    ({"embeds": [{"title": "t"}] * 11}, 50035, "embeds"),
    ({"embeds": [{"description": "d" * 4097}]}, 50035, "embeds"),
    ({"embeds": [{"description": "d" * 3001}] * 2}, 50035, "embeds"),
    ({"embeds": [{"fields": [{"name": "n", "value": "v"}] * 26}]}, 50035, "embeds"),
    ({"embeds": [{"fields": [{"name": "n", "value": ""}]}]}, 50035, "embeds"),
]


@pytest.mark.parametrize(("body", "code", "where"), BAD_MESSAGES)
async def test_a_message_is_refused(raw: Raw, body: dict[str, Any], code: int, where: str) -> None:
    status, found = await raw.call("POST", raw.messages, body)
    assert (status, found["code"]) == (400, code)
    assert next(iter(found.get("errors", {"": 0}))) == where
    assert raw.server.messages(raw.home) == []


@pytest.mark.parametrize(
    "body",
    [
        {"content": "x" * 2000},
        {"content": "x", "nonce": "n" * 25},
        {"content": "x", "message_reference": {"message_id": "1", "fail_if_not_exists": False}},
        {
            "content": "x",
            "components": [
                {"type": 1, "components": [button(custom_id=f"{row}{n}") for n in range(5)]}
                for row in range(5)
            ],
        },
        rows(menu(25)),
    ],
)
async def test_what_is_just_allowed_is_taken(raw: Raw, body: dict[str, Any]) -> None:
    status, found = await raw.call("POST", raw.messages, body)
    assert (status, found["content"]) == (200, body["content"])


async def test_what_does_not_exist_is_unknown(raw: Raw) -> None:
    body = {"content": "x"}
    here, app = raw.messages, raw.server.application_id
    assert await raw.refused("POST", "/channels/1/messages", body) == (404, 10003)
    assert await raw.refused("PATCH", f"{here}/1", body) == (404, 10008)
    assert await raw.refused("DELETE", f"{here}/1") == (404, 10008)
    assert await raw.refused("POST", "/interactions/1/none/callback", {"type": 5}) == (404, 10062)
    assert await raw.refused("POST", f"/webhooks/{app}/none", body) == (404, 10015)
    assert await raw.refused("PATCH", f"/webhooks/{app}/none/messages/@original", body) == (
        404,
        10015,
    )
    assert await raw.refused("POST", "/users/@me/channels", {"recipient_id": "1"}) == (400, 50033)
    assert await raw.refused("PUT", "/applications/1/commands", []) == (404, 10002)
    assert (await raw.call("GET", "/guilds/1/bans"))[0] == 404


async def test_a_wrong_token_is_unauthorized(raw: Raw) -> None:
    assert await raw.call("GET", "/users/@me", token="other") == (
        401,
        {"code": 0, "message": "401: Unauthorized"},
    )
    assert len(raw.server.refused(401)) == 1


async def test_the_type_of_an_answer_is_exactly_json(raw: Raw) -> None:
    await raw.call("GET", "/users/@me")
    assert raw.headers["Content-Type"] == "application/json"


async def test_broken_json_is_refused(raw: Raw) -> None:
    headers = {"Authorization": f"Bot {raw.server.token}", "Content-Type": "application/json"}
    async with raw.http.post(
        raw.server.api_base + raw.messages, data=b"{", headers=headers
    ) as answer:
        assert (answer.status, (await answer.json())["code"]) == (400, 50109)


async def test_messages_of_others_are_not_the_bots_to_change(raw: Raw) -> None:
    guild = raw.server.guild("Home", raw.ann)
    channel = raw.server.channel(guild, "general")
    for place, code in ((channel, 50013), (raw.home, 50003)):
        said = await raw.server.say(raw.ann, place, "mine")
        path = f"/channels/{place.id}/messages/{said.id}"
        assert await raw.refused("PATCH", path, {"content": "yours"}) == (403, 50005)
        assert await raw.refused("DELETE", path) == (403, code)
        assert said.content == "mine"


async def test_an_edit_to_nothing_is_refused(raw: Raw) -> None:
    _, made = await raw.call("POST", raw.messages, {"content": "x"})
    path = f"{raw.messages}/{made['id']}"
    assert await raw.refused("PATCH", path, {"content": ""}) == (400, 50006)
    status, found = await raw.call("PATCH", path, {"components": [ROW]})
    assert (status, found["content"], len(found["components"])) == (200, "x", 1)


async def test_a_nonce_makes_one_message_of_two_calls(raw: Raw) -> None:
    body = {"content": "x", "nonce": "job-1", "enforce_nonce": True}
    first, second = [(await raw.call("POST", raw.messages, body))[1]["id"] for _ in range(2)]
    assert first == second
    raw.clock.now += 600
    assert (await raw.call("POST", raw.messages, body))[1]["id"] != first


async def test_ids_rise_and_tell_when(raw: Raw) -> None:
    made = [(await raw.call("POST", raw.messages, {"content": "x"}))[1] for _ in range(30)]
    ids = [int(message["id"]) for message in made]
    assert ids == sorted(set(ids))
    times = [message["timestamp"] for message in made]
    assert times == sorted(times)


async def test_an_interaction_is_acknowledged_once_and_in_time(raw: Raw) -> None:
    made, callback = await raw.asked()
    assert await raw.refused("POST", raw.hook(made), {"content": "early"}) == (404, 10015)
    assert (await raw.call("POST", callback, {"type": 5}))[0] == 204
    assert await raw.refused("POST", callback, {"type": 5}) == (400, 40060)
    late, callback = await raw.asked()
    raw.clock.now += 3.1
    assert await raw.refused("POST", callback, {"type": 5}) == (404, 10062)
    assert late.failed
    assert not made.failed


async def test_a_refused_response_leaves_the_interaction_open(raw: Raw) -> None:
    made, callback = await raw.asked()
    bad = {"type": 4, "data": {"content": "x" * 2001}}
    assert await raw.refused("POST", callback, bad) == (400, 50035)
    assert await raw.refused("POST", callback, {"type": 7}) == (400, 50035)
    status, told = await raw.call(
        "POST", callback + "?with_response=true", {"type": 4, "data": {"content": "x"}}
    )
    assert (status, told["resource"]["message"]["content"]) == (200, "x")
    assert [m.content for m in made.responses] == ["x"]


async def test_a_response_is_read_changed_and_deleted_until_its_token_ends(raw: Raw) -> None:
    made, callback = await raw.asked()
    await raw.call("POST", callback, {"type": 5, "data": {"flags": 64}})
    original = raw.hook(made, "/messages/@original")
    assert (await raw.call("GET", original))[1]["flags"] == 64 | 128
    assert (await raw.call("PATCH", original, {"content": "done"}))[1]["flags"] == 64
    _, more = await raw.call("POST", raw.hook(made), {"content": "more"})
    assert [m.content for m in made.responses] == ["done", "more"]
    own = f"{raw.messages}/{made.responses[0].id}"
    assert await raw.refused("PATCH", own, {"content": "x"}) == (404, 10008)  # ephemeral
    assert (await raw.call("DELETE", raw.hook(made, f"/messages/{more['id']}")))[0] == 204
    assert (await raw.call("DELETE", original))[0] == 204
    assert await raw.refused("GET", original) == (404, 10008)
    raw.clock.now += 901
    assert await raw.refused("POST", raw.hook(made), {"content": "x"}) == (401, 50027)


async def test_where_only_installed_by_the_person_five_followups_are_all(raw: Raw) -> None:
    raw.server.commands = [{"id": "1", "name": "ask", "type": 1, "options": []}]
    made = await raw.server.slash(raw.ann, raw.home, "ask", user_installed=True)
    callback = f"/interactions/{made.id}/{made.token}/callback"
    await raw.call("POST", callback, {"type": 4, "data": {"content": "first"}})
    statuses = [(await raw.call("POST", raw.hook(made), {"content": "x"}))[0] for _ in range(6)]
    assert statuses == [200] * 5 + [400]


def command(**more: Any) -> dict[str, Any]:
    return {"name": "ask", "description": "Ask", **more}


def option(**more: Any) -> dict[str, Any]:
    return {"name": "text", "description": "Text", "type": 3, **more}


LONG = [{"name": "n" * 100, "value": f"{n:0100}"} for n in range(25)]


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
        ([command(options=[option(choices=LONG, autocomplete=True)])], 50035),
        (
            [command(options=[option(name="a", choices=LONG), option(name="b", choices=LONG)])],
            50035,
        ),
        ([command(name=f"c{n}") for n in range(101)], 30032),
        ([{"name": f"Item {n}", "type": 3} for n in range(16)], 30032),
    ],
)
async def test_commands_are_refused(raw: Raw, commands: list[dict[str, Any]], code: int) -> None:
    path = f"/applications/{raw.server.application_id}/commands"
    assert await raw.refused("PUT", path, commands) == (400, code)
    assert raw.server.commands == []


async def test_a_command_keeps_its_id(raw: Raw) -> None:
    path = f"/applications/{raw.server.application_id}/commands"
    _, (first,) = await raw.call("PUT", path, [command()])
    _, (again, _) = await raw.call("PUT", path, [command(), command(name="other")])
    assert first["id"] == again["id"]


@pytest.mark.parametrize(
    "choices",
    [[{"name": str(n), "value": str(n)} for n in range(26)], [{"name": "n" * 101, "value": "x"}]],
)
async def test_too_many_or_too_long_choices_are_refused(
    raw: Raw, choices: list[dict[str, str]]
) -> None:
    raw.server.commands = [command(id="1", type=1, options=[option(autocomplete=True)])]
    asking = asyncio.create_task(raw.server.autocomplete(raw.ann, raw.home, "ask", "text", "x"))
    made = await raw.server.wait(lambda: next(iter(raw.server.interactions.values()), None))
    assert made is not None
    callback = f"/interactions/{made.id}/{made.token}/callback"
    assert await raw.refused("POST", callback, {"type": 8, "data": {"choices": choices}}) == (
        400,
        50035,
    )
    await raw.call("POST", callback, {"type": 8, "data": {"choices": choices[:0]}})
    assert await asking == []


async def test_a_channel_takes_five_messages_in_five_seconds() -> None:
    async with talking(Limits()) as raw:
        left = []
        for _ in range(5):
            assert (await raw.call("POST", raw.messages, {"content": "x"}))[0] == 200
            left.append(raw.headers["X-RateLimit-Remaining"])
        assert left == ["4", "3", "2", "1", "0"]
        raw.clock.now += 2
        status, found = await raw.call("POST", raw.messages, {"content": "x"})
        assert (status, found["retry_after"], found["global"]) == (429, 3.0, False)
        assert raw.headers["Via"]
        own = f"{raw.messages}/{raw.server.messages(raw.home)[0].id}"
        edits = [(await raw.call("PATCH", own, {"content": "y"}))[0] for _ in range(6)]
        assert edits == [200] * 5 + [429]
        assert (await raw.call("POST", f"/channels/{raw.home.id}/typing"))[0] == 204
        raw.clock.now += 3
        assert (await raw.call("POST", raw.messages, {"content": "x"}))[0] == 200
        assert len(raw.server.refused()) == 2


async def test_responses_have_a_limit_of_their_own_and_not_the_global_one() -> None:
    async with talking(Limits(everything=Rule(3, 1))) as raw:
        made, callback = await raw.asked()
        await raw.call("POST", callback, {"type": 5})
        edits = [
            (await raw.call("PATCH", raw.hook(made, "/messages/@original"), {"content": "x"}))[0]
            for _ in range(6)
        ]
        assert edits == [200] * 5 + [429]
        calls = [await raw.call("GET", "/users/@me") for _ in range(4)]
        assert [status for status, _ in calls] == [200] * 3 + [429]
        assert calls[-1][1]["global"] is True
        assert raw.headers["X-RateLimit-Scope"] == "global"


@pytest.mark.parametrize(
    ("frame", "closed"),
    [
        ({"op": 2, "d": {"token": "wrong", "intents": 1}}, 4004),
        ({"op": 6, "d": {"token": "wrong", "session_id": "x", "seq": 1}}, 4004),
        ({"op": 2, "d": {"intents": 1, "shard": [2, 2]}}, 4010),
        ({"op": 3, "d": {}}, 4003),
        ({"op": 99, "d": {}}, 4001),
        ({"op": 2, "d": {"intents": "all"}}, 4002),
    ],
)
async def test_the_gateway_hangs_up(raw: Raw, frame: dict[str, Any], closed: int) -> None:
    frame["d"].setdefault("token", raw.server.token)
    async with asyncio.timeout(5), raw.http.ws_connect(raw.server.gateway_url) as socket:
        assert (await socket.receive_json())["op"] == 10
        await socket.send_json(frame)
        await socket.receive()
        assert socket.close_code == closed


async def test_a_session_nobody_knows_is_invalid(raw: Raw) -> None:
    async with asyncio.timeout(5), raw.http.ws_connect(raw.server.gateway_url) as socket:
        await socket.receive_json()
        await socket.send_json(
            {"op": 6, "d": {"token": raw.server.token, "session_id": "x", "seq": 1}}
        )
        assert await socket.receive_json() == {"op": 9, "d": False}


async def test_a_person_waits_for_the_commands_of_a_bot_that_just_came(raw: Raw) -> None:
    using = asyncio.create_task(raw.server.slash(raw.ann, raw.home, "ask"))
    await raw.call("PUT", f"/applications/{raw.server.application_id}/commands", [command()])
    assert (await using).kind == 2
