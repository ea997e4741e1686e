"""Every duration of the Discord adapter, in seconds, and the clock that measures them. Tests pass shorter values."""

from dataclasses import dataclass

from core.clock import Clock, SystemClock


@dataclass(frozen=True, slots=True)
class DiscordTimings:
    clock: Clock = SystemClock()

    # Requests
    request_timeout: float = 15.0
    upload_timeout: float = 60.0
    """For a request with a file."""
    connect_timeout: float = 10.0
    download_timeout: float = 120.0
    """For a whole attachment."""
    download_stall_timeout: float = 30.0
    """For the next bytes of an attachment."""
    typing_pause: float = 300.0
    """How long typing indicators to a channel are skipped after it refused one."""
    forbidden_channel_pause: float = 60.0
    """How long messages to a channel are skipped after it refused one."""
    notice_interval: float = 300.0
    """Between two notices to one person that the bot may not write in a channel."""

    # Events
    max_acknowledge_delay: float = 1.5
    """How long an interaction may wait to be stored before it is acknowledged; Discord allows 3."""
    max_read_delay: float = 1.0
    """How long reading what a form or a completion shows may take. What is not read then is acknowledged like other
    interactions, also within Discord's 3 seconds."""
    acknowledge_timeout: float = 3.0
    """How long an answer waits for the acknowledgement of its interaction."""
    store_timeout: float = 20.0
    """How long storing is retried before the person is notified that the event is lost."""
    first_store_retry_delay: float = 0.2
    max_store_retry_delay: float = 2.0
    drain_timeout: float = 1.5
    """For storing received events when the adapter stops."""

    # Connection
    first_retry_delay: float = 1.0
    """Before a lost connection is rebuilt; doubles with each attempt."""
    max_retry_delay: float = 60.0
    """Also how long a connection must last to reset the delay."""
    max_command_poll_interval: float = 600.0
    """Between two looks in the database for the commands that another process registers; first `first_retry_delay`."""
    identify_interval: float = 5.0
    """Between two IDENTIFYs of one rate limit bucket."""
    identify_tolerance: float = 1.0
    """How long a reserved IDENTIFY stays valid."""
    identify_retry_interval: float = 0.5
    """Between two attempts to reserve an IDENTIFY among several processes."""
    min_session_wait: float = 0.1
    max_session_wait: float = 24 * 60 * 60.0
    """Bounds of the wait for Discord's daily session limit to reset."""
    heartbeat_timeout: float = 100.0
    """Without a heartbeat acknowledgement: two missed ones, and less than the core's limit for the adapter."""
    resume_timeout: float = 180.0
    """How long the library may try to resume a session before a new one replaces it."""
    heartbeat_check_interval: float = 5.0
    cancel_interval: float = 0.1
    """Between two cancellations of a connection that has to end."""
    close_timeout: float = 2.5
    """For the gateway's closing handshake."""

    # Shards
    shard_claim_interval: float = 1.0
    """Between two attempts to claim a shard."""
    extra_interval_per_shard: float = 0.5
    """Added for each shard that this process already serves."""
    shard_claim_lease: float = 3.0
    """How long a claimed shard is reserved until its lease is renewed regularly."""

    # Backfill
    activity_window: float = 24 * 60 * 60.0
    """Channels in which nobody talked to the bot for longer than this are not read."""
    backfill_overlap: float = 15.0
    """How far before the last stored event reading starts: events are stored in no particular order."""
    checkpoint_timeout: float = 3.0
    """For reading the start point from the database; after it, the session starts without backfill."""
    guild_timeout: float = 10.0
    """For Discord to announce a guild; after it, its channels wait for the next session."""
    backfill_order_timeout: float = 5.0
    """How long new messages wait for older ones of their channel."""
