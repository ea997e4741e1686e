"""Where people recently wrote to the bot, on both databases."""

from functools import partial

from sqlalchemy import Connection, func, update

from core.port import AccountKey, EventKind, Incoming, Place, Sender
from core.scopes import conversation_key
from core.store.database import Store
from core.store.inbound import InboundLimits, accept_event
from core.store.recent_activity import find_recent_activity, find_stored_keys
from core.store.schema import turns

ACCOUNT = AccountKey("discord", "7")
ANN, BOB = Sender("discord", "ann", "Ann"), Sender("discord", "bob", "Bob")


async def store_message(
    store: Store,
    text: str,
    place: Place,
    sender: Sender = ANN,
    limits: InboundLimits = InboundLimits(),  # noqa: B008 (immutable)
) -> None:
    await store.write(
        accept_event,
        Incoming(EventKind.PROMPT, f"m{text}", place, sender, text),
        conversation_key=conversation_key(place, sender, shared=False),
        person_key=sender.user,
        ordered=True,
        limits=limits,
    )


async def recent_texts(
    store: Store, *, max_places: int = 9, within_seconds: float = 60, before_turn: int | None = None
) -> list[str]:
    find = partial(find_recent_activity, max_places=max_places, within_seconds=within_seconds, before_turn=before_turn)
    return [event.text for event in (await store.read(find, ACCOUNT)).latest_events]


async def newest_turn(store: Store) -> int:
    return (await store.read(find_recent_activity, ACCOUNT, max_places=9, within_seconds=60)).newest_turn


async def test_newest_places_are_listed(store: Store) -> None:
    assert await recent_texts(store) == []
    assert await newest_turn(store) == 0
    channel, private = Place("discord", "7", "channel"), Place("discord", "7", "private", is_private=True)
    thread = Place("discord", "7", "channel", thread="thread")
    for text, place in (("1", private), ("2", channel), ("3", thread), ("4", private)):
        await store_message(store, text, place)
    await store_message(store, "5", channel, BOB)
    for text, other_account in (("6", Place("discord", "77", "channel")), ("7", Place("telegram", "7", "channel"))):
        await store_message(store, text, other_account)
    assert await recent_texts(store) == ["5", "4", "3"]
    assert await recent_texts(store, max_places=2) == ["5", "4"]
    assert await recent_texts(store, before_turn=await newest_turn(store) - 3) == ["4", "3", "2"]
    assert await recent_texts(store, within_seconds=-1) == []


def make_unreadable(connection: Connection, turn_id: int) -> None:
    encoded = func.replace(turns.c.incoming_json, '"kind":"prompt"', '"kind":"telepathy"')
    connection.execute(update(turns).where(turns.c.id == turn_id).values(incoming_json=encoded))


async def test_places_of_refused_messages_are_listed(store: Store) -> None:
    for text in "123":
        await store_message(store, text, Place("discord", "7", f"channel {text}"), limits=InboundLimits(max_open=1))
    assert await recent_texts(store) == ["3", "2", "1"]


async def test_event_of_newer_version_hides_no_others(store: Store) -> None:
    for text in ("1", "2"):
        await store_message(store, text, Place("discord", "7", text))
    await store.write(make_unreadable, 2)
    assert await recent_texts(store) == ["1"]


async def test_stored_events_are_known(store: Store) -> None:
    await store_message(store, "1", Place("discord", "7", "channel"))
    await store_message(store, "2", Place("discord", "77", "channel"))
    assert await store.read(find_stored_keys, ACCOUNT, ["m1", "m2", "m3"]) == {"m1"}
    assert await store.read(find_stored_keys, ACCOUNT, []) == set()
