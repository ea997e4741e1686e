"""What a turn needs from the database, asked for again and again."""

import asyncio

import pytest
from sqlalchemy import Connection, text

from core.errors import StoreError
from core.store import insisting
from core.store.database import Store
from core.store.insisting import Insistent


def impossible(connection: Connection) -> None:
    connection.execute(text("INSERT INTO nothing_like_this VALUES (1)"))


@pytest.mark.parametrize("way", ["write", "write_first", "read"])
async def test_what_never_succeeds_is_not_tried_for_ever(
    store: Store, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """The lease is renewed all the while: nobody else would ever end the turn, nor its person."""
    monkeypatch.setattr(insisting, "LONGEST", 0.5)
    insistent = Insistent(store, lambda: None)
    async with asyncio.timeout(10):
        with pytest.raises(StoreError):
            await getattr(insistent, way)(impossible)
