"""Makes the platforms fail at random, and records requests sent before a `retry_after` had passed."""

import random
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from bots.sandbox import discord, telegram
from bots.sandbox.stand_in import Fault, FaultKind
from tests.end_to_end.harness import Harness

SHARE_PER_KIND = 0.05
FAULT_KINDS = (
    FaultKind.RATE_LIMITED,
    FaultKind.INTERNAL_ERROR,
    FaultKind.BAD_GATEWAY,
    FaultKind.DROP_AFTER,
    FaultKind.DROP_BEFORE,
    FaultKind.DELAY,
)
IN_FLIGHT_SECONDS = 3.0
"""In which a call may be under way on a busy machine."""
CHANNEL_PATH = re.compile(r"/channels/(\d+)/")


@dataclass(frozen=True, slots=True)
class _Arrival:
    """A call to a chat: what it makes wait if it is refused, when it came, and the text of its message."""

    route: str
    time: float
    text: object

    def repeats(self, earlier: "_Arrival") -> bool:
        return bool(self.text) and self.text == earlier.text


@dataclass(slots=True)
class FaultInjector:
    """Injects faults into both stand-ins from `start` to `stop`.

    `retry_after_range` and `delay_seconds` are in seconds. With `chats`, only calls to these chats fail; otherwise
    every call may fail, receiving included. Each of `kinds` hits `share_per_kind` of the calls. A call that arrives up to
    `IN_FLIGHT_SECONDS` after a refusal may already have been on its way and does not count as early, unless it repeats
    the refused call.
    """

    rng: random.Random
    retry_after_range: tuple[float, float]
    delay_seconds: float
    chats: Collection[str] | None = None
    kinds: Sequence[FaultKind] = FAULT_KINDS
    share_per_kind: float = SHARE_PER_KIND
    injected_count: int = 0
    _sent: list[_Arrival] = field(default_factory=list)
    _limits: list[tuple[_Arrival, float]] = field(default_factory=list)

    def start(self, harness: Harness) -> None:
        harness.telegram.fault_hook = self._telegram_fault
        harness.discord.fault_hook = self._discord_fault

    @staticmethod
    def stop(harness: Harness) -> None:
        harness.telegram.fault_hook = harness.discord.fault_hook = None

    def limited_chats(self) -> set[str]:
        """The chats that were given a `retry_after`."""
        return {refused.route for refused, _ in self._limits}

    def early_sends(self) -> list[str]:
        """Requests that were sent before the `retry_after` of their route had passed."""
        return [
            f"{refused.route}: sent {sent.time - refused.time:.2f} s after a retry_after of {seconds:.2f} s"
            for refused, seconds in self._limits
            for sent in self._sent
            if sent.route == refused.route
            and refused.time + (0 if sent.repeats(refused) else IN_FLIGHT_SECONDS) < sent.time < refused.time + seconds
        ]

    def _telegram_fault(self, call: telegram.Call) -> Fault | None:
        chat_id = call.params.get("chat_id")
        chat = "" if chat_id is None else str(chat_id)
        return self._pick(chat, call.time, call.params.get("text"), whole_seconds=True)

    def _discord_fault(self, call: discord.Call) -> Fault | None:
        match = CHANNEL_PATH.match(call.path)
        chat = match[1] if match and call.method != "GET" else ""
        # Discord limits reactions by themselves: messages need not wait for a refused one.
        route = f"{chat}: reactions" if "/reactions/" in call.path else chat
        return self._pick(chat, call.time, (call.body or {}).get("content"), whole_seconds=False, route=route)

    def _pick(
        self, chat: str, now: float, text: object, *, whole_seconds: bool, route: str | None = None
    ) -> Fault | None:
        """`route`: what a refusal makes wait, if not the whole chat."""
        arrival = _Arrival(chat if route is None else route, now, text)
        if chat:
            self._sent.append(arrival)
        if self.chats is not None and chat not in self.chats:
            return None
        drawn = self.rng.random()
        if drawn >= self.share_per_kind * len(self.kinds):
            return None
        self.injected_count += 1
        kind = self.kinds[int(drawn / self.share_per_kind)]
        seconds = self.delay_seconds if kind is FaultKind.DELAY else 0.0
        if kind is FaultKind.RATE_LIMITED:
            seconds = self.rng.uniform(*self.retry_after_range)
            seconds = float(max(1, round(seconds))) if whole_seconds else round(seconds, 3)
            if chat:
                self._limits.append((arrival, seconds))
        return Fault(kind, seconds)
