"""Discord under the contract suite: the real library against the stand-in."""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar

from bots.discord.adapter import DiscordAdapter
from bots.discord.payloads import CUSTOM_ID_PREFIX, MENU_CUSTOM_ID
from bots.discord.timings import DiscordTimings
from bots.discord.translate import PLATFORM
from bots.sandbox.discord import Channel, DiscordStandIn, Fault, FaultKind, Limits, Message, ScriptedReply
from bots.sandbox.discord.state import ATTACH_FILES, Call
from core.commands.declarations import COMMANDS
from core.errors import DeliveryFailure
from core.port import Adapter, Incoming, Place
from core.store.recent_activity import EventHistory, RecentActivity
from tests.contract.harness import Ability, ContractInbox, Operation, PlatformHarness, VisibleMessage
from tests.state_store import MemoryState

TIMINGS = DiscordTimings(
    first_store_retry_delay=0.01,
    drain_timeout=0.1,
    first_retry_delay=0.01,
    max_retry_delay=0.05,
    identify_interval=0.0,
    identify_tolerance=0.1,
    identify_retry_interval=0.01,
)
ROUTES = {
    Operation.SEND: ("POST", r"/channels/\d+/messages"),
    Operation.SEND_FILE: ("POST", r"/channels/\d+/messages"),
    Operation.EDIT: ("PATCH", r"/channels/\d+/messages/\d+"),
    Operation.DELETE: ("DELETE", r"/channels/\d+/messages/\d+"),
    Operation.TYPING: ("POST", r"/channels/\d+/typing"),
}
REFUSALS = {
    DeliveryFailure.FORBIDDEN: ScriptedReply.error(403, 50013),
    DeliveryFailure.GONE: ScriptedReply.error(404, 10003),
    DeliveryFailure.REJECTED: ScriptedReply.error(400, 50035),
    DeliveryFailure.TRANSIENT: ScriptedReply.error(502),
}
COMMAND_ARGUMENTS = {"model": "name"}


class InboxHistory(EventHistory):
    """The events that the inbox stored."""

    def __init__(self, inbox: ContractInbox) -> None:
        self._inbox = inbox

    async def recent_activity(
        self, account: str, *, max_places: int, within_seconds: float, before_turn: int | None
    ) -> RecentActivity:
        events = list(self._inbox.stored.values())[:before_turn]
        latest_events = {event.place: event for event in events}
        return RecentActivity(len(self._inbox.stored), list(latest_events.values()))

    async def stored_keys(self, account: str, keys: Sequence[str]) -> set[str]:
        return self._inbox.stored.keys() & set(keys)


async def read_language(_incoming: Incoming) -> str:
    return "en"


async def read_question(_incoming: Incoming) -> str | None:
    return None


async def read_instructions(_incoming: Incoming) -> str:
    return ""


async def has_access(_incoming: Incoming) -> bool:
    return True


class DiscordHarness(PlatformHarness):
    name = "discord"
    lacks: ClassVar = {
        Ability.ACKNOWLEDGEMENTS: "the gateway delivers a message once and does not ask",
    }
    refusable = (*REFUSALS, DeliveryFailure.RATE_LIMITED)
    size_margin = 10

    async def start(self) -> None:
        self.discord = DiscordStandIn(limits=Limits.off())
        await self.discord.start()
        self._ann, self._bob = self.discord.create_user("Ann"), self.discord.create_user("Bob")
        guild = self.discord.create_guild("Home", self._bob, self._ann)
        self._channel = self.discord.create_channel(guild, "general")
        self._dm = self.discord.open_dm(self._ann)
        self._state = MemoryState()
        account = str(self.discord.bot.id)
        self.room = Place(PLATFORM, account, str(self._channel.id), server=str(guild.id))
        self.private_place = Place(PLATFORM, account, str(self._dm.id), is_private=True)

    async def close(self) -> None:
        await self.discord.close()

    def create_adapter(self) -> Adapter:
        return DiscordAdapter(
            self.discord.token,
            commands=COMMANDS,
            autocomplete_models=lambda _: (),
            has_access=has_access,
            read_language=read_language,
            read_instructions=read_instructions,
            read_question=read_question,
            state=self._state,
            api_base=self.discord.api_base,
            gateway_url=self.discord.gateway_url,
            history=InboxHistory(self.inbox),
            timings=TIMINGS,
        )

    def connection_count(self) -> int:
        return sum(event == "READY" for event, _ in self.discord.gateway.dispatches)

    def open_connections(self) -> int:
        return self.discord.connection_count

    def _place_channel(self, place: Place) -> Channel:
        if place.thread is not None:
            return self.discord.channels[place.thread]
        return self._dm if place.is_private else self._channel

    async def open_thread(self, title: str, first_text: str = "") -> Place:
        starter = await self.discord.send_message(self._ann, self._channel, first_text) if first_text else None
        return replace(self.room, thread=str(self.discord.create_thread(self._channel, title, starter).id))

    async def remove_thread(self, thread: Place) -> None:
        del self.discord.channels[str(thread.thread)]

    async def write(self, place: Place, text: str) -> None:
        mention = "" if place.is_private else f"{self.discord.mention} "
        await self.discord.send_message(self._ann, self._place_channel(place), mention + text)

    async def use_command(self, place: Place, command: str, argument: str) -> None:
        options: dict[str, Any] = {COMMAND_ARGUMENTS[command]: argument}
        await self.discord.use_command(self._ann, self._place_channel(place), command, **options)

    async def press(self, place: Place, message_id: str, action: str) -> None:
        message = self._place_channel(place).find_message(message_id)
        assert message is not None
        button_id = CUSTOM_ID_PREFIX + action
        if any(item.get("custom_id") == button_id for item in message.items):
            await self.discord.press_button(self._ann, message, button_id)
        else:
            await self.discord.select_options(self._ann, message, MENU_CUSTOM_ID, [action])

    async def send_file(self, name: str, content: bytes) -> None:
        await self.discord.send_file(self._ann, self._dm, name, content)

    def remove_files(self) -> None:
        self.discord.files.clear()

    def messages(self, place: Place, *, to_bob: bool = False) -> list[VisibleMessage]:
        viewer = self._bob if to_bob else self._ann
        return [
            VisibleMessage(
                message.text,
                str(message.id),
                None if message.reply_to_id is None else str(message.reply_to_id),
                _actions(message),
                tuple(zip(_file_names(message), self.discord.file_contents(message), strict=True)),
            )
            for message in self.discord.messages(self._place_channel(place))
            if message.from_bot and message.ephemeral_to in (None, viewer.id)
        ]

    async def forbid_files(self, place: Place) -> None:
        channel = self._place_channel(place)
        await self.discord.set_bot_permissions(channel, channel.bot_permissions & ~ATTACH_FILES)

    def is_typing(self, place: Place) -> bool:
        calls = self.discord.calls_to("POST", f"/channels/{self._place_channel(place).id}/typing")
        return any(call.status == 204 for call in calls)

    async def deliver_malformed_event(self) -> None:
        await self.discord.gateway.dispatch("MESSAGE_CREATE", {"id": "?", "channel_id": str(self._dm.id)})

    async def redeliver(self, place: Place) -> None:
        channel_id = str(self._place_channel(place).id)
        created = [data for event, data in self.discord.gateway.dispatches if event == "MESSAGE_CREATE"]
        last = next(data for data in reversed(created) if data["channel_id"] == channel_id)
        await self.discord.gateway.dispatch("MESSAGE_CREATE", last)

    def refuse_next(
        self,
        operation: Operation,
        failure: DeliveryFailure,
        *,
        retry_after: float = 7.0,
        account_wide: bool = False,
    ) -> None:
        too_many = ScriptedReply.error(429, retry_after=retry_after, **{"global": account_wide})
        self.discord.script.add(" ".join(ROUTES[operation]), REFUSALS.get(failure, too_many))

    def lose_next_reply(self, operation: Operation) -> None:
        method, path = ROUTES[operation]
        faults = [Fault(FaultKind.DROP_AFTER)] * 2  # the adapter repeats a request once

        def drop_after(call: Call) -> Fault | None:
            is_meant = call.method == method and re.fullmatch(path, call.path)
            return faults.pop() if is_meant and faults else None

        self.discord.fault_hook = drop_after

    async def drop_connections(self) -> None:
        self.discord.drop_connections()

    async def go_offline(self) -> None:
        await self.discord.close()


def _file_names(message: Message) -> list[str]:
    return [attachment["filename"] for attachment in message.attachments]


def _actions(message: Message) -> tuple[str, ...]:
    """The actions of buttons and menu items, in the order in which they are shown."""
    actions: list[str] = []
    for item in message.items:
        actions += [option["value"] for option in item.get("options", [])]
        if "options" not in item:
            actions.append(item["custom_id"].removeprefix(CUSTOM_ID_PREFIX))
    return tuple(actions)
