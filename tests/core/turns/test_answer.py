"""Which model answers after a failure, and what the person is told and offered under an answer."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Connection, select

from bots.sandbox.model import ModelStandIn
from bots.sandbox.model.faults import Fault, ReasoningFormat, StreamAction, http_error, respond_with, stall
from bots.sandbox.model.script import ScriptedAnswer
from core.buttons import ButtonAction, encode_action
from core.errors import DeliveryError, DeliveryFailure, ModelFailure
from core.port import Part, RateWindow
from core.scopes import ScopeKind, grant_subject
from core.store.grants import Role, grant
from core.store.overview import read_overview
from core.store.schema import messages, turns
from core.texts import answers as texts
from core.timings import Timings
from core.turns import answer_files
from tests.core.turns.fake_adapter import EDITING, TYPING, FakeAdapter, UploadingAdapter, running_engine

pytestmark = pytest.mark.slow

LLAMA, PHI, GEMMA = "meta-llama/Llama-3.3-70B-Instruct", "microsoft/phi-4", "google/gemma-2-9b-it"
IMPATIENT = Timings(model_retry_delay=0.001, max_model_retry_delay=0.002)
FALLBACKS = {"fallbacks": (PHI, GEMMA), "timings": IMPATIENT}


class PartsAdapter(FakeAdapter):
    """Keeps the labels of the buttons under the last message."""

    def __init__(self) -> None:
        super().__init__()
        self.buttons: list[str] = []
        self.actions: dict[str, str] = {}

    def _show(self, message_id: str, part: Part) -> None:
        self.buttons = [button.label for button in part.buttons]
        self.actions = {button.label: button.action for button in part.buttons}
        super()._show(message_id, part)


def asked_models(model: ModelStandIn) -> list[str]:
    return [request.body["model"] for request in model.requests]


def fail_models(model: ModelStandIn, faults: Mapping[str, Fault]) -> None:
    model.fault_hook = lambda body: faults.get(str(body["model"]))


def stored_roles(connection: Connection) -> list[str]:
    return list(connection.scalars(select(messages.c.role).order_by(messages.c.id)))


# Failover


async def test_substitute_answers_and_says_so(tmp_path: Path, model: ModelStandIn) -> None:
    fail_models(model, {LLAMA: http_error(503)})
    async with running_engine(tmp_path, model, **FALLBACKS) as chat:  # type: ignore[arg-type]
        reply = await chat.ask("repeat: hello")
        assert reply.startswith("hello\n\n")
        assert "Llama-3.3-70B-Instruct is unavailable. Answered by phi-4." in reply
        await chat.wait_for_states("done")
    assert asked_models(model)[-1] == PHI


async def test_substitutes_are_asked_in_turn(tmp_path: Path, model: ModelStandIn) -> None:
    fail_models(model, {LLAMA: http_error(503), PHI: http_error(503)})
    async with running_engine(tmp_path, model, **FALLBACKS) as chat:  # type: ignore[arg-type]
        assert "Llama-3.3-70B-Instruct is unavailable. Answered by gemma-2-9b-it." in await chat.ask("repeat: hello")


async def test_failure_of_all_models_is_that_of_the_chosen_one(tmp_path: Path, model: ModelStandIn) -> None:
    fail_models(model, {LLAMA: http_error(503), PHI: http_error(429), GEMMA: http_error(429)})
    async with running_engine(tmp_path, model, PartsAdapter(), **FALLBACKS) as chat:  # type: ignore[arg-type]
        reply = await chat.ask("repeat: hello")
        assert texts.FAILURE_TEXTS[ModelFailure.UNAVAILABLE] in reply
        assert reply.replace("\\", "").strip("* ").endswith("[1]"), "the number by which the operator finds it"
        assert isinstance(chat, PartsAdapter)
        assert chat.buttons == [texts.RETRY_BUTTON]
        await chat.wait_for_states("failed")
        assert await chat.store.read(stored_roles) == ["user"]


@pytest.mark.parametrize("status", [401, 400], ids=["rejected key", "refused request"])
async def test_failure_that_all_models_share_asks_no_other(tmp_path: Path, model: ModelStandIn, status: int) -> None:
    model.fault_hook = lambda _body: http_error(status)
    attempts: list[str] = []

    def fail(body: dict[str, object]) -> Fault:
        attempts.append(str(body["model"]))
        return http_error(status)

    model.fault_hook = fail
    async with running_engine(tmp_path, model, **FALLBACKS) as chat:  # type: ignore[arg-type]
        await chat.ask("repeat: hello")
        await chat.wait_for_states("failed")
    assert set(attempts) == {LLAMA}


async def test_interrupted_answer_is_kept_and_can_be_continued(tmp_path: Path, model: ModelStandIn) -> None:
    model.answer = lambda _body: ScriptedAnswer("word " * 40, action=StreamAction.CLOSE)
    async with running_engine(tmp_path, model, PartsAdapter(), **FALLBACKS) as chat:  # type: ignore[arg-type]
        reply = await chat.ask("hello")
        assert reply.startswith("word word")
        assert texts.FAILURE_TEXTS[ModelFailure.TRUNCATED] in reply
        await chat.wait_for_states("done")
        assert asked_models(model) == [LLAMA], "a part of the answer is visible"
        assert isinstance(chat, PartsAdapter)
        assert chat.buttons == [texts.CONTINUE_BUTTON, texts.RETRY_BUTTON]
        model.answer = lambda _body: "and the rest"
        await chat.press(chat.actions[texts.CONTINUE_BUTTON], "1")
        await chat.wait_for_text("and the rest")
        assert await chat.store.read(stored_roles) == ["user", "assistant"] * 2


async def test_paused_model_is_not_asked(tmp_path: Path, model: ModelStandIn) -> None:
    attempts: list[str] = []

    def fail_llama(body: dict[str, object]) -> Fault | None:
        attempts.append(str(body["model"]))
        return http_error(503) if body["model"] == LLAMA else None

    model.fault_hook = fail_llama
    async with running_engine(tmp_path, model, **FALLBACKS) as chat:  # type: ignore[arg-type]
        for _ in range(3):
            await chat.ask("repeat: hello")
        attempts.clear()
        assert "Answered by phi-4" in await chat.ask("repeat: hello")
        assert attempts == [PHI]


async def test_pause_does_not_hide_rejected_key(tmp_path: Path, model: ModelStandIn) -> None:
    fail_models(model, {LLAMA: http_error(500)})
    async with running_engine(tmp_path, model, **FALLBACKS) as chat:  # type: ignore[arg-type]
        for _ in range(3):
            await chat.ask("repeat: hello")
        model.accounts.clear()
        assert texts.FAILURE_TEXTS[ModelFailure.AUTHENTICATION] in await chat.ask("repeat: hello")


async def test_all_paused_models_name_cause_and_wait(tmp_path: Path, model: ModelStandIn) -> None:
    model.fault_hook = lambda _body: http_error(500)
    async with running_engine(tmp_path, model, **FALLBACKS) as chat:  # type: ignore[arg-type]
        for _ in range(3):
            await chat.ask("repeat: hello")
        reply = await chat.ask("repeat: hello")
        assert texts.FAILURE_TEXTS[ModelFailure.SERVER_ERROR] in reply
        assert "The model is busy: try again in about" in reply


async def test_empty_answers_pause_no_model(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model, **FALLBACKS) as chat:  # type: ignore[arg-type]
        for _ in range(4):
            assert texts.FAILURE_TEXTS[ModelFailure.EMPTY] in await chat.ask("empty")
        assert asked_models(model)[-3:] == [LLAMA, PHI, GEMMA]
        assert await chat.ask("repeat: hello", user="6") == "hello"


async def test_404_of_one_model_means_that_it_is_gone(tmp_path: Path, model: ModelStandIn) -> None:
    fail_models(model, {LLAMA: respond_with(404, "404 page not found", content_type="text/plain")})
    async with running_engine(tmp_path, model, **FALLBACKS) as chat:  # type: ignore[arg-type]
        assert "Llama-3.3-70B-Instruct is no longer available. Answered by phi-4." in await chat.ask("repeat: hello")


# Reasoning


async def test_silent_reasoning_is_waited_for_with_status(tmp_path: Path, model: ModelStandIn) -> None:
    model.reasoning_format, model.tokens_per_second = ReasoningFormat.SILENT, 50
    model.answer = lambda _body: ScriptedAnswer("done", "hm " * 100)
    timings = Timings(thinking_status_interval=1)
    settings = {"default_model": "deepseek-ai/DeepSeek-R1", "first_token_timeout": 0.5, "reasoning_timeout": 30}
    chat = FakeAdapter(EDITING)
    async with running_engine(tmp_path, model, chat, timings=timings, **settings):  # type: ignore[arg-type]
        await chat.say("hello")
        await chat.wait_for_text("Thinking… 1 s")
        await chat.wait_for_text("done")
    assert len(model.requests) == 1


async def test_unclosed_reasoning_can_be_continued_and_retried(tmp_path: Path, model: ModelStandIn) -> None:
    model.answer = lambda _body: "<think>I wonder"
    async with running_engine(tmp_path, model, PartsAdapter(), **FALLBACKS) as chat:  # type: ignore[arg-type]
        reply = await chat.ask("hello")
        assert reply.startswith("I wonder\n\n")
        assert texts.ONLY_REASONING in reply
        assert isinstance(chat, PartsAdapter)
        assert chat.buttons == [texts.RETRY_BUTTON]
        await chat.wait_for_states("done")


# Notes and buttons


async def test_plain_answer_has_no_notes_and_can_be_retried(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model, PartsAdapter()) as chat:
        assert await chat.ask("repeat: hello") == "hello"
        assert isinstance(chat, PartsAdapter)
        assert chat.buttons == [texts.RETRY_BUTTON]


async def test_answer_at_its_maximum_length_can_be_continued(tmp_path: Path, model: ModelStandIn) -> None:
    model.answer = lambda _body: "several words " * 100
    async with running_engine(tmp_path, model, PartsAdapter()) as chat:
        await chat.ask("/settings length 20")
        assert texts.MAX_LENGTH_REACHED in await chat.ask("hello")
        assert isinstance(chat, PartsAdapter)
        assert chat.buttons == [texts.CONTINUE_BUTTON, texts.RETRY_BUTTON]


async def test_cut_answer_leaves_no_open_marks(tmp_path: Path, model: ModelStandIn) -> None:
    model.answer = lambda _body: f"It is **{'very ' * 100}long**"
    async with running_engine(tmp_path, model) as chat:
        await chat.ask("/settings length 20")
        answer, _, _ = (await chat.ask("hello")).partition("\n\n")
        assert answer.startswith("It is **very very ")
        assert answer.endswith("very**")


async def test_whole_answer_keeps_its_marks(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model) as chat:
        assert (await chat.ask("repeat: 2 **hello")).count("*") == 2


@pytest.mark.parametrize("is_shown", [True, False])
async def test_reasoning_has_a_button_unless_it_is_hidden(tmp_path: Path, model: ModelStandIn, is_shown: bool) -> None:
    async with running_engine(tmp_path, model, PartsAdapter()) as chat:
        if not is_shown:
            await chat.ask("/settings reasoning off")
        await chat.ask("think")
        assert isinstance(chat, PartsAdapter)
        assert chat.buttons == [texts.RETRY_BUTTON, *[texts.REASONING_BUTTON] * is_shown]
        turn_id = 1 if is_shown else 2
        await chat.press(encode_action(ButtonAction.SHOW_REASONING, turn_id), "1")
        await chat.wait_until(lambda: len(chat.messages) == 1 + turn_id)
        assert (texts.REASONING_NOT_STORED in chat.texts[-1]) is not is_shown


async def test_stopped_answer_says_so(tmp_path: Path, model: ModelStandIn) -> None:
    model.tokens_per_second = 20
    model.answer = lambda _body: "word " * 400
    async with running_engine(tmp_path, model) as chat:
        await chat.say("hello")
        await model.wait_for(lambda: bool(model.requests) and model.requests[0].token_usage[1] > 3)
        await chat.say("/stop")
        await chat.wait_for_states("stopped", "done")
        (answer,) = [text for text in chat.texts if text.startswith("word word")]
        assert texts.STOPPED in answer


async def test_stop_before_any_text_names_no_model(tmp_path: Path, model: ModelStandIn) -> None:
    fail_models(model, {LLAMA: http_error(500), PHI: stall()})
    async with running_engine(tmp_path, model, **FALLBACKS) as chat:  # type: ignore[arg-type]
        await chat.say("hello")
        await model.wait_for(lambda: PHI in asked_models(model))
        await chat.say("/stop")
        await chat.wait_for_states("stopped", "done")
        assert not [text for text in chat.texts if "Answered by" in text]
        assert texts.STOPPED in chat.texts


async def test_low_quota_warns_the_operator_in_private_once(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model, quotas={LLAMA: 300}) as chat:
        await chat.store.write(grant, grant_subject(chat.platform, ScopeKind.PERSON, "6"), Role.OPERATOR, "Bob")
        assert "quota used" not in await chat.ask(f"repeat: {'many words ' * 100}")
        await chat.say("repeat: in a group", user="6", group="-7")
        await chat.wait_for_text("in a group")
        assert not any("quota used" in text for text in chat.texts)
        assert "% of today's quota used. It resets in" in await chat.ask("repeat: hello", user="6")
        assert "quota used" not in await chat.ask("repeat: again", user="6")


async def test_answer_that_makes_the_quota_low_warns_the_operator(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model, quotas={LLAMA: 300}) as chat:
        await chat.store.write(grant, grant_subject(chat.platform, ScopeKind.PERSON, "6"), Role.OPERATOR, "Bob")
        answer = await chat.ask(f"repeat: {'many words ' * 100}", user="6")
        assert "% of today's quota used. It resets in" in answer
        assert "quota used" not in await chat.ask("repeat: again", user="6")


# Delivery


async def test_rejected_answer_is_reported(tmp_path: Path, model: ModelStandIn) -> None:
    rejection = DeliveryError("The filter blocked it", DeliveryFailure.REJECTED)
    chat = FakeAdapter()
    chat.fail_next("send", rejection)
    async with running_engine(tmp_path, model, chat):
        notice = await chat.ask("repeat: hello")
        assert texts.ANSWER_REFUSED in notice
        assert "The filter blocked it" not in notice
        await chat.wait_for_states("failed")


@pytest.mark.parametrize("failure", [DeliveryFailure.FORBIDDEN, DeliveryFailure.GONE, DeliveryFailure.REJECTED])
async def test_answer_that_nobody_can_see_ends_the_turn(
    tmp_path: Path, model: ModelStandIn, failure: DeliveryFailure
) -> None:
    chat = FakeAdapter()
    chat.errors["send"] = DeliveryError("no", failure)
    async with running_engine(tmp_path, model, chat):
        await chat.say("repeat: hello")
        await chat.wait_for_states("failed")
        assert await chat.store.read(stored_roles) == ["user", "assistant"]
        assert chat.messages == {}
        (failed,) = (await chat.store.read(read_overview)).failed
        assert failed.reason == f"not delivered: {failure.name.lower()}"


async def test_reason_of_a_failure_stays_for_the_operator(tmp_path: Path, model: ModelStandIn) -> None:
    fail_models(model, dict.fromkeys((LLAMA, PHI, GEMMA), http_error(503)))
    async with running_engine(tmp_path, model, **FALLBACKS) as chat:  # type: ignore[arg-type]
        await chat.ask("repeat: hello")
        await chat.wait_for_states("failed")
        (failed,) = (await chat.store.read(read_overview)).failed
        assert failed.reason.startswith("The model service is unavailable.")


async def test_stalled_model_is_replaced(tmp_path: Path, model: ModelStandIn) -> None:
    fail_models(model, {LLAMA: stall()})
    async with running_engine(tmp_path, model, first_token_timeout=2, **FALLBACKS) as chat:  # type: ignore[arg-type]
        assert "Llama-3.3-70B-Instruct stopped responding. Answered by phi-4." in await chat.ask("repeat: hello")


# The platform's limits


def last_note(connection: Connection) -> str:
    return connection.scalars(select(turns.c.note).order_by(turns.c.id.desc())).first() or ""


async def test_long_wait_for_the_platform_is_explained(tmp_path: Path, model: ModelStandIn) -> None:
    chat = FakeAdapter(replace(TYPING, rate_limit=(RateWindow(1, 1000.0),)))
    async with running_engine(tmp_path, model, chat) as chat:
        await chat.ask("first")
        await chat.wait_for_states("done")
        assert texts.PLATFORM_WAIT not in await chat.store.read(last_note)
        await chat.say("second")
        await chat.wait_for_states("done", "delivering")
        assert texts.PLATFORM_WAIT in await chat.store.read(last_note)
        await chat.engine.close(0)


async def test_answer_survives_a_defect_in_the_search_for_files(
    tmp_path: Path, model: ModelStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_text: str) -> None:
        raise RecursionError

    monkeypatch.setattr(answer_files, "find_artefacts", fail)
    table = "\n".join(["| a | b |", "|---|---|", *["| 1 | 2 |"] * 10])
    model.answer = lambda _body: ScriptedAnswer(f"The table:\n\n{table}")
    async with running_engine(tmp_path, model, UploadingAdapter(), max_attempts=1) as chat:
        assert "The table:" in await chat.ask("a table")
        await chat.wait_for_states("done")
