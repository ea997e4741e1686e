"""/start, /new and /stop."""

from pathlib import Path

import pytest

from bots.sandbox.model import ModelStandIn
from core.scopes import ScopeKind, grant_subject
from core.store.grants import Role, grant
from core.texts import answers
from core.texts import commands as texts
from tests.core.turns.fake_adapter import running_engine


async def test_operator_is_told_only_with_a_code(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model) as chat:
        assert "operator" not in await chat.ask("/start")
        assert "operator" not in await chat.ask("/start ABCDE-FGHJK")
        await chat.store.write(grant, grant_subject(chat.platform, ScopeKind.PERSON, "5"), Role.OPERATOR, "Ann")
        assert "operator" not in await chat.ask("/start"), "no news"
        for payload in ("model_abcdefghjk", "12345", "promo"):
            assert "operator" not in await chat.ask(f"/start {payload}"), "a link that somebody else made"
        assert "Hello, Ann. You are now an operator of this bot." in await chat.ask("/start ABCDE-FGHJK")


async def test_new_conversation_leaves_earlier_messages_out(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model) as chat:
        await chat.ask("repeat: before")
        assert (await chat.ask("/new")).startswith("New conversation with **Llama-3.3-70B-Instruct**.")
        await chat.ask("repeat: after")
        assert "before" not in str(model.requests[-1].body["messages"])


async def test_answer_that_is_being_written_stays_in_the_old_conversation(tmp_path: Path, model: ModelStandIn) -> None:
    model.tokens_per_second = 20
    async with running_engine(tmp_path, model) as chat:
        await chat.say("long 200")
        await model.wait_for(lambda: len(model.requests) == 1)
        await chat.ask("/new")
        await chat.wait_for_states("done", "done")
        await chat.ask("repeat: after")
        assert [m["content"] for m in model.requests[-1].body["messages"][1:]] == ["repeat: after"]


async def test_second_stop_confirms_the_first(tmp_path: Path, model: ModelStandIn) -> None:
    model.tokens_per_second = 5
    async with running_engine(tmp_path, model) as chat:
        await chat.say("long 5000")
        await model.wait_for(lambda: len(model.requests) == 1)
        await chat.say("/stop")
        await chat.wait_for_states("stopped", "done")
        assert await chat.ask("/stop") == answers.STOPPED


async def test_nothing_to_stop(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model) as chat:
        assert await chat.ask("/stop") == texts.NOTHING_TO_STOP


async def test_running_answer_is_stopped(tmp_path: Path, model: ModelStandIn) -> None:
    model.tokens_per_second = 5
    async with running_engine(tmp_path, model) as chat:
        await chat.say("long 5000")
        await model.wait_for(lambda: len(model.requests) == 1)
        await chat.say("/stop")
        await chat.wait_for_states("stopped", "done")
        assert answers.STOPPED in chat.texts


async def test_waiting_messages_are_dropped_and_counted(tmp_path: Path, model: ModelStandIn) -> None:
    model.tokens_per_second = 5
    async with running_engine(tmp_path, model) as chat:
        await chat.say("long 5000")
        await model.wait_for(lambda: len(model.requests) == 1)
        await chat.say("one more")
        await chat.say("and another")
        await chat.say("/stop")
        await chat.wait_for_states("stopped", "stopped", "stopped", "done")
        assert answers.messages_dropped(2) in chat.texts
        assert len(model.requests) == 1


@pytest.mark.parametrize("user", ["5", "6"])
async def test_stop_concerns_the_senders_conversation(tmp_path: Path, model: ModelStandIn, user: str) -> None:
    model.tokens_per_second = 5
    async with running_engine(tmp_path, model) as chat:
        await chat.say("long 5000", group="-7")
        await model.wait_for(lambda: len(model.requests) == 1)
        await chat.say("/stop", group="-7", user=user)
        await chat.wait_until(lambda: bool(chat.messages))
        assert (texts.NOTHING_TO_STOP in chat.texts) is (user == "6")
        model.tokens_per_second = 1_000_000
        await chat.engine.close(0)
