"""Traces for OpenTelemetry. Imported only if an address for them is set: the libraries are the extra `tracing`."""

import asyncio
import os
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from contextvars import ContextVar

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, Status, StatusCode

from core.errors import DeliveryError, ModelError
from core.store.turns import TurnState
from core.tracing import Tracer

EXPORT_SECONDS = 2.0
"""For one request to the collector. When the process ends, no request begins later than that."""
NANOSECONDS = 1_000_000_000


class OpenTelemetryTracer(Tracer):
    def __init__(self, provider: TracerProvider) -> None:
        self._tracer = provider.get_tracer("parley")
        self._turn_span: ContextVar[Span | None] = ContextVar("turn_span", default=None)

    @contextmanager
    def turn(self, turn_id: int, platform: str, received_at: float, attempt: int) -> Iterator[None]:
        start = round(received_at * NANOSECONDS)
        attributes: dict[str, str | int] = {
            "parley.turn": turn_id,
            "parley.platform": platform,
            "parley.attempt": attempt,
        }
        with self._span("turn", attributes, start) as span:
            self._tracer.start_span("queue", start_time=start).end()
            token = self._turn_span.set(span)
            try:
                yield
            finally:
                self._turn_span.reset(token)

    def turn_ended(self, outcome: str) -> None:
        if (span := self._turn_span.get()) is not None:
            span.set_attribute("parley.outcome", outcome)
            if outcome == TurnState.FAILED:
                span.set_status(Status(StatusCode.ERROR, outcome))

    def span(self, name: str, **attributes: str | int) -> AbstractContextManager[object]:
        return self._span(name, {f"parley.{key}": value for key, value in attributes.items()})

    @contextmanager
    def _span(self, name: str, attributes: dict[str, str | int], start: int | None = None) -> Iterator[Span]:
        # An exception is recorded by its type: its text may contain what a person has written.
        with self._tracer.start_as_current_span(
            name, attributes=attributes, start_time=start, record_exception=False, set_status_on_exception=False
        ) as span:
            try:
                yield span
            except BaseException as error:
                span.set_status(Status(StatusCode.ERROR, type(error).__name__))
                if isinstance(error, ModelError | DeliveryError):
                    span.set_attribute("parley.failure", error.failure)
                raise


@asynccontextmanager
async def exporting_traces(url: str, *, export_seconds: float = EXPORT_SECONDS) -> AsyncIterator[Tracer]:
    """A tracer whose traces are sent to the collector at `url` until the block ends."""
    attributes = {"service.name": "parley", "service.instance.id": f"{socket.gethostname()}:{os.getpid()}"}
    provider = TracerProvider(resource=Resource.create(attributes), shutdown_on_exit=False)
    exporter = OTLPSpanExporter(endpoint=url, timeout=export_seconds)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    try:
        yield OpenTelemetryTracer(provider)
    finally:
        await asyncio.to_thread(_shut_down, provider, exporter, export_seconds)


def _shut_down(provider: TracerProvider, exporter: OTLPSpanExporter, export_seconds: float) -> None:
    """Send what waits. The library would try each of several batches for as long as a request may take."""
    give_up = threading.Timer(export_seconds, exporter.shutdown)
    give_up.start()
    provider.shutdown()
    give_up.cancel()
