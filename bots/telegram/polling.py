"""Receiving: Telegram is told that an update arrived only after the inbox has kept it."""

import asyncio
import time
import traceback
from collections.abc import Awaitable, Callable
from typing import Any

import structlog
from telegram import Update
from telegram.error import NetworkError

from bots.telegram.request import Request
from core.errors import ConfigurationError, ParleyError, StoreError, UnavailableError

__all__ = ["ALLOWED_UPDATES", "Intake", "Poll", "readable"]

ALLOWED_UPDATES = ("message", "callback_query", "my_chat_member", "stopped_message_generation")
TRIES = 3
FAILING = 1000
"""Updates whose failures are counted at the same time."""

log = structlog.get_logger(__name__)


class Poll(Request):
    """The connection `getUpdates` uses: sees what the library keeps to itself.

    The library retries time-outs in silence and ends its polling task, unnoticed by anybody,
    when the token is refused.
    """

    def __init__(self, patience: int) -> None:
        super().__init__(connection_pool_size=2, read_timeout=10.0, connect_timeout=10.0)
        self._patience = patience
        self.busy = False
        """Whether an answer is being waited for."""
        self.begin()

    def begin(self) -> None:
        self.last_poll = time.monotonic()
        self._conflicts = 0
        self._failed = asyncio.Event()
        self._reason: ParleyError | None = None

    async def failure(self) -> ParleyError:
        """Wait until polling cannot go on, and say why."""
        await self._failed.wait()
        assert self._reason is not None  # noqa: S101 (set together with the event)
        return self._reason

    async def do_request(self, *args: Any, **options: Any) -> tuple[int, bytes]:
        self.busy = True
        try:
            status, payload = await super().do_request(*args, **options)
        finally:
            self.busy = False
        self._note(status)
        return status, payload

    def _note(self, status: int) -> None:
        if status == 200:
            self.last_poll = time.monotonic()
            self._conflicts = 0
        elif status in {401, 404}:
            self._fail(ConfigurationError("Telegram does not accept TELEGRAM_BOT_TOKEN any more"))
        elif status == 409:
            self._conflicts += 1
            log.error(
                "telegram.conflict",
                meaning="another process receives with the same token, or a webhook is set",
                times=self._conflicts,
            )
            if self._conflicts >= self._patience:
                self._fail(
                    UnavailableError(
                        "Another process receives the messages of the same Telegram bot. "
                        "Stop it, or give one of them its own TELEGRAM_BOT_TOKEN."
                    )
                )

    def _fail(self, reason: ParleyError) -> None:
        self._reason = reason
        self._failed.set()

    @staticmethod
    def parse_json_payload(payload: bytes) -> dict[str, Any]:
        """Empty the updates the library cannot read: one of them would hold up all others."""
        answer = Request.parse_json_payload(payload)
        updates = answer.get("result")
        if isinstance(updates, list):
            answer["result"] = [readable(update) for update in updates]
        return answer


def readable(update: dict[str, Any]) -> dict[str, Any]:
    """`update`, or nothing but its number where the library cannot read it."""
    try:
        Update.de_json(update, None)
    except Exception as error:  # noqa: BLE001 (whatever it is, this update cannot be read)
        number = update.get("update_id", 0)
        log.error("telegram.update_unreadable", update=number, error=type(error).__name__)
        return {"update_id": number}
    return update


class Intake(asyncio.Queue[object]):
    """The library's update queue, which holds nothing: `put` returns when the update is kept.

    A `NetworkError` makes the library back off and fetch the same updates again; any other
    exception would end its polling task for good. What fails again and again for no reason of
    the store's is let go, so that it holds nobody up; its sender hears nothing, for nobody knows
    here whether they may.
    """

    def __init__(self, keep: Callable[[Update], Awaitable[None]]) -> None:
        super().__init__()
        self._keep = keep
        self._failing: dict[int, int] = {}
        """How often updates have failed, the oldest first."""

    async def put(self, item: object) -> None:
        if not isinstance(item, Update):
            raise TypeError(f"Not an update: {type(item).__name__}")
        number = item.update_id
        try:
            await self._keep(item)
        except StoreError as error:
            log.error("telegram.not_kept", update=number, error=str(error))
            raise NetworkError("The inbox cannot keep updates now") from error
        except Exception as error:
            times = self._failing.pop(number, 0) + 1
            log.error(
                "telegram.intake_failed",
                update=number,
                times=times,
                error=type(error).__name__,  # its text may hold what the person wrote
                stack="".join(traceback.format_tb(error.__traceback__)),
            )
            if times < TRIES:
                self._failing[number] = times
                while len(self._failing) > FAILING:
                    del self._failing[next(iter(self._failing))]
                raise NetworkError("The inbox failed") from error
            log.error("telegram.update_let_go", update=number)
        else:
            self._failing.pop(number, None)
