"""What the page shows of a call: its request and answer without secrets, and its cost."""

import itertools
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from bots.sandbox.gauges import Gauge
from bots.sandbox.stand_in import Json
from bots.sandbox.web.event_log import EventLog
from core.clock import Clock

MAX_TEXT_CHARS = 2_000
MAX_ITEMS = 100
MAX_DEPTH = 12
WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
"""Of a name such as "access_token", "accessToken" or "X-Access-Token"."""
SECRETS = ("token", "secret", "authorization", "apikey", "password")
"""The ends of names of secrets: "max_tokens" is a number that people want to see."""
SECRET_PATHS = re.compile(r"(/(?:interactions/\d+|webhooks/\d+))/[^/]+")
MASK = "••••••"

_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class CallReport:
    """A call that has ended. `started_at` is by the clock's `monotonic`; `gauges` are the limits that count it."""

    platform: str
    method: str
    target: str
    started_at: float
    status: int
    request: Any
    response: Any
    gauges: Sequence[Gauge] = ()
    wait: float | None = None

    def announce(self, log: EventLog, clock: Clock) -> None:
        seconds = clock.monotonic() - self.started_at
        number = next(_numbers)
        log.add(
            "call",
            str(number),
            number=number,
            platform=self.platform,
            method=self.method,
            target=self.target,
            status=self.status,
            started_at=clock.time() - seconds,
            seconds=seconds,
            request=self.request,
            response=self.response,
            wait=self.wait,
            cost=[{"budget": gauge.name, "used": gauge.used, "limit": gauge.limit} for gauge in self.gauges],
        )
        for gauge in self.gauges:
            fields = {**asdict(gauge), "platform": self.platform}
            log.add("budget", f"{self.platform}/{gauge.name}/{gauge.scope}", **fields)


def masked(value: Any, depth: int = 0) -> Any:
    """A JSON value for display: secrets replaced, long texts and lists cut, files by their size."""
    if depth > MAX_DEPTH:
        return "…"
    match value:
        case dict():
            return {
                str(name): MASK if _is_secret(str(name)) and item else masked(item, depth + 1)
                for name, item in itertools.islice(value.items(), MAX_ITEMS)
            }
        case list() | tuple():
            return [masked(item, depth + 1) for item in value[:MAX_ITEMS]]
        case str():
            return value if len(value) <= MAX_TEXT_CHARS else f"{value[:MAX_TEXT_CHARS]}… ({len(value)} characters)"
        case None | bool() | int() | float():
            return value
        case _:
            return _describe_file(value)


def _describe_file(value: Any) -> Json | str:
    content = getattr(value, "content", None)
    return {"file": getattr(value, "name", ""), "bytes": len(content)} if isinstance(content, bytes) else str(value)


def masked_path(path: str) -> str:
    """A path of Discord's API without the tokens of interactions."""
    return SECRET_PATHS.sub(rf"\1/{MASK}", path)


def _is_secret(name: str) -> bool:
    words = [word.lower() for word in WORDS.findall(name)]
    if words[-1:] == ["value"]:
        words.pop()
    return words[-2:] == ["api", "key"] or any(word in SECRETS for word in words[-1:])
