"""/key: whose key pays, and which keys are refused."""

from pathlib import Path

import pytest

from bots.sandbox.model import ModelStandIn
from bots.sandbox.model.faults import Fault, http_error
from core.texts import commands as texts
from core.timings import Timings
from tests.core.commands.conftest import PERSONAL_KEY
from tests.core.turns.fake_adapter import running_engine

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("message_id", ["m1", None], ids=["message", "slash command"])
async def test_key_sent_in_group_is_refused(tmp_path: Path, model: ModelStandIn, message_id: str | None) -> None:
    async with running_engine(tmp_path, model, secret_key="a passphrase") as chat:
        if message_id:
            chat.messages[message_id] = f"/key {PERSONAL_KEY}"
        await chat.say(f"/key {PERSONAL_KEY}", message=message_id, group="-7")
        await chat.wait_until(lambda: any(texts.KEY_IN_GROUP in text for text in chat.messages.values()))
        (reply,) = chat.messages.values()
        # Nobody else sees the arguments of a slash command.
        assert (texts.KEY_EXPOSED in reply) == (message_id is not None)
        assert await chat.ask("/key") == texts.BOT_KEY_USED


async def test_key_is_stored_used_and_removed(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model, secret_key="a passphrase") as chat:
        assert await chat.ask("/key") == texts.BOT_KEY_USED
        assert await chat.ask("/key remove") == texts.NO_KEY
        assert await chat.ask(f"/key {PERSONAL_KEY}") == texts.KEY_STORED
        assert await chat.ask("/key") == texts.PERSONAL_KEY_USED
        await chat.ask("repeat: hello")
        assert model.requests[-1].api_key == PERSONAL_KEY
        assert await chat.ask("/key Remove") == texts.KEY_DELETED
        assert await chat.ask("/key") == texts.BOT_KEY_USED


async def test_key_of_another_passphrase_is_reported(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model, secret_key="a passphrase") as chat:
        await chat.ask(f"/key {PERSONAL_KEY}")
    async with running_engine(tmp_path, model, chat, secret_key="another passphrase") as chat:
        assert await chat.ask("/key") == texts.KEY_UNREADABLE


async def test_keys_need_a_passphrase(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model) as chat:
        assert await chat.ask("/key") == texts.KEYS_DISABLED
        assert await chat.ask(f"/key {PERSONAL_KEY}") == texts.KEYS_DISABLED


@pytest.mark.parametrize(
    ("key", "reply"),
    [
        ("short", texts.KEY_MALFORMED),
        ("x" * 501, texts.KEY_MALFORMED),
        ("x" * 8, texts.KEY_REJECTED),
        ("x" * 500, texts.KEY_REJECTED),
        ("two words of it", texts.KEY_MALFORMED),
    ],
    ids=["too short", "too long", "shortest", "longest", "words"],
)
async def test_wrong_key_is_refused(tmp_path: Path, model: ModelStandIn, key: str, reply: str) -> None:
    async with running_engine(tmp_path, model, secret_key="a passphrase") as chat:
        assert await chat.ask(f"/key {key}") == reply
        assert await chat.ask("/key") == texts.BOT_KEY_USED


@pytest.mark.parametrize(
    ("fault", "reply"),
    [
        (http_error(503), texts.KEY_UNCHECKED),
        (http_error(404), texts.KEY_UNCHECKED),
        (http_error(404, "The model does not exist."), texts.KEY_STORED),
    ],
    ids=["unavailable", "wrong address", "no such model"],
)
async def test_key_is_stored_unless_it_cannot_be_checked(
    tmp_path: Path, model: ModelStandIn, fault: Fault, reply: str
) -> None:
    timings = Timings(model_retry_delay=0.01, max_model_retry_delay=0.02)
    async with running_engine(tmp_path, model, secret_key="a passphrase", timings=timings) as chat:
        model.fault_hook = lambda _body: fault
        assert await chat.ask(f"/key {PERSONAL_KEY}") == reply
