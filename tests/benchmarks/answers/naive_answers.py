"""What the naive bots share: stream with the openai package, and show the text once a second."""

import os
import time
from collections.abc import Awaitable, Callable

from openai import AsyncOpenAI

EDIT_INTERVAL = 1.0

client = AsyncOpenAI(base_url=os.environ["IOINTELLIGENCE_BASE_URL"], api_key=os.environ["IOINTELLIGENCE_API_KEY"])


async def answer(prompt: str, show: Callable[[str], Awaitable[None]]) -> None:
    stream = await client.chat.completions.create(
        model=os.environ["BENCHMARK_MODEL"], messages=[{"role": "user", "content": prompt}], stream=True
    )
    text, shown_text, shown_at = "", "", 0.0
    async for chunk in stream:
        if chunk.choices and chunk.choices[0].delta.content:
            text += chunk.choices[0].delta.content
        if text.strip() and text != shown_text and time.monotonic() - shown_at >= EDIT_INTERVAL:
            shown_text, shown_at = text, time.monotonic()
            await show(text)
    if text != shown_text:
        await show(text)
