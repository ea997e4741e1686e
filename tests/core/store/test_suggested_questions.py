"""Questions that people have typed in other chats wait for their button, for a short time."""

from sqlalchemy import Connection, func, select, update

from core.store import retention
from core.store.database import Store
from core.store.schema import database_now, suggested_questions
from core.store.suggested_questions import (
    LIFETIME_SECONDS,
    MAX_PER_PERSON,
    find_suggested_question,
    save_suggested_question,
)

ANN, BOB = "telegram:5", "telegram:6"


def wait(connection: Connection, seconds: float) -> None:
    connection.execute(update(suggested_questions).values(created_at=suggested_questions.c.created_at - seconds))


def count(connection: Connection) -> int:
    return connection.scalar(select(func.count()).select_from(suggested_questions)) or 0


async def test_question_is_found_only_by_its_person_and_until_it_expires(store: Store) -> None:
    await store.write(save_suggested_question, "a", ANN, "why?")
    assert await store.read(find_suggested_question, "a", BOB) is None
    assert await store.read(find_suggested_question, "b", ANN) is None
    await store.write(wait, LIFETIME_SECONDS - 60)
    assert await store.read(find_suggested_question, "a", ANN) == "why?"
    await store.write(wait, 60)
    assert await store.read(find_suggested_question, "a", ANN) is None


async def test_person_has_few(store: Store) -> None:
    await store.write(save_suggested_question, "bob", BOB, "how?")
    for number in range(MAX_PER_PERSON + 5):
        await store.write(wait, 1)
        await store.write(save_suggested_question, f"a{number}", ANN, f"why {number}?")
    assert await store.read(count) == MAX_PER_PERSON + 1
    assert await store.read(find_suggested_question, "a4", ANN) is None
    assert await store.read(find_suggested_question, "a5", ANN) == "why 5?"
    assert await store.read(find_suggested_question, "bob", BOB) == "how?"


async def test_expired_questions_are_deleted(store: Store) -> None:
    await store.write(save_suggested_question, "a", ANN, "why?")
    await store.write(wait, LIFETIME_SECONDS)
    await store.write(save_suggested_question, "b", ANN, "how?")
    assert await store.write(retention.delete_suggested_questions, database_now() - LIFETIME_SECONDS) == 1
    assert await store.read(find_suggested_question, "b", ANN) == "how?"
