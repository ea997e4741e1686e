"""What a page gets: the latest event of each key, in order, and new ones as they come."""

import pytest

from bots.sandbox.web.event_log import MAX_UNREAD_EVENTS, EventLog, SubscriberTooSlowError
from tests.clock import FakeClock


def texts(events: list[dict[str, object]]) -> list[object]:
    return [event["text"] for event in events]


def test_replay_has_the_latest_event_of_each_key() -> None:
    log = EventLog(FakeClock())
    log.add("message", "1", text="first")
    log.add("message", "2", text="second")
    log.add("message", "1", text="first, edited")
    assert texts(log.replay()) == ["second", "first, edited"]


def test_page_that_reconnects_gets_only_what_it_missed() -> None:
    log = EventLog(FakeClock())
    log.add("message", "1", text="seen")
    log.add("message", "2", text="missed")
    assert texts(log.replay(log.epoch, since=1)) == ["missed"]
    assert texts(log.replay("another server", since=1)) == ["seen", "missed"]


def test_notices_are_not_replayed() -> None:
    log = EventLog(FakeClock())
    log.add("notice", None, text="for the moment")
    assert log.replay() == []


def test_many_events_of_one_type_leave_the_others() -> None:
    log = EventLog(FakeClock(), max_events=3)
    log.add("world", "world", text="the world")
    for number in range(10):
        log.add("call", str(number), text=number)
    assert texts(log.replay()) == ["the world", 7, 8, 9]


async def test_subscriber_gets_new_events_in_batches() -> None:
    log = EventLog(FakeClock())
    log.add("message", "1", text="earlier")
    with log.subscribe() as batches:
        log.add("message", "2", text="later")
        log.add("notice", None, text="and now")
        assert texts(await anext(batches)) == ["later", "and now"]


async def test_subscriber_that_does_not_read_is_given_up() -> None:
    log = EventLog(FakeClock())
    with log.subscribe() as batches:
        for number in range(MAX_UNREAD_EVENTS + 1):
            log.add("call", str(number))
        with pytest.raises(SubscriberTooSlowError):
            await anext(batches)
