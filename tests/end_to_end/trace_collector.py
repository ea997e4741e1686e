"""As much of an OpenTelemetry collector as receives traces over HTTP."""

import gzip
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span


@dataclass
class TraceCollector:
    url: str = ""
    spans: list[Span] = field(default_factory=list)
    """In the order in which they ended."""
    instances: set[str] = field(default_factory=set)
    """The processes, by `service.instance.id`."""

    async def receive(self, request: web.Request) -> web.Response:
        body = await request.read()
        message = ExportTraceServiceRequest()
        message.ParseFromString(gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body)
        for resource_spans in message.resource_spans:
            attributes = {item.key: item.value.string_value for item in resource_spans.resource.attributes}
            self.instances.add(attributes["service.instance.id"])
            for scope_spans in resource_spans.scope_spans:
                self.spans += scope_spans.spans
        return web.Response()


@asynccontextmanager
async def running_collector() -> AsyncIterator[TraceCollector]:
    collector = TraceCollector()
    app = web.Application()
    app.router.add_post("/v1/traces", collector.receive)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        collector.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1/traces"
        yield collector
    finally:
        await runner.cleanup()
