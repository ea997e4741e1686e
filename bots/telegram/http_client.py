"""The HTTP layer of python-telegram-bot, changed to preserve the status of server errors and log no content."""

import json
from typing import Any

from telegram.error import TelegramError
from telegram.request import HTTPXRequest

from bots.telegram.errors import ServerError
from bots.telegram.receiving import sanitise_update


class BotApiRequest(HTTPXRequest):
    async def do_request(self, *args: Any, **options: Any) -> tuple[int, bytes]:
        status, payload = await super().do_request(*args, **options)
        if status >= 500:
            raise ServerError(status)
        return status, payload

    @staticmethod
    def parse_json_payload(payload: bytes) -> dict[str, Any]:
        """Replaces the library's own parser, which logs payloads that it cannot parse."""
        try:
            response = json.loads(payload)
        except (ValueError, RecursionError):
            response = None
        if not isinstance(response, dict):
            raise TelegramError("Invalid server response") from None
        return response


class PollingRequest(BotApiRequest):
    """For `getUpdates`: an update that the library cannot parse must not block the others."""

    @staticmethod
    def parse_json_payload(payload: bytes) -> dict[str, Any]:
        response = BotApiRequest.parse_json_payload(payload)
        updates = response.get("result")
        if isinstance(updates, list):
            sanitised = map(sanitise_update, updates)
            response["result"] = [update for update in sanitised if update is not None]
        return response
