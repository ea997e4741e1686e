"""Who may use the bot, and who runs it."""

from dataclasses import replace
from functools import partial

import pytest
from sqlalchemy import Connection, select

from core.port import Place, Sender
from core.store import schema
from core.store.database import Store
from core.store.grants import Role, add_member, ban, grant, is_operator, revoke
from tests.core.store.turn_helpers import accept_event, message_event

HOME = Place("discord", "1", "6", server="7")
OTHER_CHANNEL = replace(HOME, chat="60")
ELSEWHERE = Place("discord", "1", "8", server="9")


async def ask(store: Store, place: Place, user: str = "5") -> None:
    """A question that waits. Its key says who asks where."""
    event = replace(message_event(f"{user} in {place.chat}", place=place), sender=Sender("discord", user, "Ann"))
    keys = {"conversation_key": event.key, "person_key": f"discord:{user}"}
    await store.write(partial(accept_event, incoming=event, **keys))


async def open_questions(store: Store) -> list[str]:
    def read(connection: Connection) -> list[str]:
        return list(
            connection.scalars(select(schema.turns.c.event_key).where(schema.IS_OPEN).order_by(schema.turns.c.id))
        )

    return [key.rpartition(":")[2] for key in await store.read(read)]


@pytest.mark.parametrize(
    ("subject", "role", "is_one"),
    [
        ("telegram:person:5", Role.OPERATOR, True),
        ("telegram:person:5", Role.MEMBER, False),
        ("telegram:person:6", Role.OPERATOR, False),
        ("discord:person:5", Role.OPERATOR, False),
    ],
)
async def test_operators_are_people_with_that_role(store: Store, subject: str, role: Role, is_one: bool) -> None:
    await store.write(grant, subject, role, "Ann")
    assert await store.read(is_operator, "telegram", "5") is is_one


@pytest.mark.parametrize(
    ("subject", "remaining"),
    [
        ("discord:person:5", ["66 in 60", "66 in 8"]),
        ("discord:chat:6", ["66 in 60", "66 in 8"]),
        ("discord:server:7", ["66 in 8"]),
        ("telegram:chat:6", ["5 in 6", "66 in 60", "66 in 8"]),
    ],
)
async def test_ban_ends_the_open_questions_that_it_concerns(store: Store, subject: str, remaining: list[str]) -> None:
    await ask(store, HOME)
    for place in (OTHER_CHANNEL, ELSEWHERE):
        await ask(store, place, "66")
    await store.write(ban, subject)
    assert await open_questions(store) == remaining


@pytest.mark.parametrize("subject", ["discord:person:5", "discord:chat:6", "discord:server:7"])
@pytest.mark.parametrize("is_open_to_all", [False, True])
async def test_revoking_a_grant_ends_the_questions_of_those_without_another(
    store: Store, subject: str, *, is_open_to_all: bool
) -> None:
    for granted in (subject, "discord:person:66"):
        await store.write(add_member, granted)
    for user in ("5", "66"):
        await ask(store, HOME, user)
    await store.write(ban, "discord:person:5000")
    await store.write(partial(revoke, subject=subject, is_open_to_all=is_open_to_all))
    assert await open_questions(store) == ["5 in 6"] * is_open_to_all + ["66 in 6"]


@pytest.mark.parametrize(
    ("role", "remaining"),
    [
        ("discord:role:8", ["5 in 6"]),
        ("other:role:8", []),
    ],
)
async def test_allowed_role_keeps_the_questions_on_servers(store: Store, role: str, remaining: list[str]) -> None:
    """Turns do not store roles: the person may have it."""
    for granted in ("discord:person:5", role):
        await store.write(add_member, granted)
    for place in (HOME, replace(HOME, chat="61", server=None, is_private=True)):
        await ask(store, place)
    await store.write(revoke, "discord:person:5")
    assert await open_questions(store) == remaining


async def test_banned_role_keeps_no_question(store: Store) -> None:
    await store.write(add_member, "discord:person:5")
    await store.write(ban, "discord:role:8")
    await ask(store, HOME)
    await store.write(revoke, "discord:person:5")
    assert await open_questions(store) == []
