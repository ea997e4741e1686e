"""Every duration the core waits for, in seconds, and the clock that measures them.

Tests pass shorter values; nothing patches module constants. Adapters have their own timings (`TelegramTimings`,
`DiscordTimings`).
"""

from dataclasses import dataclass

from core.clock import Clock, SystemClock


@dataclass(frozen=True, slots=True)
class Timings:
    clock: Clock = SystemClock()

    # Leases
    lease_duration: float = 6.0
    """How long a process owns a turn, or a named lease, without renewing it."""
    heartbeat_interval: float = 0.5
    """Between two renewals of all leases of a process. A `/stop` that another process received arrives with one.
    A process that has the database for itself only reads them, and renews them twice in `lease_duration`."""
    claim_interval: float = 1.0
    """Between two searches for turns and named leases that other processes let go."""
    idle_claim_interval: float = 10.0
    """Between two searches for turns while none is open and no other process uses the database. Finds an event whose
    receiver was cancelled while it was stored."""
    lease_cancel_timeout: float = 6.0
    """For the work under a lost lease to end."""

    # Turns
    turn_cancel_timeout: float = 2.0
    """For cancelled turns to end at shutdown, before their leases are left to expire."""
    ledger_settle_interval: float = 900.0
    """Between two searches for token reservations of processes that died."""
    process_count_interval: float = 3.0
    """Between two counts of the processes that share an account's rate limit."""
    min_stored_wait: float = 1.0
    """Waits that a platform asks for and that are shorter are not shared with other processes."""
    thinking_status_interval: float = 5.0
    """Between two changes of "Thinking… 10 s"."""
    waiting_mark_delay: float = 1.0
    """Until a question that waits for another answer is marked."""
    waiting_mark_timeout: float = 6.0
    """For the platform's limits to have room for the mark, and for the platform to show it. While an answer grows in a
    Telegram group, the next request is possible after about three seconds."""
    first_fetch_retry_delay: float = 1.0
    """Before a file is fetched again; doubles with each attempt."""
    max_fetch_retry_delay: float = 10.0
    """A platform that asks to wait longer fails the fetch."""

    # Access
    pairing_code_lifetime: float = 3600.0
    grant_cache_lifetime: float = 5.0
    denial_cache_lifetime: float = 0.5
    """Grants are read again this soon if they let nobody in: one may just have been added."""
    request_notice_interval: float = 600.0
    """Between two messages about strangers' requests to an operator. All that came meanwhile are in one."""

    # Delivery
    delivery_deadline: float = 24 * 3600.0
    """How long a final message is tried."""
    first_delivery_retry_delay: float = 1.0
    """Before a message is sent again; doubles with each attempt."""
    max_delivery_retry_delay: float = 30.0
    retry_after_margin: float = 0.1
    """Added to what a platform asks to wait."""
    default_retry_after: float = 1.0
    """The wait if a platform limits requests and does not say for how long."""
    typing_delay: float = 0.5
    """Until the bot appears to be typing, if there is no text yet."""
    thinking_status_delay: float = 1.5
    """Until "Thinking…" is shown, if nothing has arrived yet."""
    tolerated_lateness: float = 0.05
    """How late the event loop may be on average before previews become rarer."""
    long_platform_wait: float = 20.0
    """People are told why an answer is late if it waits for its platform this long."""
    preview_finish_timeout: float = 10.0
    """For a preview that is being sent when the answer is complete."""

    # Supervision
    adapter_silence_timeout: float = 120.0
    """Without a sign of life from its platform, an adapter is restarted."""
    liveness_check_interval: float = 5.0
    first_restart_delay: float = 1.0
    """Before an adapter that failed runs again; doubles with each failure."""
    max_restart_delay: float = 60.0
    """Also how long an adapter must run for the delays to start again."""
    adapter_cancel_timeout: float = 10.0
    """For a cancelled adapter to end; one that does not ends the process."""

    # Health
    health_check_interval: float = 1.0
    """Between two looks at the adapters, which also measure how late the event loop is."""
    store_check_interval: float = 5.0
    event_loop_timeout: float = 30.0
    """A process whose event loop did nothing for this long is not alive."""
    max_disconnection: float = 600.0
    """Nor is one without a connection to any platform for this long. Longer than the adapters' own recovery takes."""
    tolerated_disconnection: float = 15.0
    """How long a platform still counts as connected for traffic: a lost connection is usually back at once."""
    report_timeout: float = 5.0
    """How long the database may take for a report of all metrics."""
    store_silence_timeout: float = 20.0
    """Without an answer of the database for this long, a process is not ready."""

    # Shutdown
    shutdown_grace: float = 12.0
    """For running answers to end after a stop signal."""
    failure_grace: float = 1.0
    """For running answers to end when an adapter cannot go on."""
    adapter_stop_timeout: float = 5.0
    """For the adapters to end after that."""
    exit_deadline: float = 19.0
    """From the first stop signal until the process is ended by force. Longer than the whole shutdown takes."""

    # Model service
    model_list_timeout: float = 30.0
    """How long the request for the list of models may take."""
    embedding_timeout: float = 60.0
    """How long one request for vectors may take."""
    speech_timeout: float = 180.0
    """How long the transcription of one recording may take."""
    model_retry_delay: float = 0.6
    """The first delay before a failed request to the model service is sent again; it doubles."""
    max_model_retry_delay: float = 20.0
    """The longest such delay. If the service asks for a longer one, the request fails."""
    stream_drain_timeout: float = 0.1
    """How long to wait for the end of a stream that is complete, so that its connection can be reused."""
    first_model_pause: float = 30.0
    """How long a model that keeps failing is not asked; doubles with each further failure."""
    max_model_pause: float = 600.0
    catalogue_refresh_interval: float = 3600.0
    """Between two fetches of the list of models."""
    catalogue_retry_interval: float = 60.0
    """Until the list is fetched again after a failure."""
    catalogue_search_interval: float = 10.0
    """Between two fetches for people who choose a model that is not in the list."""
    catalogue_search_timeout: float = 5.0
    """How long such a person waits for the list."""
    learned_fact_lifetime: float = 86_400.0
    """How long a process remembers what a service rejects, or the size of a context window."""
    service_refresh_interval: float = 10.0
    """Between two searches for what other processes learned about the service, which models they paused, and what an
    operator reset. Shorter pauses are not shared."""
    quota_rollover: float = 600.0
    """A quota that returns sooner is not exhausted for the day."""
    max_request: float = 43_200.0
    """Longer than any request to a model may take; a reservation that is older belongs to a dead process."""

    # Memory
    file_read_timeout: float = 120.0
    """How long reading the text of one file may take."""
    recall_timeout: float = 8.0
    """How long an answer waits for the search in notes and files. Then the model answers without them."""

    # Storage
    retention_interval: float = 3600.0
    """Between two searches for rows that have been kept long enough."""
    trace_search_interval: float = 60.0
    """Between two looks whether erased rows have left traces in the database's files."""
    retention_pause: float = 0.2
    """Between two batches of rows that are deleted."""
    max_compaction_delay: float = 300.0
    """How long the rewriting of an SQLite file waits for a moment without open turns."""
    batch_window: float = 1.2
    """How long a question waits for the next message of a batch (a split text, an album)."""
    max_batch: float = 15.0
    """How long after its first message a batch takes further ones."""
    transaction_timeout: float = 15.0
    """How long a transaction on a database server may take."""
    connection_pool_timeout: float = 30.0
    """How long a transaction waits for a connection."""
    store_close_timeout: float = 5.0
    """For running transactions to end when the store is closed."""
    store_retry_interval: float = 0.3
    """Before a turn repeats a transaction that failed."""
    max_store_retry: float = 60.0
    """How long a turn repeats it, if its lease is renewed meanwhile."""
    sqlite_busy_timeout: float = 10.0
    """How long SQLite waits for a lock that another process holds."""
    sqlite_poll_interval: float = 0.02
    """Between two checks whether a database that another process opens is unlocked."""
    process_lock_timeout: float = 25.0
    """For the process that served from an SQLite database before this one to end."""
    process_lock_poll_interval: float = 0.2
