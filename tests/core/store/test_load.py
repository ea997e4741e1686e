"""How much waits."""

from sqlalchemy import Connection, update

from core.store.database import Store
from core.store.load import measure_load
from core.store.schema import turns
from tests.core.store.turn_helpers import accept, claim


def age_turns(connection: Connection) -> None:
    connection.execute(update(turns).values(created_at=turns.c.created_at - 600))


async def test_questions_behind_an_earlier_one_of_their_conversation_do_not_wait_for_a_process(store: Store) -> None:
    """A model that reasons for minutes is no overload, even if people ask on."""
    await accept(store, "first")
    await claim(store)
    await accept(store, "second")
    await accept(store, "third")
    await store.write(age_turns)
    load = await store.read(measure_load)
    assert (load.queue.count, load.queue.oldest_seconds) == (0, 0)


async def test_what_could_start_waits_for_a_process(store: Store) -> None:
    await accept(store, "first")
    await claim(store)
    await accept(store, "behind it")
    await accept(store, "a command", ordered=False)
    await accept(store, "another chat", conversation="ben")
    await accept(store, "behind that", conversation="ben")
    await store.write(age_turns)
    load = await store.read(measure_load)
    assert load.queue.count == 2
    assert load.queue.oldest_seconds >= 600
