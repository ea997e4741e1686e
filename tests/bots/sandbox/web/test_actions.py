"""What a person does on the page happens in the stand-ins, or is refused with a text for them."""

import asyncio
import contextlib
import io
import mimetypes
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from bots.sandbox.discord import DiscordStandIn
from bots.sandbox.model import ModelStandIn
from bots.sandbox.model.refusals import refuse
from bots.sandbox.stand_in import FaultKind
from bots.sandbox.telegram import Call, TelegramStandIn
from bots.sandbox.web import protocol
from bots.sandbox.web.page import SandboxPage
from bots.sandbox.web.server import SAFE_IMAGE_TYPES, Upload
from bots.sandbox.web.world import World
from tests.waiting import wait_until


class Sandbox:
    def __init__(self, folder: Path) -> None:
        self.telegram, self.discord, self.model = TelegramStandIn(), DiscordStandIn(), ModelStandIn()
        self.world = World(self.telegram, self.discord)
        self.page = SandboxPage(self.world, self.model, folder / "none.sqlite3")
        self.ann, self.ben = self.world.telegram_people[:2]
        self.chat = self.telegram.open_private_chat(self.ann)
        self.friend = self.world.discord_people[0]
        self.channel = self.discord.open_dm(self.friend)

    async def perform(self, action: protocol.Action) -> Any:
        return await self.page.perform(action)

    def service(self) -> dict[str, Any]:
        return next(event for event in self.page.log.replay() if event["type"] == "service")


@pytest.fixture
def sandbox(tmp_path: Path) -> Sandbox:
    return Sandbox(tmp_path)


async def test_message_is_written_edited_and_deleted_on_telegram(sandbox: Sandbox) -> None:
    who: Any = {"person": sandbox.ann.id, "chat": sandbox.chat.id}
    message_id = await sandbox.perform(protocol.TelegramSend(id=1, text="Hi", **who))
    await sandbox.perform(protocol.TelegramEdit(id=2, message=message_id, text="Hello", **who))
    assert [message.text for message in sandbox.telegram.messages(sandbox.chat)] == ["Hello"]
    await sandbox.perform(protocol.TelegramDelete(id=3, message=message_id, **who))
    assert not sandbox.telegram.messages(sandbox.chat)


async def test_picture_is_sent_as_a_photo(sandbox: Sandbox) -> None:
    upload = sandbox.page.uploads.add(Upload("cat.png", b"\x89PNG", "image/png"))
    who: Any = {"person": sandbox.ann.id, "chat": sandbox.chat.id}
    await sandbox.perform(protocol.TelegramSend(id=1, text="a cat", upload=upload, **who))
    [message] = sandbox.telegram.messages(sandbox.chat)
    assert (message.text, "photo" in message.extra_fields) == ("a cat", True)


async def test_pictures_are_sent_as_an_album_or_as_files(sandbox: Sandbox) -> None:
    who: Any = {"person": sandbox.ann.id, "chat": sandbox.chat.id}
    for name, how in (("a.png", {"album": "7"}), ("b.png", {"album": "7"}), ("c.png", {"as_file": True})):
        upload = sandbox.page.uploads.add(Upload(name, b"\x89PNG", "image/png"))
        await sandbox.perform(protocol.TelegramSend(id=1, upload=upload, **who, **how))
    first, second, file = (message.extra_fields for message in sandbox.telegram.messages(sandbox.chat))
    assert "photo" in first
    assert "photo" in second
    assert (first["media_group_id"], second["media_group_id"]) == ("7", "7")
    assert "photo" not in file
    assert (file["document"]["file_name"], file["document"]["mime_type"]) == ("c.png", "image/png")


async def test_sticker_is_a_picture_that_the_page_can_show(sandbox: Sandbox) -> None:
    who: Any = {"person": sandbox.ann.id, "chat": sandbox.chat.id}
    await sandbox.perform(protocol.TelegramSendSticker(id=1, **who))
    [message] = sandbox.telegram.messages(sandbox.chat)
    file = sandbox.telegram.files.find(message.extra_fields["sticker"]["file_id"])
    assert file is not None
    name, content = file
    assert mimetypes.guess_type(name)[0] in SAFE_IMAGE_TYPES
    assert Image.open(io.BytesIO(content)).size == (512, 512)


async def test_person_sees_what_dropping_connections_did(sandbox: Sandbox) -> None:
    drop = protocol.ServiceDrop(id=1, platform="telegram")
    assert await sandbox.perform(drop) == "No connection was open."
    await sandbox.telegram.start()
    host, _, port = sandbox.telegram.api_base.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port.partition("/")[0]))
    await wait_until(lambda: sandbox.telegram.connection_count == 1)
    assert await sandbox.perform(drop) == "1 open connection dropped. The bot connects again."
    with contextlib.suppress(ConnectionError):
        assert await reader.read() == b""
    writer.close()
    await sandbox.telegram.close()


async def test_nobody_changes_what_others_wrote(sandbox: Sandbox) -> None:
    message = await sandbox.telegram.send_message(sandbox.ann, sandbox.chat, "Hi")
    with pytest.raises(ValueError, match="your own"):
        await sandbox.perform(
            protocol.TelegramEdit(id=1, person=sandbox.ben.id, chat=sandbox.chat.id, message=message.id, text="Ho")
        )
    theirs = await sandbox.discord.send_message(sandbox.friend, sandbox.channel, "Hi")
    other = str(sandbox.world.discord_people[1].id)
    with pytest.raises(ValueError, match="your own"):
        await sandbox.perform(
            protocol.DiscordDelete(id=1, person=other, channel=str(sandbox.channel.id), message=str(theirs.id))
        )


async def test_people_write_only_where_they_are(sandbox: Sandbox) -> None:
    with pytest.raises(ValueError, match="Ben is not in Ann"):
        await sandbox.perform(protocol.TelegramSend(id=1, person=sandbox.ben.id, chat=sandbox.chat.id, text="Hi"))
    outsider = str(sandbox.world.discord_people[2].id)
    with pytest.raises(ValueError, match="does not see"):
        await sandbox.perform(protocol.DiscordSend(id=1, person=outsider, channel=str(sandbox.channel.id), text="Hi"))


async def test_thread_appears_beside_its_channel(sandbox: Sandbox) -> None:
    channel = sandbox.discord.guilds[0].channels[0]
    message = await sandbox.discord.send_message(sandbox.friend, channel, "Which tea?")
    who = str(sandbox.friend.id)
    create = protocol.DiscordCreateThread(
        id=1, person=who, channel=str(channel.id), message=str(message.id), name="Tea"
    )
    thread_id = await sandbox.perform(create)
    world = next(event for event in sandbox.page.log.replay() if event["type"] == "discord.world")
    [thread] = [one for guild in world["guilds"] for one in guild["channels"] if one["id"] == thread_id]
    assert (thread["name"], thread["parent_id"]) == ("Tea", str(channel.id))
    with pytest.raises(ValueError, match="has a thread already"):
        await sandbox.perform(create)


async def test_unknown_people_and_messages_are_refused(sandbox: Sandbox) -> None:
    with pytest.raises(ValueError, match="no such person"):
        await sandbox.perform(protocol.TelegramSend(id=1, person=99, chat=sandbox.chat.id, text="Hi"))
    with pytest.raises(ValueError, match="no longer exists"):
        await sandbox.perform(
            protocol.DiscordPress(
                id=1, person=str(sandbox.friend.id), channel=str(sandbox.channel.id), message="5", custom_id="x"
            )
        )


async def test_option_cannot_replace_an_argument(sandbox: Sandbox) -> None:
    options: dict[str, protocol.OptionValue] = {"is_user_installed": "yes"}
    with pytest.raises(ValueError, match="no such option"):
        await sandbox.perform(
            protocol.DiscordCommand(
                id=1, person=str(sandbox.friend.id), channel=str(sandbox.channel.id), name="help", options=options
            )
        )


async def test_model_is_broken_and_repaired(sandbox: Sandbox) -> None:
    await sandbox.perform(protocol.ServiceCommand(id=1, command=":refuse", argument="credit"))
    await sandbox.perform(protocol.ServiceCommand(id=2, command=":system"))
    assert (sandbox.service()["model"]["fault"], sandbox.service()["model"]["rejects_system_role"]) == ("credit", True)
    await sandbox.perform(protocol.ServiceRepair(id=3))
    assert (sandbox.service()["model"]["fault"], sandbox.service()["model"]["rejects_system_role"]) == (None, False)
    assert sandbox.model.fault_hook is None


async def test_every_fault_of_the_model_can_be_chosen(sandbox: Sandbox) -> None:
    await sandbox.perform(protocol.ServiceRepair(id=1))
    for name in sandbox.service()["model"]["faults"]:
        await sandbox.perform(protocol.ServiceCommand(id=2, command=":refuse", argument=name))
        assert sandbox.model.fault_hook is not None
        assert sandbox.model.fault_hook({"stream": True}) is not None


async def test_quota_removal_and_speed_are_announced_until_they_are_repaired(sandbox: Sandbox) -> None:
    first, second = list(sandbox.model.models)[:2]
    for command, argument in ((":quota", first), (":gone", second), (":speed", "5")):
        result = await sandbox.perform(protocol.ServiceCommand(id=1, command=command, argument=argument))
        assert argument in result
    model = sandbox.service()["model"]
    assert (model["exhausted"], model["removed"]) == ([first], [second])
    assert (model["tokens_per_second"], model["original_speed"]) == (5, 40)
    assert "again" in await sandbox.perform(protocol.ServiceRepair(id=2))
    model = sandbox.service()["model"]
    assert (model["exhausted"], model["removed"], model["tokens_per_second"]) == ([], [], 40)


async def test_rate_limit_is_no_longer_announced_once_it_was_used_up(sandbox: Sandbox) -> None:
    fail = protocol.ServiceFail(id=1, platform="telegram", kind="429", seconds=20, times=1)
    hook = sandbox.telegram.fault_hook
    assert hook is not None
    for _ in range(2):
        await sandbox.perform(fail)
        assert sandbox.service()["telegram"] == {"fault": "429", "seconds": 20}
        assert hook(Call("sendMessage", {"chat_id": 1}, time=0.0)) is not None
        assert sandbox.service()["telegram"]["fault"] is None


async def test_fault_that_a_scenario_injects_is_announced(sandbox: Sandbox) -> None:
    await sandbox.perform(protocol.ServiceRepair(id=1))
    steps: list[str] = []
    stage = sandbox.page.create_stage(sandbox.model, steps.append)
    stage.faults["discord"].inject(FaultKind.DELAY, 3, None)
    assert sandbox.service()["discord"]["fault"] == "delay"
    stage.model.fault_hook = refuse("gateway")
    stage.step("The model service answers 502.")
    assert sandbox.service()["model"]["fault"] == "gateway"
    assert steps == ["The model service answers 502."]


async def test_rate_limit_hits_messages_as_often_as_ordered(sandbox: Sandbox) -> None:
    await sandbox.perform(protocol.ServiceFail(id=1, platform="telegram", kind="429", seconds=20, times=1))
    hook = sandbox.telegram.fault_hook
    assert hook is not None
    assert hook(Call("getUpdates", {}, time=0.0)) is None
    fault = hook(Call("sendMessage", {"chat_id": 1}, time=0.0))
    assert fault is not None
    assert (fault.kind, fault.seconds) == (FaultKind.RATE_LIMITED, 20)
    assert hook(Call("sendMessage", {"chat_id": 1}, time=0.0)) is None


async def test_switch_that_is_none_is_refused(sandbox: Sandbox) -> None:
    with pytest.raises(ValueError, match="no such switch"):
        await sandbox.perform(protocol.ServiceCommand(id=1, command=":quit"))
    with pytest.raises(ValueError, match="no such scenario"):
        await sandbox.perform(protocol.StartScenario(id=1, name="none"))
