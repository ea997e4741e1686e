"""A platform in under 100 lines: a service in memory and its adapter. CONTRIBUTING.md explains it step by step."""

import asyncio
from contextlib import suppress
from typing import Any

from bots.adapter_spec import AdapterSpec
from core.errors import AccessDeniedError, DeliveryError, DeliveryFailure, StoreError
from core.markdown.document import Document
from core.markdown.plain_text import to_plain_text
from core.port import Capabilities, Dialect, EventKind, Inbox, Incoming, Part, Place, RateLimit, RateWindow, Sender
from core.settings import SettingsSection, setting

FAILURES = {403: "forbidden", 404: "gone", 413: "rejected", 429: "rate", 503: "transient"}


class ToyService:
    """The platform. `request` returns a status, and with 429 the seconds to wait, or raises `ConnectionError`."""

    def __init__(self) -> None:
        self.resources: dict[str, dict[str, Any]] = {}  # messages and typing indicators, by path
        self.events: list[dict[str, str]] = []  # each stays until the bot removes it

    async def request(self, method: str, path: str, **content: Any) -> tuple[int, float | None]:
        is_missing = method != "PUT" and path not in self.resources
        status = 404 if is_missing else 413 if len(content.get("text", "")) > 500 else 200
        if status == 200:
            previous = self.resources.pop(path, {})
            self.resources |= {} if method == "DELETE" else {path: previous | content}
        return status, None


class ToySettings(SettingsSection):
    title, key_prefix = "Toy", "toy_"
    account: str | None = setting("TOY_ACCOUNT", None, "The bot's name. Enables Toy", example="parley")


class ToyDialect:
    limit = 500

    def render(self, document: Document) -> Part:
        return Part(to_plain_text(document))

    def size(self, part: Part) -> int:
        return len(part.text)


class ToyAdapter:
    platform = "toy"
    account_rate_limit: RateLimit = (RateWindow(100, 1.0),)
    dialect: Dialect = ToyDialect()

    def __init__(self, account: str, service: ToyService) -> None:
        self.account, self.service = account, service

    def capabilities(self, place: Place) -> Capabilities:
        return Capabilities((RateWindow(5, 5.0),), deduplicates_sends=True)

    async def run(self, inbox: Inbox) -> None:
        while True:
            with suppress(ConnectionError, StoreError):  # an event that was not stored comes again
                for event in list(self.service.events):
                    with suppress(AccessDeniedError, KeyError):  # no access; malformed
                        await inbox(self._translate(event))
                    self.service.events.remove(event)
            await asyncio.sleep(0.01)

    def _translate(self, event: dict[str, str]) -> Incoming:
        kind, user, room = EventKind(event["kind"]), event["user"], event["room"]
        place, sender = Place("toy", self.account, room, is_private=room == user), Sender("toy", user, user)
        return Incoming(kind, event["id"], place, sender, event["text"], event["message"], event["command"])

    async def send(self, place: Place, part: Part, *, key: str, reply_to: str | None = None, **_: Any) -> str:
        await self._request("PUT", key, room=place.chat, reply_to=reply_to, text=part.text, part=part)
        return key

    async def edit(self, place: Place, message_id: str, part: Part, **_: Any) -> None:
        await self._request("PATCH", message_id, text=part.text, part=part)

    async def delete(self, place: Place, message_id: str, **_: Any) -> None:
        await self._request("DELETE", message_id)

    async def show_typing(self, place: Place) -> None:
        await self._request("PUT", f"typing/{place.chat}")

    async def _request(self, method: str, path: str, **content: Any) -> None:
        try:
            status, seconds = await self.service.request(method, path, **content)
        except ConnectionError as error:  # it may have arrived, but may be repeated
            raise DeliveryError("Toy cannot be reached", DeliveryFailure.TRANSIENT) from error
        if status != 200:
            raise DeliveryError(f"Toy answered {status}", DeliveryFailure(FAILURES[status]), retry_after=seconds)


def create_adapter(settings: ToySettings, _services: object) -> ToyAdapter | None:
    return ToyAdapter(settings.account, ToyService()) if settings.account else None


TOY = AdapterSpec("toy", ToySettings, "TOY_ACCOUNT", {"person": r"\w+"}, create_adapter)
