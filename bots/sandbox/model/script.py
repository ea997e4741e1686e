"""The scripted model: answers with varied Markdown, the same for the same request.

Prompts with a meaning of their own, for tests and demonstrations:

    repeat: TEXT    exactly TEXT
    long N          about N characters of mixed Markdown
    think           reasoning before the answer
    slow            a tenth of the speed
    error STATUS    an HTTP error
    cut             the connection closes in the middle of the answer
    stall           the answer stops in the middle; the connection stays open
    empty           an answer without text
"""

import asyncio
import re
from dataclasses import dataclass
from typing import Any

from bots.sandbox.model.faults import StreamAction
from bots.sandbox.model.tokeniser import message_text
from core.conversation.quotes import QUOTE_END

MERGED_COMMAND_PATTERN = re.compile(
    r"\n\n((?:repeat:|(?:long|think|slow|error|cut|stall|empty)\b).*)", re.DOTALL | re.IGNORECASE
)
"""A command after the instructions, for models without a system role."""
SOURCE_PATTERN = re.compile(r"^\[(\d+)\] [^\n]*\n<<<\n(.*?)\n>>>$", re.MULTILINE | re.DOTALL)
REASONING_MODEL_PATTERN = re.compile(r"R1|QwQ|o1|Sky-T1|Stratos")
SHOWCASE = """## What a chat shows

Plain words with **bold**, *italic*, ~~struck~~ and `inline code`, and a
[link](https://example.org/docs).

1. First, a list
   - with a nested point
   - and another 👩‍👩‍👧‍👦
2. 第二，中文也可以。日本語も。한국어도.

- [x] done
- [ ] still open

```python
def greet(name: str) -> str:
    return f"Hello, {name} <{len(name)}>"
```

| model | window | free |
|:------|-------:|:----:|
| small | 4k     | yes  |
| large | 512k   | yes  |

> A quote, with $E = mc^2$ in it.

\\[ \\int_0^1 x^2 \\, dx = \\frac{1}{3} \\]
"""


@dataclass(frozen=True, slots=True)
class ScriptedAnswer:
    text: str
    reasoning: str = ""
    relative_speed: float = 1.0
    """A factor of the stand-in's speed."""
    action: StreamAction = StreamAction.CONTINUE
    """After half of the answer."""
    status: int = 200
    hold_until: asyncio.Event | None = None
    """A stream waits for this event after half of the answer."""


def scripted_answer(body: dict[str, Any]) -> ScriptedAnswer:
    chat_messages = [m for m in body["messages"] if m["role"] != "system"]
    # Quoted messages come first.
    prompt = message_text(chat_messages[-1]).rpartition(f"{QUOTE_END}\n\n")[2]
    if len(body["messages"]) == 1 and (merged := MERGED_COMMAND_PATTERN.search(prompt)):
        prompt = merged[1]
    reasoning = _reasoning(prompt) if REASONING_MODEL_PATTERN.search(str(body["model"])) else ""
    command, _, argument = prompt.partition(" ")
    number = int(argument) if re.fullmatch(r"\s*\d{1,6}\s*", argument) else None
    default_text = _default_text(body, chat_messages, prompt)
    special: dict[str, ScriptedAnswer] = {
        "repeat:": ScriptedAnswer(argument, reasoning),
        "slow": ScriptedAnswer(default_text, reasoning, relative_speed=0.1),
        "think": ScriptedAnswer(default_text, _reasoning(prompt)),
        "cut": ScriptedAnswer(default_text, reasoning, action=StreamAction.CLOSE),
        "stall": ScriptedAnswer(default_text, reasoning, action=StreamAction.STALL),
        "empty": ScriptedAnswer("", reasoning),
    }
    if number is not None and command.lower() == "long":
        return ScriptedAnswer(long_document(min(number, 200_000)), reasoning)
    if number is not None and command.lower() == "error" and 400 <= number < 600:
        return ScriptedAnswer("", status=number)
    return special.get(command.lower(), ScriptedAnswer(default_text, reasoning))


def _reasoning(prompt: str) -> str:
    return (
        f"The prompt has {len(prompt)} characters. This model is scripted, so it only pretends to think. "
        "The best answer shows every kind of text that a chat can show. "
    ) * 3


def _default_text(body: dict[str, Any], chat_messages: list[dict[str, Any]], prompt: str) -> str:
    previous_count = len(chat_messages) - 1
    name = str(body["model"]).rpartition("/")[2]
    last = (
        f" The message before that began with “{message_text(chat_messages[-3])[:40]}”." if previous_count >= 2 else ""
    )
    return (
        f"*Scripted sandbox model, standing in for {name}.*\n\n"
        f"You wrote: “{prompt[:200]}”. I got {previous_count} earlier messages.{last}\n\n"
        f"{_quote_source(body)}{SHOWCASE}"
    )


def _quote_source(body: dict[str, Any]) -> str:
    """A sentence that cites the first numbered source in the instructions; "" without sources."""
    sources = SOURCE_PATTERN.findall(message_text(body["messages"][0]))
    if not sources:
        return ""
    number, words = sources[0]
    quoted = " ".join(words.split())[:150]
    return f"I got {len(sources)} of your sources. One says “{quoted}” [{number}].\n\n"


def long_document(min_chars: int) -> str:
    """A document of at least `min_chars` characters, in numbered paragraphs."""
    parts: list[str] = []
    size = number = 0
    while size < min_chars:
        number += 1
        part = _paragraph(number)
        parts.append(part)
        size += len(part) + 2
    return "\n\n".join(parts)


def _paragraph(number: int) -> str:
    match number % 6:
        case 0:
            rows = "\n".join(f"| row {number}.{row} | {row * number} |" for row in range(8))
            return f"| name {number} | value |\n|---|---:|\n{rows}"
        case 1:
            return f"## Section {number}\n\nParagraph {number} " + "with **bold** words " * 12
        case 2:
            lines = "\n".join(f"line_{number}_{line} = {line} < {number}" for line in range(15))
            return f"```python\n{lines}\n```"
        case 3:
            return f"第{number}段：" + "中文段落没有空格，却要整个送到。" * 12
        case 4:
            return "\n".join(f"- point {number}.{point} 👩‍👩‍👧‍👦 🎉" for point in range(6))
        case _:
            return f"Passage {number}. " + f"Plain words of passage {number} follow here. " * 10
