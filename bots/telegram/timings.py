"""Every duration of the Telegram adapter, in seconds, and the clock that measures them.

How often previews and drafts are sent is in `TelegramAdapter.capabilities`.
"""

from dataclasses import dataclass

from core.clock import Clock, SystemClock


@dataclass(frozen=True, slots=True)
class TelegramTimings:
    clock: Clock = SystemClock()

    connect_timeout: float = 10.0
    """To open a connection, or to get one from the pool."""
    read_timeout: float = 30.0
    """For the next byte of the response. Long, because a send that timed out may have arrived."""
    request_timeout: float = 90.0
    """For a whole request, because a response that arrives byte by byte never reaches `read_timeout`."""
    download_timeout: float = 120.0
    """For a whole file."""
    ready_timeout: float = 10.0
    """How long a request waits for the adapter to connect."""
    first_retry_delay: float = 1.0
    """Before a failed request is repeated; doubles with each attempt."""
    max_retry_delay: float = 30.0
    long_poll_timeout: int = 20
    """How long Telegram delays its answer to `getUpdates` while there are no updates."""
    poll_read_timeout: float = 10.0
    """For the next byte of the response, in addition to `long_poll_timeout`."""
    confirm_timeout: float = 4.0
    """To confirm the stored updates when polling ends."""
    member_timeout: float = 5.0
    """For Telegram to say whether somebody manages a group."""
    manager_cache_lifetime: float = 30.0
    """How long it is remembered whether somebody manages a group."""
    inline_query_delay: float = 0.4
    """How long a person must not type before an inline query is answered."""
    inline_cache_seconds: int = 20
    """For which Telegram shows the person the same answer to the same inline query."""
    background_timeout: float = 0.5
    """For background tasks to finish when the adapter stops."""
    webhook_check_interval: float = 60.0
    webhook_recheck_interval: float = 15.0
    """After a failed check. Short enough for several checks before the adapter counts as silent."""
    webhook_read_timeout: float = 30.0
    """For an update to arrive completely."""
    webhook_shutdown_timeout: float = 2.0
    """For updates in progress when the listener closes."""
