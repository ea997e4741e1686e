"""The HTTP beneath the library, made to say what happened and to keep quiet about the rest."""

import json
from typing import Any

from telegram.error import TelegramError
from telegram.request import HTTPXRequest

from bots.telegram.errors import ServerError

__all__ = ["BotApiRequest"]


class BotApiRequest(HTTPXRequest):
    async def do_request(self, *args: Any, **options: Any) -> tuple[int, bytes]:
        status, payload = await super().do_request(*args, **options)
        if status >= 500:
            raise ServerError(status)
        return status, payload

    @staticmethod
    def parse_json_payload(payload: bytes) -> dict[str, Any]:
        """The library's own puts what it cannot read, people's words included, into the log."""
        try:
            response = json.loads(payload)
        except ValueError:
            response = None
        if not isinstance(response, dict):
            raise TelegramError("Invalid server response") from None
        return response
