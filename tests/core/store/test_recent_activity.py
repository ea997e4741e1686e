"""Where people talked to the bot lately, on both databases."""

from sqlalchemy import Connection, func, update

from core.port import AccountKey, EventKind, Incoming, Place, Sender
from core.store.database import Store
from core.store.inbound import InboundLimits, accept_event
from core.store.recent_activity import find_recent_activity, find_stored_keys
from core.store.schema import turns

ANN = Sender("discord", "ann", "Ann")


async def store_message(store: Store, text: str, place: Place, person: str = "ann") -> None:
    incoming = Incoming(EventKind.PROMPT, f"m{text}", place, ANN, text)
    key = f"{place.platform}:{place.account}:{place.chat}:{place.thread or ''}:{person}"
    await store.write(
        accept_event,
        incoming,
        conversation_key=key,
        person_key=person,
        ordered=True,
        limits=InboundLimits(),
    )


async def test_newest_places_are_listed(store: Store) -> None:
    empty = await store.read(find_recent_activity, AccountKey("discord", "7"), max_places=9, within_seconds=60)
    assert (empty.newest_turn, empty.latest_events) == (0, [])

    room, aside = Place("discord", "7", "room"), Place("discord", "7", "room", thread="aside")
    private = Place("discord", "7", "private", is_private=True)
    for text, place in (("1", private), ("2", room), ("3", aside), ("4", private)):
        await store_message(store, text, place)
    await store_message(store, "5", room, person="bob")
    for elsewhere in (Place("discord", "77", "room"), Place("telegram", "7", "room")):
        await store_message(store, f"{elsewhere.platform}{elsewhere.account}", elsewhere)

    async def texts(most: int = 9, within: float = 60, before: int | None = None) -> list[str]:
        heard = await store.read(
            find_recent_activity,
            AccountKey("discord", "7"),
            max_places=most,
            within_seconds=within,
            before_turn=before,
        )
        return [one.text for one in heard.latest_events]

    heard = await store.read(find_recent_activity, AccountKey("discord", "7"), max_places=9, within_seconds=60)
    assert await texts() == ["5", "4", "3"]
    assert await texts(most=2) == ["5", "4"]
    assert await texts(before=heard.newest_turn - 3) == ["4", "3", "2"]
    assert await texts(within=-1) == []


def damage(connection: Connection) -> None:
    newer = func.replace(turns.c.incoming_json, '"kind":"prompt"', '"kind":"a newer one"')
    connection.execute(update(turns).where(turns.c.id == 2).values(incoming_json=newer))


async def test_event_of_newer_version_hides_no_others(store: Store) -> None:
    """After a step back nobody could look for what was missed, nor receive anything, for a day."""
    for text in ("1", "2"):
        await store_message(store, text, Place("discord", "7", text))
    await store.write(damage)
    heard = await store.read(find_recent_activity, AccountKey("discord", "7"), max_places=9, within_seconds=60)
    assert [one.text for one in heard.latest_events] == ["1"]


async def test_stored_events_are_known(store: Store) -> None:
    await store_message(store, "1", Place("discord", "7", "room"))
    await store_message(store, "2", Place("discord", "77", "room"))
    assert await store.read(find_stored_keys, AccountKey("discord", "7"), ["m1", "m2", "m3"]) == {"m1"}
    assert await store.read(find_stored_keys, AccountKey("discord", "7"), []) == set()
