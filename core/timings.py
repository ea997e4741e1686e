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
