"""A thread whose creation was not confirmed is found again, and no other is taken for it."""

from typing import Any, cast

import pytest

from bots.discord.http_client import HttpClient
from bots.discord.thread_creator import ThreadCreator
from core.errors import DeliveryError, DeliveryFailure
from core.port import Place

CHANNEL = Place("discord", "1", "20", server="10")
COMMAND = "100"


def thread(id_: str, *, owner: str = "1", channel: str = "20", name: str = "Lisbon in May") -> dict[str, Any]:
    return {"id": id_, "owner_id": owner, "parent_id": channel, "name": name}


class FakeHttp:
    """Does not confirm the creation."""

    def __init__(self, *threads: dict[str, Any]) -> None:
        self._threads = threads

    async def call(self, method: str, path: str, *_: object, **_options: object) -> dict[str, Any]:
        if method == "GET" and path == "/guilds/10/threads/active":
            return {"threads": list(self._threads)}
        if method == "GET":
            return {"type": 0}
        raise DeliveryError("lost", DeliveryFailure.UNKNOWN)


async def create(*threads: dict[str, Any]) -> str:
    creator = ThreadCreator(cast("HttpClient", FakeHttp(*threads)), "1")
    return await creator.create(CHANNEL, "Lisbon in May!", command=COMMAND, is_repeated=False)


async def test_thread_of_the_command_is_found_again() -> None:
    assert await create(thread("99"), thread("102"), thread("101")) == "101", "the first one after the command"


@pytest.mark.parametrize(
    "other",
    [
        thread("101", owner="2"),
        thread("101", channel="21"),
        thread("101", name="Lisbon in June"),
        thread("100"),
    ],
    ids=["of somebody else", "in another channel", "with another title", "not after the command"],
)
async def test_another_thread_is_not_taken_for_it(other: dict[str, Any]) -> None:
    with pytest.raises(DeliveryError):
        await create(other)
