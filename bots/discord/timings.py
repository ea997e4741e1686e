"""How long the adapter waits for what, in seconds."""

from dataclasses import dataclass

__all__ = ["DiscordTimings"]


@dataclass(frozen=True, slots=True)
class DiscordTimings:
    store_before_acknowledge: float = 1.5
    """For the inbox, before an interaction is acknowledged without it (Discord allows 3)."""
    store_timeout: float = 20.0
    """For a database that is away to come back, before the person is told that nothing was kept."""
    acknowledge_timeout: float = 3.0
    """For an acknowledgement under way, before an answer is sent without it."""
    first_retry_delay: float = 1.0
    """Before a client that died is built anew; doubled each time."""
    max_retry_delay: float = 60.0
    identify_interval: float = 5.0
    """Between two IDENTIFYs of one bucket of shards."""
    identify_tolerance: float = 1.0
    """From the right to IDENTIFY to doing so, or another right is needed."""
    heartbeat_timeout: float = 100.0
    """Without a heartbeat's acknowledgement before the client is built anew: two of them missed,
    and before the whole adapter would be."""
    heartbeat_check_interval: float = 5.0
    """Between two looks at the heartbeats."""
    close_timeout: float = 2.5
    """For the gateway to say good-bye."""
    shard_claim_interval: float = 1.0
    """Between two questions for a shard that no process serves."""
    extra_interval_per_shard: float = 0.5
    """More between them for each shard already served here."""
    guild_timeout: float = 10.0
    """For Discord to tell of a server, before what was missed there is left for later."""
    backfill_order_timeout: float = 5.0
    """For what was missed in a channel to come before what is said there now."""
