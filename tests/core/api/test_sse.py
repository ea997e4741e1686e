"""Chunks of the usual form take a short cut through the decoder, which no service can notice."""

from itertools import pairwise

from hypothesis import example, given
from hypothesis import strategies as st

from core.api.sse import BYTE_ORDER_MARK, ServerSentEvent, SSEDecoder
from core.errors import ModelError

USUAL_EVENT = b'data: {"a": "data: {"}\n\n'
PIECES = [USUAL_EVENT, USUAL_EVENT.replace(b"\n", b"\r\n"), b"data: [DONE]\n\n", b"data: data: {}\n\n", b"data:{}\n\n"]
PIECES += [b'data: {"a":\ndata: 1}\n\n', b'data: {"a":\n"b": 1}\n\n', b'{"a":\n1}\n\n', b"event: error\ndata: {}\n\n"]
PIECES += [b": comment\n\n", b": comment\n", b"id: 1\n", b"retry: 3\n\n", b"data: \n\n", b"event: error\n", b"data: {}"]
PIECES += [b"da", b"ta: {", b"data: {", b"{", b"}", b"x", b"{" * 30, b"\n", b"\n\n", b"\r", b"\r\n", BYTE_ORDER_MARK]
CHUNKS = st.lists(st.lists(st.sampled_from(PIECES), max_size=6).map(b"".join), max_size=8)


def decode(chunks: list[bytes], max_event_bytes: int, *, by_lines: bool) -> list[ServerSentEvent | str]:
    """The events, and perhaps the error after them."""
    decoder = SSEDecoder(max_event_bytes=max_event_bytes)
    feed = decoder._feed_lines if by_lines else decoder.feed
    events: list[ServerSentEvent | str] = []
    try:
        for chunk in chunks:
            for event in feed(chunk):
                events.append(event)
    except ModelError as error:
        events.append(str(error))
    return events


@given(CHUNKS, st.sampled_from([10, 20, 30, 50, 1000]))
@example([USUAL_EVENT], 10)
@example([USUAL_EVENT * 3], 50)
@example([b"x", USUAL_EVENT], 1000)
@example([b"event: error\n", USUAL_EVENT], 1000)
@example([b"data: {}\n", USUAL_EVENT], 1000)
@example([b"{\n", USUAL_EVENT], 1000)
@example([USUAL_EVENT + b"\n"], 1000)
@example([b'data: {"a":\n"b": 1}\n\n'], 1000)
@example([b"data: {}\r\n\n"], 1000)
def test_short_cut_gives_the_same_events(chunks: list[bytes], max_event_bytes: int) -> None:
    assert decode(chunks, max_event_bytes, by_lines=False) == decode(chunks, max_event_bytes, by_lines=True)


@given(st.lists(st.sampled_from(PIECES), max_size=12).map(b"".join), st.data())
def test_events_do_not_depend_on_chunks(stream: bytes, data: st.DataObject) -> None:
    ends = [0, *sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8))), len(stream)]
    chunks = [stream[start:end] for start, end in pairwise(ends)]
    assert decode(chunks, 1000, by_lines=False) == decode([stream], 1000, by_lines=True)
