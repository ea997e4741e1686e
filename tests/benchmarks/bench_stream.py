"""Measures what reading a model's stream costs: processor time per token, compared with two other readers.

The floor reads lines from a socket and decodes their JSON; the naive reader is the openai package's own stream. All
read the same streams, from a server in another process. Run by hand: `python -m tests.benchmarks.bench_stream`.
"""

import asyncio
import json
import multiprocessing
import sys
import time
from collections.abc import Awaitable, Callable
from multiprocessing.connection import Connection
from urllib.parse import urlsplit

import openai

from bots.cli.main import event_loop_factory
from core.api.client import ChatRequest, Message, ModelApi
from core.turns.streamed_answer import StreamedAnswer

STREAMS = 40
TOKENS = 200
TOKENS_PER_SECOND = 50
ROUNDS = 2
QUESTION = "Why is the sky blue?"
Read = Callable[[], Awaitable[str]]
"""Reads one answer."""


def encode_chunk(number: int) -> bytes:
    choice = {"index": 0, "delta": {"content": f" word{number}"}, "finish_reason": None}
    payload = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
    return b"data: " + json.dumps(payload).encode() + b"\n\n"


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
    await reader.readexactly(int(length.partition(b":")[2]))
    writer.write(
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    )
    for event in (*map(encode_chunk, range(TOKENS)), b"data: [DONE]\n\n", b""):
        writer.write(b"%x\r\n%s\r\n" % (len(event), event))
        await asyncio.sleep(1 / TOKENS_PER_SECOND)
    writer.close()


def serve(port: Connection) -> None:
    async def run() -> None:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        port.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(run())


def floor_reader(base_url: str) -> Read:
    url = urlsplit(base_url)

    async def read() -> str:
        reader, writer = await asyncio.open_connection(url.hostname, url.port)
        writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}")
        text = ""
        async for line in reader:
            if line.startswith(b"data: {"):
                text += json.loads(line[6:])["choices"][0]["delta"]["content"]
            elif line.startswith(b"data: [DONE]"):
                break
        writer.close()
        return text

    return read


def naive_reader(base_url: str) -> Read:
    client = openai.AsyncOpenAI(base_url=base_url, api_key="k")

    async def read() -> str:
        stream = await client.chat.completions.create(
            model="m", messages=[{"role": "user", "content": QUESTION}], stream=True
        )
        return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])

    return read


def parley_reader(api: ModelApi) -> Read:
    async def read() -> str:
        streamed = StreamedAnswer()
        async for event in api.stream(ChatRequest("m", (Message("user", QUESTION),))):
            streamed.add(event)
        return streamed.text

    return read


async def measure(read: Read) -> float:
    """Microseconds of processor time per token."""
    assert (await read()).split() == [f"word{number}" for number in range(TOKENS)]
    started_at = time.process_time()
    for _ in range(ROUNDS):
        await asyncio.gather(*(read() for _ in range(STREAMS)))
    return (time.process_time() - started_at) / (ROUNDS * STREAMS * TOKENS) * 1e6


async def compare(base_url: str) -> None:
    api = ModelApi(base_url, "k")
    readers = {"floor": floor_reader(base_url), "naive": naive_reader(base_url), "Parley": parley_reader(api)}
    costs = {name: await measure(read) for name, read in readers.items()}
    await api.close()
    for name, cost in costs.items():
        ratios = f"{cost / costs['floor']:5.2f} times the floor, {cost / costs['naive']:5.2f} times naive"
        sys.stdout.write(f"{name:8} {cost:6.1f} us per token   {ratios}\n")


def main() -> None:
    receiver, sender = multiprocessing.Pipe()
    server = multiprocessing.Process(target=serve, args=(sender,), daemon=True)
    server.start()
    with asyncio.Runner(loop_factory=event_loop_factory()) as runner:
        runner.run(compare(f"http://127.0.0.1:{receiver.recv()}/v1"))
    server.terminate()


if __name__ == "__main__":
    main()
