"""Events of the model service: its requests as they stream, and the day's quotas."""

import asyncio
import itertools
from dataclasses import dataclass, field

import msgspec

from bots.sandbox.model import ModelStandIn, RecordedRequest
from bots.sandbox.model.accounts import Endpoint
from bots.sandbox.model.server import RejectedRequest
from bots.sandbox.stand_in import Json
from bots.sandbox.web.calls import masked
from bots.sandbox.web.event_log import EventLog

ANNOUNCE_INTERVAL = 0.2
"""Seconds: a stream has too many pieces for an event of each."""
MAX_TEXT_CHARS = 4_000


@dataclass(slots=True)
class _Stream:
    number: int
    record: RecordedRequest
    text: str = ""
    """The end of the answer so far."""
    announced: tuple[object, ...] = ()

    @property
    def state(self) -> str:
        if self.record.status != 200:
            return "failed"
        if self.record.is_completed:
            return "done"
        return "streaming" if self.record.disconnected_at is None else "aborted"


@dataclass(slots=True)
class ModelFeed:
    """A `ModelObserver`."""

    service: ModelStandIn
    log: EventLog
    _numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))
    _open: dict[int, _Stream] = field(default_factory=dict)
    """By the `id` of the record, which lives as long as the stream is open."""
    _announced_quotas: list[Json] = field(default_factory=list)
    _task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self.service.observers.append(self)
        self._task = asyncio.create_task(self._announce_changes())

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def observe_request(self, request: RecordedRequest) -> None:
        self._open[id(request)] = _Stream(next(self._numbers), request)

    def observe_text(self, request: RecordedRequest, text: str) -> None:
        stream = self._open.get(id(request))
        if stream is not None:
            stream.text = (stream.text + text)[-MAX_TEXT_CHARS:]

    def observe_rejection(self, rejection: RejectedRequest) -> None:
        number, now = next(self._numbers), self.service.clock.time()
        self.log.add(
            "model.request",
            str(number),
            number=number,
            model=rejection.body.get("model"),
            endpoint=rejection.endpoint,
            state="failed",
            status=rejection.status,
            started_at=now,
            first_piece_at=None,
            ended_at=now,
            prompt_tokens=0,
            completion_tokens=0,
            context_window=None,
            pieces=0,
            request=masked(rejection.body),
            text=_to_text(rejection.detail)[:MAX_TEXT_CHARS],
        )

    async def _announce_changes(self) -> None:
        while True:
            self.announce_changes()
            await self.service.clock.sleep(ANNOUNCE_INTERVAL)

    def announce_changes(self) -> None:
        """Announce the streams and quotas that have changed since the last time."""
        for key, stream in list(self._open.items()):
            state = (stream.state, len(stream.record.piece_times))
            if state != stream.announced:
                stream.announced = state
                self._announce(stream)
            if stream.state != "streaming":
                del self._open[key]
        self._announce_quotas()

    def _announce(self, stream: _Stream) -> None:
        record, clock = stream.record, self.service.clock
        offset = clock.time() - clock.monotonic()
        model = self.service.models.get(str(record.body.get("model")))
        self.log.add(
            "model.request",
            str(stream.number),
            number=stream.number,
            model=record.body.get("model"),
            endpoint=record.endpoint,
            state=stream.state,
            status=record.status,
            started_at=record.received_at + offset,
            first_piece_at=record.piece_times[0] + offset if record.piece_times else None,
            ended_at=None if stream.state == "streaming" else clock.time(),
            prompt_tokens=record.token_usage[0],
            completion_tokens=record.token_usage[1],
            context_window=model.context_window if model is not None and record.endpoint is Endpoint.CHAT else None,
            pieces=len(record.piece_times),
            request=masked(record.body),
            text=stream.text,
        )

    def _announce_quotas(self) -> None:
        """Announce today's tokens of every model that has used some or has a quota."""
        service = self.service
        models = dict.fromkeys((*service.quotas, *(key.model for key in service.usage.today)))
        quotas: list[Json] = [
            {
                "model": model,
                "used": service.usage.tokens_used(api_key=service.api_key, model=model),
                "limit": service.quotas.get(model),
            }
            for model in models
        ]
        if quotas != self._announced_quotas:
            self._announced_quotas = quotas
            self.log.add("model.quotas", "quotas", quotas=quotas)


def _to_text(detail: object) -> str:
    return detail if isinstance(detail, str) else msgspec.json.encode(detail).decode()
