"""What an error of Telegram means for a message."""

import asyncio

import aiohttp
import pytest
from telegram.error import (
    BadRequest,
    ChatMigrated,
    Conflict,
    Forbidden,
    InvalidToken,
    NetworkError,
    RetryAfter,
    TelegramError,
    TimedOut,
)

from bots.telegram.errors import (
    ServerError,
    delivery_errors,
    is_not_modified,
    is_topic_gone,
    redact_token,
    retry,
    retry_after,
    to_delivery_error,
)
from bots.telegram.timings import TelegramTimings
from core.errors import ChatMovedError, DeliveryError, DeliveryFailure
from tests.clock import FakeClock

TOKEN = "123456:AAsecret-Token_value"


def caused_by(error: TelegramError, cause: Exception) -> TelegramError:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        (ServerError(500), DeliveryFailure.TRANSIENT),
        (ServerError(503), DeliveryFailure.TRANSIENT),
        (ServerError(504), DeliveryFailure.UNKNOWN),
        (ServerError(505), DeliveryFailure.TRANSIENT),
        (ServerError(519), DeliveryFailure.TRANSIENT),
        (ServerError(520), DeliveryFailure.UNKNOWN),
        (ServerError(524), DeliveryFailure.UNKNOWN),
        (TimedOut(), DeliveryFailure.UNKNOWN),
        (caused_by(NetworkError("lost"), OSError()), DeliveryFailure.UNKNOWN),
        (caused_by(NetworkError("closed"), RuntimeError()), DeliveryFailure.TRANSIENT),
        (caused_by(TimedOut(), aiohttp.ConnectionTimeoutError()), DeliveryFailure.TRANSIENT),
        (NetworkError("Too Many Requests"), DeliveryFailure.RATE_LIMITED),
        (NetworkError("Request Entity Too Large"), DeliveryFailure.REJECTED),
        (BadRequest("Message thread not found"), DeliveryFailure.GONE),
        (BadRequest("Message to edit not found"), DeliveryFailure.GONE),
        (BadRequest("Not enough rights to send"), DeliveryFailure.FORBIDDEN),
        (BadRequest("Can't parse entities"), DeliveryFailure.REJECTED),
        (Forbidden("bot was blocked"), DeliveryFailure.FORBIDDEN),
        (InvalidToken(), DeliveryFailure.TRANSIENT),
        (Conflict("terminated"), DeliveryFailure.TRANSIENT),
        (TelegramError("anything"), DeliveryFailure.UNKNOWN),
    ],
)
def test_error_says_whether_the_message_may_have_arrived(error: TelegramError, failure: DeliveryFailure) -> None:
    assert to_delivery_error(error).failure is failure


def test_wait_is_the_one_that_telegram_wants() -> None:
    error = to_delivery_error(RetryAfter(7))
    assert (error.failure, error.retry_after) == (DeliveryFailure.RATE_LIMITED, 7.0)
    assert to_delivery_error(NetworkError("Too Many Requests")).retry_after == 1.0
    assert retry_after(TimedOut()) == 0.0


def test_chat_that_moved_names_its_new_id() -> None:
    error = to_delivery_error(ChatMigrated(-100123))
    assert isinstance(error, ChatMovedError)
    assert error.new_chat == "-100123"


def test_refusals_that_are_handled_apart() -> None:
    assert is_not_modified(BadRequest("Message is not modified: same content"))
    assert not is_not_modified(BadRequest("Message is too long"))
    assert is_topic_gone(BadRequest("TOPIC_DELETED"))
    assert not is_topic_gone(BadRequest("Chat not found"))


def test_token_is_not_in_the_log() -> None:
    assert redact_token(f"POST /bot{TOKEN}/getMe", TOKEN) == "POST /bot123456:<token>/getMe"


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        (TelegramError("x"), DeliveryFailure.UNKNOWN),
        (TimeoutError(), DeliveryFailure.UNKNOWN),
        (KeyError("date"), DeliveryFailure.UNKNOWN),
        (DeliveryError("full", DeliveryFailure.REJECTED), DeliveryFailure.REJECTED),
    ],
)
def test_request_raises_nothing_but_delivery_errors(error: Exception, failure: DeliveryFailure) -> None:
    with pytest.raises(DeliveryError) as caught, delivery_errors():
        raise error
    assert caught.value.failure is failure


class FlakyRequest:
    """Fails with these errors first. `times`: when it was called."""

    def __init__(self, clock: FakeClock, *errors: TelegramError) -> None:
        self.errors, self.clock = list(errors), clock
        self.times: list[float] = []

    async def __call__(self) -> str:
        self.times.append(self.clock.now)
        if self.errors:
            raise self.errors.pop(0)
        return "done"


async def test_request_is_repeated_after_the_wait_that_telegram_wants() -> None:
    clock = FakeClock()
    timings = TelegramTimings(clock=clock)
    request = FlakyRequest(clock, TimedOut(), RetryAfter(1000), NetworkError("lost"))
    result: list[str] = []

    async def run() -> None:
        result.append(await retry("getMe", request, TOKEN, timings))

    running = asyncio.create_task(run())
    await clock.advance(2000)
    await running
    first, after_timeout, after_wait, last = request.times
    assert result == ["done"]
    assert after_timeout == first, "the time-out was a sufficient delay"
    assert after_wait - after_timeout == 1000
    assert 0 < last - after_wait <= 2 * timings.first_retry_delay


@pytest.mark.parametrize("error", [InvalidToken(), Forbidden("no")])
async def test_permanent_errors_are_not_repeated(error: TelegramError) -> None:
    clock = FakeClock()
    request = FlakyRequest(clock, error)
    with pytest.raises(type(error)):
        await retry("getMe", request, TOKEN, TelegramTimings(clock=clock), permanent=(Forbidden,))
    assert len(request.times) == 1
