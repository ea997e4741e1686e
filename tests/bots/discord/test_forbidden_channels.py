"""A channel that refused a message is left alone for a while, and the person who asked learns why."""

from dataclasses import replace
from typing import Any, cast

import pytest

from bots.discord.errors import MISSING_ACCESS, MISSING_PERMISSIONS, DiscordApiError
from bots.discord.forbidden_channels import MAX_ENTRIES, ExpiringSet, ForbiddenChannels
from bots.discord.http_client import HttpClient, Json
from bots.discord.timings import DiscordTimings
from core.errors import DeliveryError, DeliveryFailure
from core.port import Place
from tests.clock import FakeClock

CHANNEL = Place("discord", "1", "10", server="5")
THREAD = Place("discord", "1", "10", thread="11", server="5")
PAUSE, INTERVAL = DiscordTimings().forbidden_channel_pause, DiscordTimings().notice_interval


def refusal(code: int = MISSING_ACCESS) -> DiscordApiError:
    return DiscordApiError("I may not write there", DeliveryFailure.FORBIDDEN, 403, code)


class RecordingClient:
    """Ann wrote every message; `author` is what Discord says."""

    def __init__(self) -> None:
        self.author: object = {"id": "7"}
        self.calls: list[tuple[str, str, Any]] = []
        self.error: DeliveryError | None = None

    async def call(self, method: str, path: str, body: Json | None = None) -> Json:
        self.calls.append((method, path, body))
        if self.error is not None:
            raise self.error
        return {"author": self.author} if method == "GET" else {"id": "70"}

    @property
    def notices(self) -> list[str]:
        return [str(body["content"]) for _, path, body in self.calls if path == "/channels/70/messages"]


class Environment:
    def __init__(self) -> None:
        self.clock, self.http = FakeClock(), RecordingClient()
        timings = replace(DiscordTimings(), clock=self.clock)
        self.channels = ForbiddenChannels(cast("HttpClient", self.http), timings)

    def is_paused(self, place: Place) -> bool:
        try:
            self.channels.check(place)
        except DeliveryError as error:
            return error.failure is DeliveryFailure.FORBIDDEN
        return False

    async def notify(self, message_id: str, place: Place = CHANNEL) -> None:
        await self.channels.notify_sender(place, message_id, refusal())


async def test_name_is_in_the_set_until_its_time_has_passed() -> None:
    clock = FakeClock()
    names = ExpiringSet(clock)
    names.add("a", 10)
    assert "a" in names
    assert "b" not in names
    await clock.advance(9.9)
    assert "a" in names
    await clock.advance(0.1)
    assert "a" not in names


async def test_set_keeps_the_newest_names() -> None:
    names = ExpiringSet(FakeClock())
    for number in range(MAX_ENTRIES + 1):
        names.add(str(number), 10)
    assert ("0" in names, "1" in names, str(MAX_ENTRIES) in names) == (False, True, True)


@pytest.mark.parametrize("code", [MISSING_ACCESS, MISSING_PERMISSIONS])
async def test_refusing_channel_is_paused(code: int) -> None:
    env = Environment()
    assert not env.is_paused(THREAD)
    env.channels.record_failure(THREAD, refusal(code))
    assert env.is_paused(THREAD)
    assert not env.is_paused(CHANNEL), "only the thread refused"
    await env.clock.advance(PAUSE)
    assert not env.is_paused(THREAD)


@pytest.mark.parametrize("error", [refusal(0), DeliveryError("no", DeliveryFailure.FORBIDDEN)])
def test_other_failures_pause_nothing(error: DeliveryError) -> None:
    env = Environment()
    env.channels.record_failure(CHANNEL, error)
    assert not env.is_paused(CHANNEL)


async def test_author_is_told_once_in_a_while_why_there_is_no_answer() -> None:
    env = Environment()
    await env.notify("100", THREAD)
    get, open_dm, notice = env.http.calls
    assert get == ("GET", "/channels/11/messages/100", None)
    assert open_dm == ("POST", "/users/@me/channels", {"recipient_id": "7"})
    assert notice[2]["nonce"] == "f100"
    assert env.http.notices == ["I couldn't answer you in <#11>: I may not write there."]
    await env.notify("100", THREAD)
    assert len(env.http.calls) == 3, "nothing is asked about the same message"
    await env.notify("101", THREAD)
    assert len(env.http.notices) == 1, "the same person, the same channel"
    await env.notify("102")
    assert len(env.http.notices) == 2, "another channel"
    env.http.author = {"id": "8"}
    await env.notify("103", THREAD)
    assert len(env.http.notices) == 3, "another person"
    await env.clock.advance(INTERVAL)
    await env.notify("100", THREAD)
    assert len(env.http.notices) == 4


async def test_private_chat_gets_no_notice() -> None:
    env = Environment()
    await env.notify("100", replace(CHANNEL, is_private=True))
    assert env.http.calls == []


async def test_failed_notice_is_no_failure() -> None:
    env = Environment()
    env.http.error = DeliveryError("no", DeliveryFailure.FORBIDDEN)
    await env.notify("100")
    assert len(env.http.calls) == 1


@pytest.mark.parametrize("author", [None, "Ann", {}])
async def test_message_without_a_readable_author_is_harmless(author: object) -> None:
    env = Environment()
    env.http.author = author
    await env.notify("100")
    assert env.http.calls[1][2] == {"recipient_id": ""}
