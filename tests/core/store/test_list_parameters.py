"""Statements with lists: drivers prepare and keep each text, so there must be few."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from sqlalchemy import Connection, event

from core.store import claims, rate_limits
from core.store.database import Store
from core.store.list_parameters import pad
from tests.core.store.turn_helpers import ACCOUNT, accept, claim

COUNTS = range(1, 101)


def claim_beside(connection: Connection, count: int) -> None:
    names = [f"telegram:1:{number}" for number in range(count)]
    claims.claim_turns(
        connection,
        "me",
        [ACCOUNT],
        lease_seconds=6,
        limit=1,
        exclude=range(count),
        busy_chats=names,
        command_chats=names,
    )


def renew(connection: Connection, count: int) -> None:
    claims.heartbeat(connection, "me", range(count), lease_seconds=6)


def find_activity(connection: Connection, count: int) -> None:
    rate_limits.chat_activity(connection, "me", [f"telegram:1:{number}" for number in range(count)])


@pytest.mark.parametrize(("run", "statements"), [(claim_beside, 1), (renew, 2), (find_activity, 1)])
async def test_statements_for_many_turns_have_few_texts(
    store: Store, run: Callable[[Connection, int], None], statements: int
) -> None:
    texts = set[str]()

    def record(_connection: Connection, _cursor: Any, text: str, *_: object) -> None:
        texts.add(text)

    def run_all(connection: Connection) -> None:
        event.listen(connection, "before_cursor_execute", record)
        try:
            for count in COUNTS:
                run(connection, count)
        finally:
            event.remove(connection, "before_cursor_execute", record)

    await store.write(run_all)
    assert len(texts) == 8 * statements  # 1, 2, 4, ... 128


async def test_padding_excludes_and_renews_what_was_named_and_no_more(store: Store) -> None:
    for number in range(5):
        await accept(store, f"u{number}", conversation=f"c{number}")
    turns = await claim(store, lease_seconds=0)
    ids = [turn.id for turn in turns]
    rest = await store.write(
        partial(claims.claim_turns, lease_seconds=30, limit=9, exclude=ids[:3]), "other", [ACCOUNT]
    )
    assert [turn.id for turn in rest] == ids[3:]
    renewed = await store.write(claims.heartbeat, "me", ids[:3], lease_seconds=30)
    assert sorted(renewed.kept) == ids[:3]


@pytest.mark.parametrize(
    ("values", "padded"),
    [([], []), ([1], [1]), ([1, 2], [1, 2]), ([1, 2, 3], [1, 2, 3, 3]), ([1, 2, 3, 4, 5], [1, 2, 3, 4, 5, 5, 5, 5])],
)
def test_padded_lists_contain_the_same_values(values: list[int], padded: list[int]) -> None:
    assert pad(values) == padded
