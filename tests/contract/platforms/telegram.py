"""Telegram under the contract suite: the real library against the stand-in, by long polling."""

from dataclasses import replace
from typing import ClassVar

from bots.sandbox.stand_in import Fault, FaultKind
from bots.sandbox.telegram import Chat, Limits, ScriptedReply, TelegramStandIn
from bots.sandbox.telegram.state import Call
from bots.telegram.adapter import TelegramAdapter
from bots.telegram.identity import PLATFORM
from bots.telegram.timings import TelegramTimings
from core.commands.declarations import COMMANDS
from core.errors import DeliveryFailure
from core.port import Adapter, Place
from tests.contract.harness import Ability, Operation, PlatformHarness, VisibleMessage

TIMINGS = TelegramTimings(first_retry_delay=0.01, max_retry_delay=0.05, ready_timeout=0.05)
METHODS = {
    Operation.SEND: "sendMessage",
    Operation.EDIT: "editMessageText",
    Operation.DELETE: "deleteMessage",
    Operation.TYPING: "sendChatAction",
    Operation.DRAFT: "sendMessageDraft",
    Operation.FETCH: "getFile",
    Operation.SEND_FILE: "sendDocument",
}
REFUSALS = {
    DeliveryFailure.FORBIDDEN: ScriptedReply.error(403, "Forbidden: bot was kicked from the supergroup chat"),
    DeliveryFailure.GONE: ScriptedReply.error(400, "Bad Request: chat not found"),
    DeliveryFailure.REJECTED: ScriptedReply.error(400, "Bad Request: BUTTON_DATA_INVALID"),
    DeliveryFailure.TRANSIENT: ScriptedReply(502, body=b"<html>Bad Gateway</html>"),
    DeliveryFailure.UNKNOWN: ScriptedReply(504, body=b"<html>Gateway Time-out</html>"),
}


class TelegramHarness(PlatformHarness):
    name = "telegram"
    lacks: ClassVar = {
        Ability.ACCOUNT_WIDE_LIMITS: "Telegram does not say which chats a 429 concerns",
        Ability.INTERACTION_TOKENS: "answers are normal messages, except in foreign places",
    }
    refusable = (*REFUSALS, DeliveryFailure.RATE_LIMITED)

    async def start(self) -> None:
        self.telegram = TelegramStandIn(limits=Limits.off())
        await self.telegram.start()
        self._ann, bob = self.telegram.create_user("Ann"), self.telegram.create_user("Bob")
        self._group = self.telegram.create_supergroup("Engines", self._ann, bob)
        self._private_chat = self.telegram.open_private_chat(self._ann)
        account = str(self.telegram.bot.id)
        self.room = Place(PLATFORM, account, str(self._group.id))
        self.private_place = Place(PLATFORM, account, str(self._ann.id), is_private=True)

    async def close(self) -> None:
        await self.telegram.close()

    def create_adapter(self) -> Adapter:
        return TelegramAdapter(self.telegram.token, api_base=self.telegram.api_base, commands=COMMANDS, timings=TIMINGS)

    def connection_count(self) -> int:
        return len(self.telegram.calls_to("getUpdates"))

    def open_connections(self) -> int:
        return self.telegram.connection_count

    def _chat(self, place: Place) -> Chat:
        return self._private_chat if place.is_private else self._group

    async def write(self, place: Place, text: str) -> None:
        mention = "" if place.is_private else f"@{self.telegram.bot.username} "
        await self.telegram.send_message(self._ann, self._chat(place), mention + text, thread=_topic(place))

    async def open_thread(self, title: str, first_text: str = "") -> Place:
        self._group.is_forum = True
        return replace(self.room, thread=str(self.telegram.create_topic(self._group, title)))

    async def use_command(self, place: Place, command: str, argument: str) -> None:
        await self.telegram.send_message(self._ann, self._chat(place), f"/{command} {argument}")

    async def press(self, place: Place, message_id: str, action: str) -> None:
        message = self._chat(place).find_message(int(message_id))
        assert message is not None
        await self.telegram.press_button(self._ann, message, action)

    async def send_file(self, name: str, content: bytes) -> None:
        await self.telegram.send_document(self._ann, self._private_chat, name, content)

    def remove_files(self) -> None:
        self.telegram.files.clear()

    def messages(self, place: Place, *, to_bob: bool = False) -> list[VisibleMessage]:
        return [
            VisibleMessage(
                message.text,
                str(message.id),
                None if message.reply_to_id is None else str(message.reply_to_id),
                tuple(button["callback_data"] for button in message.buttons),
                ((message.file_name, self.telegram.document_content(message)),) if message.file_name else (),
            )
            for message in self.telegram.messages(self._chat(place))
            if message.from_bot and message.thread_id == _topic(place)
        ]

    async def forbid_files(self, place: Place) -> None:
        self._chat(place).allows_documents = False

    def is_typing(self, place: Place) -> bool:
        return self.telegram.is_typing(self._chat(place), _topic(place))

    def draft(self) -> str | None:
        drafts = self.telegram.live_drafts(self._private_chat)
        return drafts[0].text if drafts else None

    async def deliver_malformed_event(self) -> None:
        self.telegram.updates.add("message", {"message_id": "?", "date": {}}, self._private_chat.id)

    async def redeliver(self, place: Place) -> None:
        self.telegram.redeliver_last_update(self._chat(place))

    def is_acknowledged(self) -> bool:
        return not self.telegram.updates.pending

    def refuse_next(
        self,
        operation: Operation,
        failure: DeliveryFailure,
        *,
        retry_after: float = 7.0,
        account_wide: bool = False,
    ) -> None:
        seconds = int(retry_after)
        too_many = ScriptedReply.error(429, f"Too Many Requests: retry after {seconds}", retry_after=seconds)
        self.telegram.script.add(METHODS[operation], REFUSALS.get(failure, too_many))

    def lose_next_reply(self, operation: Operation) -> None:
        def drop_after(call: Call) -> Fault | None:
            if call.method != METHODS[operation]:
                return None
            self.telegram.fault_hook = None
            return Fault(FaultKind.DROP_AFTER)

        self.telegram.fault_hook = drop_after

    async def drop_connections(self) -> None:
        self.telegram.drop_connections()

    async def go_offline(self) -> None:
        await self.telegram.close()


def _topic(place: Place) -> int | None:
    return None if place.thread is None else int(place.thread)
