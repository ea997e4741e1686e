"""The trace of a turn, and the turn's ID in the log."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import structlog
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from bots.sandbox.model import ModelStandIn, faults
from core.errors import ModelFailure
from core.opentelemetry_tracer import OpenTelemetryTracer, exporting_traces
from core.settings.model import DEFAULT_MODEL
from tests.core.turns.fake_adapter import running_engine
from tests.core.turns.test_engine import reopen_command
from tests.waiting import wait_until


class RecordedTraces:
    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tracer = OpenTelemetryTracer(provider)

    def spans(self, name: str = "") -> Sequence[ReadableSpan]:
        """In the order in which they ended."""
        return [span for span in self._exporter.get_finished_spans() if name in ("", span.name)]

    async def wait_for_turn(self) -> ReadableSpan:
        await wait_until(lambda: bool(self.spans("turn")))
        (turn,) = self.spans("turn")
        return turn


def id_of(span: ReadableSpan) -> int:
    context = span.get_span_context()
    assert context is not None
    return context.span_id


async def test_trace_reaches_from_the_event_to_the_last_part(tmp_path: Path, model: ModelStandIn) -> None:
    traces = RecordedTraces()
    async with running_engine(tmp_path, model, tracer=traces.tracer) as chat:
        await chat.ask("repeat: hello there")
        turn = await traces.wait_for_turn()
    steps = [span for span in traces.spans() if span is not turn]
    assert [span.name for span in steps] == ["queue", "model", "part"]
    assert all(span.parent is not None and span.parent.span_id == id_of(turn) for span in steps)
    starts = [span.start_time or 0 for span in (turn, *steps)]
    assert starts == sorted(starts)
    assert (turn.end_time or 0) >= (steps[-1].end_time or 0)
    assert steps[1].attributes == {"parley.model": DEFAULT_MODEL}
    assert steps[2].attributes == {"parley.position": 0}
    assert turn.attributes == {
        "parley.turn": 1,
        "parley.platform": "fake",
        "parley.attempt": 1,
        "parley.outcome": "done",
    }
    assert turn.status.is_unset
    assert "hello" not in str([span.to_json() for span in traces.spans()])


async def test_trace_shows_the_failure_without_its_text(tmp_path: Path, model: ModelStandIn) -> None:
    traces = RecordedTraces()
    model.fail_next(faults.http_error(400, "private words"))
    async with running_engine(tmp_path, model, tracer=traces.tracer) as chat:
        await chat.ask("repeat: hello")
        turn = await traces.wait_for_turn()
    assert turn.attributes is not None
    assert turn.attributes["parley.outcome"] == "failed"
    assert turn.status.status_code is StatusCode.ERROR
    (request,) = traces.spans("model")
    assert request.status.status_code is StatusCode.ERROR
    assert request.status.description == "ModelError"
    assert request.attributes is not None
    assert request.attributes["parley.failure"] == ModelFailure.REFUSED
    assert "private words" not in str([span.to_json() for span in traces.spans()])


async def test_failover_has_a_step_for_each_model(tmp_path: Path, model: ModelStandIn) -> None:
    traces = RecordedTraces()
    model.fail_next(faults.http_error(500), times=None, model=DEFAULT_MODEL)
    async with running_engine(tmp_path, model, tracer=traces.tracer) as chat:
        await chat.ask("repeat: hello")
        turn = await traces.wait_for_turn()
    requests = traces.spans("model")
    assert [span.parent.span_id for span in requests if span.parent is not None] == [id_of(turn)] * len(requests)
    *failed, answered = [dict(span.attributes or {}) for span in requests]
    assert {step["parley.model"] for step in failed} == {DEFAULT_MODEL}
    assert {step["parley.failure"] for step in failed} == {ModelFailure.SERVER_ERROR}
    assert answered["parley.model"] != DEFAULT_MODEL
    assert "parley.failure" not in answered
    assert requests[-1].status.is_unset
    assert dict(turn.attributes or {})["parley.outcome"] == "done"


async def test_trace_after_a_crash_says_which_attempt_it_is(tmp_path: Path, model: ModelStandIn) -> None:
    traces = RecordedTraces()
    async with running_engine(tmp_path, model, tracer=traces.tracer) as chat:
        await chat.ask("/start")
        await chat.wait_for_states("done")
        await chat.store.write(reopen_command, 1)
        await wait_until(lambda: len(traces.spans("turn")) == 2)
    turns = [dict(span.attributes or {}) for span in traces.spans("turn")]
    assert [(turn["parley.turn"], turn["parley.attempt"], turn["parley.outcome"]) for turn in turns] == [
        (1, 1, "done"),
        (1, 2, "done"),
    ]


async def test_turn_that_is_given_up_has_a_trace(tmp_path: Path, model: ModelStandIn) -> None:
    traces = RecordedTraces()
    async with running_engine(tmp_path, model, tracer=traces.tracer, max_attempts=0) as chat:
        await chat.ask("hello")
        turn = await traces.wait_for_turn()
    assert dict(turn.attributes or {})["parley.outcome"] == "failed"


async def test_every_log_line_of_a_turn_has_its_id(tmp_path: Path, model: ModelStandIn) -> None:
    model.fail_next(faults.rate_limited(60), times=None, model=DEFAULT_MODEL)
    with structlog.testing.capture_logs(processors=[structlog.contextvars.merge_contextvars]) as logs:
        async with running_engine(tmp_path, model) as chat:
            await chat.ask("repeat: hello")
    (pause,) = [entry for entry in logs if entry["event"] == "model.paused"]
    assert pause["turn"] == 1
    started = [entry for entry in logs if entry["event"] == "app.started"]
    assert all("turn" not in entry for entry in started)


async def test_collector_that_does_not_answer_delays_the_end_once() -> None:
    connections: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(lambda _, writer: connections.append(writer), "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1/traces"
    async with exporting_traces(url, export_seconds=0.3) as tracer:
        for turn in range(1500):  # with their queues, six batches
            with tracer.turn(turn, "fake", 0.0, 1):
                pass
    assert len(connections) <= 3
    for writer in connections:
        writer.close()
    server.close()
