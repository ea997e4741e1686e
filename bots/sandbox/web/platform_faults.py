"""Failures of the platforms that somebody injects from the page."""

from collections.abc import Callable
from dataclasses import dataclass

from bots.sandbox.discord.state import Call as DiscordCall
from bots.sandbox.stand_in import Fault, FaultKind
from bots.sandbox.telegram.state import Call as TelegramCall

ALWAYS = 1_000_000


@dataclass(slots=True)
class PlatformFaults:
    """A `ChatStandIn.fault_hook`. `kind` None: everything works. `remaining`: how many calls still fail.

    `on_change` is called when `kind` or `seconds` may have changed, also because the last of the calls has failed.
    """

    on_change: Callable[[], None]
    kind: FaultKind | None = None
    seconds: float = 0.0
    remaining: int = 0

    def inject(self, kind: FaultKind | None, seconds: float, times: int | None) -> None:
        """Fail the next `times` calls (None: all)."""
        self.kind, self.seconds, self.remaining = kind, seconds, ALWAYS if times is None else times
        self.on_change()

    def __call__(self, call: TelegramCall | DiscordCall) -> Fault | None:
        if self.kind is None or not self.remaining or not _can_fail(call, self.kind):
            return None
        self.remaining -= 1
        fault = Fault(self.kind, self.seconds)
        if not self.remaining:
            self.kind = None
            self.on_change()
        return fault


def _can_fail(call: TelegramCall | DiscordCall, kind: FaultKind) -> bool:
    """Whether a call can fail so. Rate limits are about messages; polling is always slow."""
    if isinstance(call, DiscordCall):
        return kind is not FaultKind.RATE_LIMITED or call.path.startswith("/channels/")
    is_poll = call.method.lower() == "getupdates"
    if kind is FaultKind.RATE_LIMITED:
        return "chat_id" in call.params
    return not (is_poll and kind is FaultKind.DELAY)
