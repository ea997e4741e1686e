"""Events of the model service: its requests as they stream, and the day's quotas."""

import asyncio

from bots.sandbox.model import ModelStandIn, RecordedRequest
from bots.sandbox.model.accounts import Endpoint
from bots.sandbox.web.calls import masked
from bots.sandbox.web.event_log import EventLog

POLL_SECONDS = 0.2
"""Streams have no events of their own, as they are too many."""


class ModelFeed:
    def __init__(self, service: ModelStandIn, log: EventLog) -> None:
        self._service = service
        self._log = log
        self._seen = 0
        self._open: dict[int, RecordedRequest] = {}
        """By number."""
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._poll())

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _poll(self) -> None:
        while True:
            self.update()
            await self._service.clock.sleep(POLL_SECONDS)

    def update(self) -> None:
        """Announce what has changed since the last time."""
        service = self._service
        new = service.request_count - self._seen
        for record in list(service.requests)[len(service.requests) - new :] if new else ():
            self._seen += 1
            self._open[self._seen] = record
        for number, record in list(self._open.items()):
            self._announce(number, record)
            if record.is_completed or record.disconnected_at is not None:
                del self._open[number]
                self._announce_quotas()

    def _announce(self, number: int, record: RecordedRequest) -> None:
        clock = self._service.clock
        now, wall = clock.monotonic(), clock.time()
        model = self._service.models.get(str(record.body.get("model")))
        state = "done" if record.is_completed else "aborted" if record.disconnected_at is not None else "streaming"
        first = record.piece_times[0] if record.piece_times else None
        self._log.add(
            "model.request",
            str(number),
            number=number,
            model=record.body.get("model"),
            state=state,
            started_at=wall - (now - record.received_at),
            first_piece_at=None if first is None else wall - (now - first),
            ended_at=None if state == "streaming" else wall,
            prompt_tokens=record.token_usage[0],
            completion_tokens=record.token_usage[1],
            context_window=None if model is None else model.context_window,
            pieces=len(record.piece_times),
            request=masked(record.body),
        )

    def _announce_quotas(self) -> None:
        service = self._service
        quotas = [
            {
                "model": model,
                "used": service.usage.tokens_used(api_key=service.api_key, model=model, endpoint=Endpoint.CHAT),
                "limit": limit,
            }
            for model, limit in service.quotas.items()
        ]
        self._log.add("model.quotas", "quotas", quotas=quotas)
