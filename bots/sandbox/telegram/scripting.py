"""Replies that a test dictates, in the Bot API's format."""

from dataclasses import dataclass, field
from typing import Any

from bots.sandbox import scripting


@dataclass(frozen=True, slots=True)
class ScriptedReply(scripting.ScriptedReply):
    body: Any = field(default_factory=lambda: {"ok": True, "result": True})

    @classmethod
    def error(cls, status: int, description: str, **parameters: int) -> "ScriptedReply":
        payload = {"ok": False, "error_code": status, "description": description}
        return cls(status, {**payload, "parameters": parameters} if parameters else payload)
