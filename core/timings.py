"""Every duration the core waits for, in one place. All values are seconds unless the name says otherwise.

Tests pass shorter values; nothing patches module constants. Adapters have their own timings
(`TelegramTimings`, `DiscordTimings`).
"""

from dataclasses import dataclass

__all__ = ["Timings"]


@dataclass(frozen=True, slots=True)
class Timings:
    lease_seconds: float = 6.0
    """How long a process owns a turn, or a named lease, without renewing it."""
    exit_deadline: float = 19.0
    """From the first stop signal until the process is ended by force. Longer than the whole shutdown takes."""

    model_list_timeout: float = 30.0
    """How long the request for the list of models may take."""
    embedding_timeout: float = 60.0
    """How long one request for vectors may take."""
    model_retry_delay: float = 0.6
    """The first delay before a failed request to the model service is sent again; it doubles."""
    max_model_retry_delay: float = 20.0
    """The longest such delay. If the service asks for a longer one, the request fails."""
    stream_drain_timeout: float = 0.1
    """How long to wait for the end of a stream that is complete, so that its connection can be reused."""
