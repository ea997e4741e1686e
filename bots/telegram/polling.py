"""Receiving: Telegram is told that an update arrived only after the inbox has kept it."""

import asyncio
import time
import traceback
from collections.abc import Awaitable, Callable
from typing import Any

import structlog
from telegram import Update
from telegram.error import NetworkError

from bots.telegram.http_client import BotApiRequest
from core.errors import ConfigurationError, ParleyError, StoreError, UnavailableError

__all__ = ["ALLOWED_UPDATES", "InboxQueue", "PollingRequest", "sanitise_update"]

ALLOWED_UPDATES = ("message", "callback_query", "my_chat_member", "stopped_message_generation")
MAX_ATTEMPTS = 3
MAX_TRACKED_FAILURES = 1000
"""Updates whose failures are counted at the same time."""

log = structlog.get_logger(__name__)


class PollingRequest(BotApiRequest):
    """The connection `getUpdates` uses: sees what the library keeps to itself.

    The library retries time-outs in silence and ends its polling task, unnoticed by anybody,
    when the token is refused.
    """

    def __init__(self, max_conflicts: int) -> None:
        super().__init__(connection_pool_size=2, read_timeout=10.0, connect_timeout=10.0)
        self._max_conflicts = max_conflicts
        self.is_in_flight = False
        """Whether an answer is being waited for."""
        self.reset()

    def reset(self) -> None:
        self.last_answer = time.monotonic()
        self._conflict_count = 0
        self._has_failed = asyncio.Event()
        self._failure: ParleyError | None = None

    async def wait_for_failure(self) -> ParleyError:
        """Wait until polling cannot go on, and say why."""
        await self._has_failed.wait()
        assert self._failure is not None  # noqa: S101 (set together with the event)
        return self._failure

    async def do_request(self, *args: Any, **options: Any) -> tuple[int, bytes]:
        self.is_in_flight = True
        try:
            status, payload = await super().do_request(*args, **options)
        finally:
            self.is_in_flight = False
        self._record_status(status)
        return status, payload

    def _record_status(self, status: int) -> None:
        if status == 200:
            self.last_answer = time.monotonic()
            self._conflict_count = 0
        elif status in {401, 404}:
            self._fail(ConfigurationError("Telegram does not accept TELEGRAM_BOT_TOKEN any more"))
        elif status == 409:
            self._conflict_count += 1
            log.error(
                "telegram.conflict",
                meaning="another process receives with the same token, or a webhook is set",
                times=self._conflict_count,
            )
            if self._conflict_count >= self._max_conflicts:
                self._fail(
                    UnavailableError(
                        "Another process receives the messages of the same Telegram bot. "
                        "Stop it, or give one of them its own TELEGRAM_BOT_TOKEN."
                    )
                )

    def _fail(self, failure: ParleyError) -> None:
        self._failure = failure
        self._has_failed.set()

    @staticmethod
    def parse_json_payload(payload: bytes) -> dict[str, Any]:
        """Empty the updates the library cannot read: one of them would hold up all others."""
        answer = BotApiRequest.parse_json_payload(payload)
        updates = answer.get("result")
        if isinstance(updates, list):
            answer["result"] = [sanitise_update(update) for update in updates]
        return answer


def sanitise_update(update: dict[str, Any]) -> dict[str, Any]:
    """`update`, or nothing but its number where the library cannot read it."""
    try:
        Update.de_json(update, None)
    except Exception as error:  # noqa: BLE001 (whatever it is, this update cannot be read)
        update_id = update.get("update_id", 0)
        log.error("telegram.update_unreadable", update=update_id, error=type(error).__name__)
        return {"update_id": update_id}
    return update


class InboxQueue(asyncio.Queue[object]):
    """The library's update queue, which holds nothing: `put` returns when the update is kept.

    A `NetworkError` makes the library back off and fetch the same updates again; any other
    exception would end its polling task for good. What fails again and again for no reason of
    the store's is let go, so that it holds nobody up; its sender hears nothing, for nobody knows
    here whether they may.
    """

    def __init__(self, handle_update: Callable[[Update], Awaitable[None]]) -> None:
        super().__init__()
        self._handle_update = handle_update
        self._failure_counts: dict[int, int] = {}
        """How often updates have failed, the oldest first."""

    async def put(self, item: object) -> None:
        if not isinstance(item, Update):
            raise TypeError(f"Not an update: {type(item).__name__}")
        update_id = item.update_id
        try:
            await self._handle_update(item)
        except StoreError as error:
            log.error("telegram.not_kept", update=update_id, error=str(error))
            raise NetworkError("The inbox cannot keep updates now") from error
        except Exception as error:
            attempts = self._failure_counts.pop(update_id, 0) + 1
            log.error(
                "telegram.intake_failed",
                update=update_id,
                times=attempts,
                error=type(error).__name__,  # its text may hold what the person wrote
                stack="".join(traceback.format_tb(error.__traceback__)),
            )
            if attempts < MAX_ATTEMPTS:
                self._failure_counts[update_id] = attempts
                while len(self._failure_counts) > MAX_TRACKED_FAILURES:
                    del self._failure_counts[next(iter(self._failure_counts))]
                raise NetworkError("The inbox failed") from error
            log.error("telegram.update_let_go", update=update_id)
        else:
            self._failure_counts.pop(update_id, None)
