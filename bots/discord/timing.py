"""How long the adapter waits for what, in seconds."""

from dataclasses import dataclass

__all__ = ["Timing"]


@dataclass(frozen=True, slots=True)
class Timing:
    commit: float = 1.5
    """For the inbox, before an interaction is acknowledged without it (Discord allows 3)."""
    keeping: float = 20.0
    """For a database that is away to come back, before the person is told that nothing was kept."""
    acknowledged: float = 3.0
    """For an acknowledgement under way, before an answer is sent without it."""
    first_retry: float = 1.0
    """Before a client that died is built anew; doubled each time."""
    last_retry: float = 60.0
    identify: float = 5.0
    """Between two IDENTIFYs of one bucket of shards."""
    identify_late: float = 1.0
    """From the right to IDENTIFY to doing so, or another right is needed."""
    deaf: float = 100.0
    """Without a heartbeat's acknowledgement before the client is built anew: two of them missed,
    and before the whole adapter would be."""
    watch: float = 5.0
    """Between two looks at the heartbeats."""
    closing: float = 2.5
    """For the gateway to say good-bye."""
    ask_shard: float = 1.0
    """Between two questions for a shard that no process serves."""
    per_shard: float = 0.5
    """More between them for each shard already served here."""
    guilds: float = 10.0
    """For Discord to tell of a server, before what was missed there is left for later."""
    in_order: float = 5.0
    """For what was missed in a channel to come before what is said there now."""
