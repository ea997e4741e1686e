"""The toy platform under the contract suite."""

import itertools
from collections import deque
from typing import Any, ClassVar

from core.errors import DeliveryFailure
from core.port import Adapter, Place
from tests.contract.harness import Ability, Operation, PlatformHarness, VisibleMessage
from tests.contract.toy_platform import FAILURES, ToyAdapter, ToyService
from tests.waiting import wait_until

STATUSES = {DeliveryFailure(failure): status for status, failure in FAILURES.items()}


class ScriptedToyService(ToyService):
    """Fails as ordered: `replies` come first, `loses_next_reply`, `is_online`."""

    def __init__(self) -> None:
        self.replies: deque[tuple[int, float | None]] = deque()
        self.loses_next_reply = False
        self.is_online = True
        self.poll_count = 0
        super().__init__()

    @property
    def events(self) -> list[dict[str, str]]:
        """Polled by the bot."""
        self.poll_count += 1
        if not self.is_online:
            raise ConnectionError
        return self._events

    @events.setter
    def events(self, events: list[dict[str, str]]) -> None:
        self._events = events

    async def request(self, method: str, path: str, **content: Any) -> tuple[int, float | None]:
        if not self.is_online:
            raise ConnectionRefusedError
        if self.replies:
            return self.replies.popleft()
        reply = await super().request(method, path, **content)
        if self.loses_next_reply:
            self.loses_next_reply = False
            raise ConnectionResetError
        return reply


class ToyHarness(PlatformHarness):
    name = "toy"
    lacks: ClassVar = {
        Ability.ACCOUNT_WIDE_LIMITS: "it limits each room",
        Ability.INTERACTION_TOKENS: "messages need none",
        Ability.REDELIVERY: "an acknowledged event is deleted",
        Ability.THREADS: "rooms have none",
    }
    refusable = tuple(STATUSES)
    room = Place("toy", "parley", "kitchen")
    private_place = Place("toy", "parley", "ann", is_private=True)

    async def start(self) -> None:
        self.service = ScriptedToyService()
        self._event_ids = itertools.count(1)

    async def close(self) -> None:
        pass

    def create_adapter(self) -> Adapter:
        return ToyAdapter("parley", self.service)

    def connection_count(self) -> int:
        return self.service.poll_count

    def open_connections(self) -> int:
        return 0

    def _add_event(self, place: Place, kind: str, text: str, **fields: str) -> None:
        event_id = f"e{next(self._event_ids)}"
        event = {"id": event_id, "kind": kind, "room": place.chat, "user": "ann", "text": text, "command": ""}
        self.service._events.append(event | {"message": event_id} | fields)

    async def write(self, place: Place, text: str) -> None:
        self._add_event(place, "prompt", text)

    async def use_command(self, place: Place, command: str, argument: str) -> None:
        self._add_event(place, "command", argument, command=command)

    async def press(self, place: Place, message_id: str, action: str) -> None:
        self._add_event(place, "button", action, message=message_id)

    async def send_file(self, name: str, content: bytes) -> None:
        raise NotImplementedError

    def remove_files(self) -> None:
        raise NotImplementedError

    def messages(self, place: Place, *, to_bob: bool = False) -> list[VisibleMessage]:
        messages = {path: content for path, content in self.service.resources.items() if "part" in content}
        return [
            VisibleMessage(
                content["text"],
                message_id,
                content["reply_to"],
                tuple(item.action for item in (*content["part"].buttons, *content["part"].menu)),
            )
            for message_id, content in messages.items()
            if content["room"] == place.chat
        ]

    def is_typing(self, place: Place) -> bool:
        return f"typing/{place.chat}" in self.service.resources

    async def deliver_malformed_event(self) -> None:
        self.service._events.append({"id": "e0", "kind": "prompt"})

    def is_acknowledged(self) -> bool:
        return not self.service._events

    def refuse_next(
        self,
        operation: Operation,
        failure: DeliveryFailure,
        *,
        retry_after: float = 7.0,
        account_wide: bool = False,
    ) -> None:
        seconds = retry_after if failure is DeliveryFailure.RATE_LIMITED else None
        self.service.replies.append((STATUSES[failure], seconds))

    def lose_next_reply(self, operation: Operation) -> None:
        self.service.loses_next_reply = True

    async def drop_connections(self) -> None:
        self.service.is_online = False
        polls = self.service.poll_count
        await wait_until(lambda: self.service.poll_count > polls)
        self.service.is_online = True

    async def go_offline(self) -> None:
        self.service.is_online = False
