"""Reads one streamed answer through the client and collects what it yields."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from core.api.client import ChatRequest, Message, ModelApi, StreamTimeouts
from core.api.events import ReasoningDelta, StreamEvent, TextDelta, TextWasReasoning, UsageReport
from core.errors import ModelError
from core.timings import Timings

REQUEST = ChatRequest("some/model", (Message("user", "hello"),))
LONG_TIMEOUTS = StreamTimeouts(connect=5, first_token=20, between_tokens=20, total=60)
FAST_RETRIES = Timings(model_retry_delay=0.01)


@dataclass
class StreamResult:
    events: list[StreamEvent] = field(default_factory=list)
    error: ModelError | None = None

    @property
    def text(self) -> str:
        """The answer, without text that turned out to be reasoning."""
        return "".join(event.text for event in self._answer_events if isinstance(event, TextDelta))

    @property
    def reasoning(self) -> str:
        return "".join(event.text for event in self.events if isinstance(event, ReasoningDelta))

    @property
    def usage(self) -> UsageReport | None:
        return next((event for event in reversed(self.events) if isinstance(event, UsageReport)), None)

    @property
    def last_event(self) -> StreamEvent:
        return self.events[-1]

    @property
    def _answer_events(self) -> Sequence[StreamEvent]:
        if TextWasReasoning() not in self.events:
            return self.events
        return self.events[self.events.index(TextWasReasoning()) + 1 :]


async def read_stream(
    base_url: str,
    request: ChatRequest = REQUEST,
    *,
    key: str = "secret-key",
    timeouts: StreamTimeouts = LONG_TIMEOUTS,
) -> StreamResult:
    api = ModelApi(base_url, key, timeouts=timeouts, timings=FAST_RETRIES)
    result = StreamResult()
    try:
        async for event in api.stream(request):
            result.events.append(event)
    except ModelError as error:
        result.error = error
    finally:
        await api.close()
    return result
