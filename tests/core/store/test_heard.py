"""Where people talked to the bot lately, on both databases."""

from sqlalchemy import Connection, func, update

from core.port import Incoming, Kind, Place, Sender
from core.store.accepting import Bounds, accept
from core.store.database import Store
from core.store.heard import known, last_heard
from core.store.schema import turns

ANN = Sender("discord", "ann", "Ann")


async def said(store: Store, text: str, place: Place, person: str = "ann") -> None:
    incoming = Incoming(Kind.PROMPT, f"m{text}", place, ANN, text)
    key = f"{place.platform}:{place.account}:{place.chat}:{place.thread or ''}:{person}"
    await store.write(accept, incoming, key=key, person=person, ordered=True, bounds=Bounds())


async def test_the_newest_places_of_an_account_are_named(store: Store) -> None:
    empty = await store.read(last_heard, "discord", "7", most=9, within=60)
    assert (empty.horizon, empty.latest) == (0, [])

    room, aside = Place("discord", "7", "room"), Place("discord", "7", "room", thread="aside")
    private = Place("discord", "7", "private", private=True)
    for text, place in (("1", private), ("2", room), ("3", aside), ("4", private)):
        await said(store, text, place)
    await said(store, "5", room, person="bob")
    for elsewhere in (Place("discord", "77", "room"), Place("telegram", "7", "room")):
        await said(store, f"{elsewhere.platform}{elsewhere.account}", elsewhere)

    async def texts(most: int = 9, within: float = 60, before: int | None = None) -> list[str]:
        heard = await store.read(
            last_heard, "discord", "7", most=most, within=within, before=before
        )
        return [one.text for one in heard.latest]

    heard = await store.read(last_heard, "discord", "7", most=9, within=60)
    assert await texts() == ["5", "4", "3"]
    assert await texts(most=2) == ["5", "4"]
    assert await texts(before=heard.horizon - 3) == ["4", "3", "2"]
    assert await texts(within=-1) == []


def damage(connection: Connection) -> None:
    newer = func.replace(turns.c.incoming, '"kind":"prompt"', '"kind":"a newer one"')
    connection.execute(update(turns).where(turns.c.id == 2).values(incoming=newer))


async def test_an_event_of_a_newer_version_does_not_hide_the_others(store: Store) -> None:
    """After a step back nobody could look for what was missed, nor receive anything, for a day."""
    for text in ("1", "2"):
        await said(store, text, Place("discord", "7", text))
    await store.write(damage)
    heard = await store.read(last_heard, "discord", "7", most=9, within=60)
    assert [one.text for one in heard.latest] == ["1"]


async def test_what_was_kept_of_an_account_is_known(store: Store) -> None:
    await said(store, "1", Place("discord", "7", "room"))
    await said(store, "2", Place("discord", "77", "room"))
    assert await store.read(known, "discord", "7", ["m1", "m2", "m3"]) == {"m1"}
    assert await store.read(known, "discord", "7", []) == set()
