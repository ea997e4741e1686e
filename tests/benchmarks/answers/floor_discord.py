"""The floor on Discord: the least work that shows answers growing, with a gateway connection on a raw socket."""

import asyncio
import base64
import os
import time
from collections import defaultdict
from typing import Any
from urllib.parse import urlsplit

from tests.benchmarks.answers.floor_answers import EditWindow, GrowingAnswer, Presenter, run, start_task, stream_answer
from tests.benchmarks.answers.floor_http import HttpClient, decode, encode

CALLS_PER_SECOND = 45
"""Of the 50 that Discord accepts: calls that are spread evenly may still arrive closer together."""
MAX_CHARS = 2000
INTENTS = 1 | 1 << 9 | 1 << 12 | 1 << 15
"""Guilds, their messages, direct messages, and the contents of messages."""
DISPATCH, HEARTBEAT, IDENTIFY, HELLO = 0, 1, 2, 10


async def main() -> None:
    environment = os.environ
    token = environment["DISCORD_BOT_TOKEN"]
    discord = HttpClient(environment["DISCORD_API_BASE"], {"Authorization": f"Bot {token}"})
    model = HttpClient(
        environment["IOINTELLIGENCE_BASE_URL"], {"Authorization": f"Bearer {environment['IOINTELLIGENCE_API_KEY']}"}
    )
    windows: defaultdict[str, EditWindow] = defaultdict(EditWindow)

    async def show(answer: GrowingAnswer, text: str) -> float:
        path = f"channels/{answer.chat_id}/messages"
        if answer.message_id is None:
            response = await discord.request("POST", path, {"content": text, **answer.metadata})
        else:
            response = await discord.request("PATCH", f"{path}/{answer.message_id}", {"content": text})
            answer.window.remaining = int(response.headers["x-ratelimit-remaining"])
            answer.window.ends_at = time.monotonic() + float(response.headers["x-ratelimit-reset-after"])
        payload = decode(response.body)
        if response.status == 200:
            answer.shown_text, answer.message_id, answer.metadata = text, payload["id"], {}
        return float(payload.get("retry_after", 0))

    presenter = Presenter(show, calls_per_second=CALLS_PER_SECOND, max_chars=MAX_CHARS)
    start_task(presenter.run())
    bot_id = ""
    async for event, data in gateway_events(environment["DISCORD_GATEWAY_URL"], token):
        if event == "READY":
            bot_id = data["user"]["id"]
        elif event == "MESSAGE_CREATE" and any(user["id"] == bot_id for user in data["mentions"]):
            reference = {"message_reference": {"message_id": data["id"]}}
            answer = GrowingAnswer(data["channel_id"], windows[data["channel_id"]], metadata=reference)
            start_task(stream_answer(model, data["content"], answer, presenter))


async def gateway_events(url: str, token: str) -> Any:
    """Names and data of the gateway's events, over a websocket without compression."""
    address = urlsplit(url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    key = base64.b64encode(os.urandom(16)).decode()
    writer.write(
        f"GET {address.path}?v=10&encoding=json HTTP/1.1\r\nHost: {address.hostname}\r\nUpgrade: websocket\r\n"
        f"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode()
    )
    await reader.readuntil(b"\r\n\r\n")
    while True:
        frame = decode(await _read_frame(reader))
        if frame["op"] == HELLO:
            properties = {"os": "linux", "browser": "floor", "device": "floor"}
            _send(writer, IDENTIFY, {"token": token, "intents": INTENTS, "properties": properties})
            start_task(_send_heartbeats(writer, frame["d"]["heartbeat_interval"] / 1000))
        elif frame["op"] == DISPATCH:
            yield frame["t"], frame["d"]


async def _read_frame(reader: asyncio.StreamReader) -> bytes:
    """The payload of the next frame; the service sends no fragments."""
    _, size = await reader.readexactly(2)
    if size >= 126:
        size = int.from_bytes(await reader.readexactly(2 if size == 126 else 8), "big")
    return await reader.readexactly(size)


async def _send_heartbeats(writer: asyncio.StreamWriter, interval: float) -> None:
    while True:
        await asyncio.sleep(interval)
        _send(writer, HEARTBEAT, None)


def _send(writer: asyncio.StreamWriter, opcode: int, data: object) -> None:
    """A text frame with the mask that clients must use, here of zeros."""
    payload = encode({"op": opcode, "d": data})
    size = len(payload)
    length = bytes([0x80 | size]) if size < 126 else bytes([0x80 | 126]) + size.to_bytes(2, "big")
    writer.write(b"\x81" + length + b"\0\0\0\0" + payload)


if __name__ == "__main__":
    run(main())
