"""The engine when something fails: leases, deliveries, previews, the model."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
import structlog
from sqlalchemy import Connection, func, insert, select, update

from bots.sandbox.model import ModelStandIn
from bots.sandbox.model.context_overflow import OVERFLOW_RESPONSES
from bots.sandbox.model.faults import http_error, respond_with, stall
from bots.sandbox.model.tokeniser import Tokeniser
from bots.terminal.dialect import TerminalDialect
from core.conversation.vault import CIPHERTEXT_PREFIX
from core.delivery.preview import Preview
from core.errors import AccessDeniedError, DeliveryError, DeliveryFailure, ModelError, ModelFailure
from core.markdown.document import Document
from core.port import Batch, Capabilities, EventKind, Incoming, Part, Place, PreviewMode, RateWindow, Sender
from core.store.answer_parts import save_part
from core.store.answers import get_question
from core.store.claims import check_leases
from core.store.schema import database_now, reservations, token_usage, turns
from core.texts import answers as texts
from core.timings import Timings
from core.turns.engine import MAX_ATTEMPTS, MAX_CHAT_SHARE, MIN_TURNS_PER_CHAT, Engine
from tests.clock import FakeClock
from tests.core.turns.fake_adapter import EDITING, FakeAdapter, running_engine
from tests.postgresql import postgresql_url
from tests.waiting import wait_until

pytestmark = pytest.mark.slow

SLOW = 20
FAST = 2000
SMALL_MODEL = "nvidia/AceMath-7B-Instruct"


@pytest.fixture
def model(model: ModelStandIn) -> ModelStandIn:
    model.tokens_per_second = SLOW
    model.answer = lambda _body: "word " * 60
    return model


@pytest.fixture
def fast_model(model: ModelStandIn) -> ModelStandIn:
    model.tokens_per_second = FAST
    return model


def echo_prompt(body: dict[str, object]) -> str:
    return f"to {prompts(body)[-1]}"


def prompts(body: dict[str, object]) -> list[str]:
    """The texts of a request's messages but the instructions."""
    messages = body["messages"]
    assert isinstance(messages, list)
    return [message["content"] for message in messages[1:]]


# Leases and attempts


async def test_process_alone_with_its_database_seldom_searches_while_no_turn_is_open(
    tmp_path: Path, model: ModelStandIn
) -> None:
    clock = FakeClock()
    timings = Timings(clock=clock, heartbeat_interval=60)
    async with running_engine(tmp_path, model, timings=timings, is_exclusive=True) as adapter:
        assert adapter.store is not None
        await adapter.store.wait_for_writes(Engine._claim)
        await wait_until(lambda: min(clock.pending()) == timings.idle_claim_interval)
        await asyncio.gather(adapter.store.wait_for_writes(Engine._claim), adapter.ask("hello"))


SELDOM = Timings(claim_interval=600, idle_claim_interval=600, heartbeat_interval=0.05)
"""A turn that starts was not found by searching again and again."""


async def test_process_alone_with_its_database_claims_once_for_a_question(
    tmp_path: Path, fast_model: ModelStandIn
) -> None:
    fast_model.answer = echo_prompt
    async with running_engine(tmp_path, fast_model, timings=SELDOM, is_exclusive=True) as adapter:
        await adapter.ask("zero")
        await adapter.wait_for_states("done")
        claims = adapter.store.writes[Engine._claim.__name__]
        for number in range(1, 4):
            await adapter.ask(f"{number}")
            await adapter.wait_for_states(*["done"] * (number + 1))
        assert adapter.store.writes[Engine._claim.__name__] == claims + 3


@pytest.mark.parametrize("is_exclusive", [True, False])
async def test_questions_that_wait_start_when_others_end(
    tmp_path: Path, fast_model: ModelStandIn, is_exclusive: bool
) -> None:
    """Behind a question of the same conversation, and behind those of others."""
    fast_model.answer = echo_prompt
    async with running_engine(
        tmp_path, fast_model, timings=SELDOM, is_exclusive=is_exclusive, turns_at_once=1
    ) as adapter:
        for number in range(2):
            for user in ("5", "6", "7"):
                await adapter.say(f"{number} of {user}", user=user, message=f"{number}")
        await adapter.wait_for_states(*["done"] * 6)


@pytest.mark.parametrize("is_exclusive", [True, False])
async def test_turn_that_fails_is_claimed_again_when_its_lease_expires(
    tmp_path: Path, fast_model: ModelStandIn, is_exclusive: bool
) -> None:
    timings = Timings(claim_interval=0.05, idle_claim_interval=600, lease_duration=0.5)
    async with running_engine(tmp_path, fast_model, timings=timings, is_exclusive=is_exclusive) as adapter:
        adapter.fail_next("send", ValueError("a defect of the adapter"))
        await adapter.say("hello")
        await adapter.wait_for_states("done")


def request_stop(connection: Connection) -> None:
    connection.execute(update(turns).values(cancel_requested=True))


async def test_process_alone_with_its_database_reads_its_leases_and_seldom_renews_them(
    tmp_path: Path, model: ModelStandIn
) -> None:
    clock = FakeClock()
    timings = Timings(clock=clock, heartbeat_interval=11 / 32, lease_duration=6.0)  # no other timer has this interval
    model.fault_hook = lambda _body: stall()
    async with running_engine(tmp_path, model, timings=timings, is_exclusive=True) as adapter:
        await adapter.say("hello")
        await model.wait_for(lambda: len(model.requests) == 1)
        for _ in range(27):
            await wait_until(lambda: timings.heartbeat_interval in clock.pending())
            await clock.advance(timings.heartbeat_interval)
        await wait_until(lambda: timings.heartbeat_interval in clock.pending())
        assert adapter.store.writes[Engine._heartbeat.__name__] == 3, "every 3 seconds"
        assert adapter.store.reads[check_leases.__name__] == 24
        await adapter.engine.close(0)


@pytest.mark.parametrize("is_exclusive", [True, False])
async def test_heartbeat_notices_a_stop_and_an_edit(tmp_path: Path, model: ModelStandIn, is_exclusive: bool) -> None:
    """On a database of this process alone, between two renewals of its leases."""
    timings = replace(SELDOM, lease_duration=600)
    async with running_engine(tmp_path, model, timings=timings, is_exclusive=is_exclusive) as adapter:
        await adapter.say("hello", message="9")
        await model.wait_for(lambda: len(model.requests) == 1)
        model.tokens_per_second = FAST
        place, sender = Place("fake", "1", "5", is_private=True), Sender("fake", "5", "Ann")
        await adapter.inbox(Incoming(EventKind.EDIT, "edit", place, sender, "another question", message_id="9"))
        await model.wait_for(lambda: len(model.requests) == 2)
        assert prompts(model.requests[1].body) == ["another question"]
        await adapter.wait_for_states("done", "merged")
        assert len(adapter.messages) == 1
        model.tokens_per_second = SLOW
        await adapter.say("a long one")
        await model.wait_for(lambda: len(model.requests) == 3)
        await adapter.store.write(request_stop)
        await adapter.wait_for_states("done", "merged", "stopped")
        assert (adapter.store.writes[Engine._heartbeat.__name__] == 0) == is_exclusive


def expire_leases(connection: Connection) -> None:
    connection.execute(update(turns).values(lease_expires_at=0))


def batch_waits(connection: Connection) -> list[float]:
    return list(connection.scalars(select(turns.c.not_before - turns.c.created_at)))


async def test_batches_wait_as_long_as_timings_say(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model, timings=Timings(batch_window=60)) as adapter:
        assert adapter.inbox is not None
        place = Place(adapter.platform, adapter.account, "5", is_private=True)
        sender = Sender(adapter.platform, "5", "Ann")
        await adapter.inbox(Incoming(EventKind.PROMPT, "e1", place, sender, "the first half", batch=Batch()))
        assert await adapter.store.read(batch_waits) == [pytest.approx(60, abs=1)]


async def test_start_is_logged_on_a_shared_database_too(tmp_path: Path, model: ModelStandIn) -> None:
    with structlog.testing.capture_logs() as logs:
        async with running_engine(tmp_path, model, database_url=postgresql_url()) as adapter:
            await adapter.ask("/help")
    assert [line for line in logs if line["event"] == "app.started"]


@pytest.mark.slow
async def test_unnoticed_lease_expiry_answers_once(tmp_path: Path, model: ModelStandIn) -> None:
    """After a suspended machine wakes up, a claim may come before the heartbeat."""
    async with running_engine(tmp_path, model, timings=Timings(heartbeat_interval=4)) as adapter:
        asking = asyncio.create_task(adapter.ask("hello"))
        await model.wait_for(lambda: len(model.requests) == 1)
        await adapter.store.write(expire_leases)
        await asking
        await adapter.store.wait_for_writes(Engine._claim, 2)
        assert len(model.requests) == 1
        assert len(adapter.messages) == 1


def add_reservation_of_dead_process(connection: Connection) -> None:
    key = {"key_id": "a", "model": "m", "kind": "chat", "day": "2026-01-01"}
    connection.execute(insert(reservations).values(**key, expected_tokens=900, created_at=0))


def open_and_used_tokens(connection: Connection) -> tuple[int, int]:
    open_tokens = connection.scalar(select(func.coalesce(func.sum(reservations.c.expected_tokens), 0)))
    used_tokens = connection.scalar(select(func.coalesce(func.sum(token_usage.c.tokens), 0)))
    return open_tokens or 0, used_tokens or 0


async def test_usage_of_dead_process_is_booked(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model, timings=Timings(ledger_settle_interval=0.1)) as adapter:
        await adapter.store.write(add_reservation_of_dead_process)

        async def is_settled() -> bool:
            return await adapter.store.read(open_and_used_tokens) == (0, 900)

        await wait_until(is_settled)


@pytest.mark.parametrize(
    "error",
    [DeliveryError("The person blocked the bot", DeliveryFailure.FORBIDDEN), ValueError("a defect of the adapter")],
    ids=["forbidden", "defect"],
)
async def test_abandoned_turn_ends_when_notice_fails(tmp_path: Path, model: ModelStandIn, error: Exception) -> None:
    """An open turn would block its conversation."""
    async with running_engine(tmp_path, model, max_attempts=0) as adapter:
        adapter.errors["send"] = error
        await adapter.say("hello")
        await adapter.wait_for_states("failed")


async def test_notice_about_an_abandoned_question_replies_to_it(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model, max_attempts=0) as adapter:
        await adapter.say("hello", message="9")
        await adapter.wait_for_text(texts.INTERNAL_ERROR)
        assert [call.reply_to for call in adapter.calls if call.method == "send"] == ["9"]


async def test_abandoned_question_can_be_retried(tmp_path: Path, fast_model: ModelStandIn) -> None:
    async with running_engine(tmp_path, fast_model, max_attempts=0) as adapter:
        assert texts.INTERNAL_ERROR in await adapter.ask("hello")
    async with running_engine(tmp_path, fast_model, adapter):
        await adapter.press("retry:1", next(iter(adapter.messages)))
        await adapter.wait_for_text("word")
    assert prompts(fast_model.requests[0].body) == ["hello"]


async def test_abandoned_question_of_a_new_conversation_can_be_retried(
    tmp_path: Path, fast_model: ModelStandIn
) -> None:
    async with running_engine(tmp_path, fast_model) as adapter:
        await adapter.ask("before")
    async with running_engine(tmp_path, fast_model, adapter, max_attempts=0):
        assert texts.INTERNAL_ERROR in await adapter.ask("/new hello")
    count = len(fast_model.requests)
    async with running_engine(tmp_path, fast_model, adapter):
        await adapter.say("/retry")
        await fast_model.wait_for(lambda: len(fast_model.requests) > count)
    assert prompts(fast_model.requests[-1].body) == ["hello"]


async def test_abandoned_refusal_ends_without_a_question_to_retry(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model, max_attempts=0, messages_a_minute=1) as adapter:
        await adapter.say("/help")
        await adapter.say("hello")
        await adapter.wait_for_states("failed", "failed")
        assert await adapter.store.read(get_question, 2) is None


# Retry and continue


async def test_retry_button_repeats_its_own_question(tmp_path: Path, fast_model: ModelStandIn) -> None:
    fast_model.answer = echo_prompt
    async with running_engine(tmp_path, fast_model) as adapter:
        await adapter.ask("one")
        await adapter.ask("two")
        await adapter.press("retry:1", "m")
        await adapter.wait_until(lambda: len(adapter.messages) == 3)
        both_answers_and_question = ["one", "to one", "two", "to two", "one"]
        assert prompts(fast_model.requests[-1].body) == both_answers_and_question
        await adapter.press("retry:1", "m")
        await adapter.wait_until(lambda: len(adapter.messages) == 4)
        assert prompts(fast_model.requests[-1].body) == both_answers_and_question, "now it is the last question"
        await adapter.press("more:2", "m")
        await adapter.wait_until(lambda: len(adapter.messages) == 5)
        assert adapter.texts[-1] == texts.ONLY_LAST_CONTINUES
        assert len(fast_model.requests) == 4


async def test_retry_of_failed_retry_repeats_original_question(tmp_path: Path, fast_model: ModelStandIn) -> None:
    fast_model.answer = echo_prompt
    async with running_engine(tmp_path, fast_model, fallbacks=[]) as adapter:
        await adapter.ask("one")
        fast_model.fault_hook = lambda _body: http_error(400, "no")
        await adapter.press("retry:1", "m")
        await adapter.wait_until(lambda: len(adapter.messages) == 2)
        fast_model.fault_hook = None
        await adapter.ask("two")
        await adapter.press("retry:2", "m")
        await adapter.wait_until(lambda: len(adapter.messages) == 4)
        assert prompts(fast_model.requests[-1].body) == ["one", "to one", "two", "to two", "one"]


# Delivery


@pytest.mark.slow
async def test_rate_limited_group_delays_no_other_chat(tmp_path: Path, fast_model: ModelStandIn) -> None:
    """The group's answers are written, and its rate limit lets them out one by one."""
    fast_model.answer = echo_prompt
    adapter = FakeAdapter()
    rate_limit = (RateWindow(1, 100.0),)
    adapter.group_capabilities = Capabilities(rate_limit, preview_mode=PreviewMode.OFF, deduplicates_sends=True)
    async with running_engine(tmp_path, fast_model, adapter, turns_at_once=2):
        for user in ("5", "6", "7"):
            await adapter.say("hello", user=user, group="-1")
        await adapter.say("alone", user="8")
        await adapter.wait_for_text("to alone")
        assert len(adapter.messages) < 3, "answers of the group wait"


def reopen_delivery(connection: Connection, turn_id: int, failed_attempts: int) -> None:
    """The process that delivered the answer died before it finished the turn."""
    reopened = {"failed_attempts": failed_attempts, "finished_at": None, "lease_expires_at": 0}
    connection.execute(update(turns).where(turns.c.id == turn_id).values(state="delivering", **reopened))


@pytest.mark.slow
async def test_abandoned_delivery_keeps_answer(tmp_path: Path, fast_model: ModelStandIn) -> None:
    async with running_engine(tmp_path, fast_model) as adapter:
        answer = await adapter.ask("hello")
        await adapter.wait_for_states("done")
        await adapter.store.write(reopen_delivery, 1, MAX_ATTEMPTS)
        await adapter.wait_until(lambda: len(adapter.messages) == 2)
        assert list(adapter.messages.values()) == [answer, f"*{texts.DELIVERY_UNCERTAIN}*"]
        await adapter.press("again:1", "m")
        await adapter.wait_until(lambda: list(adapter.messages.values())[2:] == [answer])


async def test_taken_over_answer_is_delivered(tmp_path: Path, fast_model: ModelStandIn) -> None:
    """After `/new` the question of a `/retry` cannot be asked again, but its answer is stored."""
    async with running_engine(tmp_path, fast_model) as adapter:
        await adapter.ask("hello")
        await adapter.ask("/retry")
        await adapter.ask("/new")
        await adapter.wait_for_states("done", "done", "done")
        messages = dict(adapter.messages)
        await adapter.store.write(reopen_delivery, 2, 1)
        await adapter.wait_for_states("done", "done", "done")
        assert adapter.messages == messages


async def test_taken_over_command_is_answered_once(tmp_path: Path, fast_model: ModelStandIn) -> None:
    """The process that answered the command died before it finished the turn."""
    async with running_engine(tmp_path, fast_model) as adapter:
        await adapter.ask("/start")
        await adapter.wait_for_states("done")
        await adapter.store.write(reopen_command, 1)
        await adapter.wait_for_states("done")
        assert await adapter.store.read(attempts) == [2]
        assert len(adapter.messages) == 1


def reopen_command(connection: Connection, turn_id: int) -> None:
    reopened = {"state": "running", "attempt": 1, "finished_at": None, "lease_expires_at": 0}
    connection.execute(update(turns).where(turns.c.id == turn_id).values(**reopened))


def attempts(connection: Connection) -> list[int]:
    return list(connection.scalars(select(turns.c.attempt)))


def free_turns(connection: Connection) -> int:
    is_free = turns.c.lease_expires_at < database_now()
    return connection.scalar(select(func.count()).select_from(turns).where(is_free)) or 0


async def test_turn_with_send_in_flight_is_not_released(tmp_path: Path, model: ModelStandIn) -> None:
    """The request would arrive after what the next process has shown."""
    adapter = FakeAdapter(EDITING)
    async with running_engine(tmp_path, model, adapter, timings=Timings(turn_cancel_timeout=0.2)):
        adapter.close_gate("edit")
        await adapter.say("hello")
        await adapter.started["edit"].wait()
        await adapter.engine.close(0)
        assert await adapter.store.read(free_turns) == 0
        adapter.gates["edit"].set()


@pytest.mark.parametrize("method", ["edit", "delete"])
async def test_control_waits_for_rate_limit(tmp_path: Path, model: ModelStandIn, method: str) -> None:
    """A changed menu, or a deleted message with an API key."""
    adapter = FakeAdapter()
    async with running_engine(tmp_path, model, adapter, secret_key="a passphrase"):
        adapter.fail_next(method, DeliveryError("Wait", DeliveryFailure.RATE_LIMITED, retry_after=1.0))
        if method == "edit":
            menu = await adapter.ask("/model")
            (message_id,) = adapter.messages
            await adapter.press("m:google/gemma-2-9b-it", message_id)
            await adapter.wait_until(lambda: adapter.messages[message_id] != menu)
        else:
            adapter.messages["m1"] = "/key my-own-key"
            await adapter.say("/key my-own-key", message="m1")
            await adapter.wait_until(lambda: "m1" not in adapter.messages)
        refused_at, repeated_at = (call.started_at for call in adapter.calls if call.method == method)
        assert repeated_at - refused_at >= 1.0


async def test_choice_from_deleted_menu_is_sent_as_new_message(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model) as adapter:
        adapter.errors["edit"] = DeliveryError("The message does not exist", DeliveryFailure.GONE)
        await adapter.press("m:google/gemma-2-9b-it", "gone")
        await adapter.wait_for_text("Model: ")


# Previews


@pytest.mark.slow
async def test_answer_is_stored_although_preview_is_not(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model, FakeAdapter(EDITING)) as adapter:
        adapter.store.start_outage(save_part)
        await adapter.say("hello")
        await adapter.store.wait_for_failures(save_part)
        adapter.store.end_outage()
        await adapter.wait_for_states("done")
        assert len(model.requests) == 1
        assert adapter.texts == [("word " * 60).strip()]


class CountingDialect(TerminalDialect):
    rendered_chars = 0

    def render(self, document: Document) -> Part:
        part = super().render(document)
        self.rendered_chars += len(part.text)
        return part


async def test_answer_is_not_rendered_for_each_token(tmp_path: Path, fast_model: ModelStandIn) -> None:
    """The work grows with the number of previews, not of tokens."""
    text = "Some words of a paragraph.\n\n" * 200
    fast_model.answer = lambda _body: text
    adapter = FakeAdapter(EDITING)
    adapter.dialect = dialect = CountingDialect()
    async with running_engine(tmp_path, fast_model, adapter):
        await adapter.say("hello")
        await adapter.wait_for_states("done")
    tokens = fast_model.requests[0].token_usage[1]
    assert tokens > 1000
    assert 0 < dialect.rendered_chars < len(text) * tokens / 50


@pytest.mark.slow
async def test_preview_in_flight_ends_with_turn(
    tmp_path: Path, model: ModelStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A turn that is cancelled while it waits for the last preview cancels the preview."""
    is_finishing = asyncio.Event()
    finish = Preview._finish

    async def notify_and_finish(preview: Preview, task: "asyncio.Task[None]") -> BaseException | None:
        is_finishing.set()
        return await finish(preview, task)

    monkeypatch.setattr(Preview, "_finish", notify_and_finish)
    model.tokens_per_second = 60
    async with running_engine(tmp_path, model, FakeAdapter(EDITING)) as adapter:
        adapter.close_gate("edit")
        await adapter.say("hello")
        await adapter.started["edit"].wait()
        await is_finishing.wait()
        assert not adapter.cancelled["edit"].is_set()
        await adapter.engine.close(0)
        assert adapter.cancelled["edit"].is_set()


# Stopping


async def test_commands_are_answered_when_all_slots_are_busy(tmp_path: Path, model: ModelStandIn) -> None:
    model.tokens_per_second = 2
    async with running_engine(tmp_path, model, turns_at_once=1) as adapter:
        await adapter.say("hello")
        await model.wait_for(lambda: len(model.requests) == 1)
        assert "31 models" in await adapter.ask("/models", user="6")
        await adapter.say("/stop", user="5")
        await adapter.wait_for_text("Stopped")
        assert not model.requests[0].is_completed


async def test_commands_are_answered_when_the_slots_of_the_chat_are_busy(tmp_path: Path, model: ModelStandIn) -> None:
    model.tokens_per_second = 2
    async with running_engine(tmp_path, model) as adapter:
        for person in range(max(MIN_TURNS_PER_CHAT, int(200 * MAX_CHAT_SHARE))):
            await adapter.say("hello", user=f"1{person}", group="-7")
        await model.wait_for(lambda: len(model.requests) == 100)
        assert "31 models" in await adapter.ask("/models", user="6", group="-7")
        await adapter.engine.close(0)


async def test_stop_button_reports_dropped_turns(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model) as adapter:
        await adapter.say("one")
        await model.wait_for(lambda: len(model.requests) == 1)
        await adapter.say("two")
        await adapter.press("stop:1", "m")
        await adapter.wait_until(lambda: len(adapter.messages) == 2)
        assert any("dropped" in text for text in adapter.texts)
        await adapter.wait_for_states("stopped", "stopped", "done")


async def test_stop_on_orphaned_message_updates_it(tmp_path: Path, fast_model: ModelStandIn) -> None:
    async with running_engine(tmp_path, fast_model) as adapter:
        answer = await adapter.ask("hello")
        (message_id,) = adapter.messages
        await adapter.wait_for_states("done")
        adapter.messages["orphan"] = "word word"
        await adapter.press("stop:1", "orphan")
        await adapter.wait_until(lambda: adapter.messages["orphan"] == texts.PREVIEW_ORPHANED)
        await adapter.press("stop:1", message_id)
        await adapter.wait_for_states("done", "done", "done")
        assert adapter.messages == {message_id: answer, "orphan": texts.PREVIEW_ORPHANED}


@pytest.mark.slow
async def test_old_stop_button_does_not_stop_current_answer(tmp_path: Path, fast_model: ModelStandIn) -> None:
    """A process that died left a message with its button; the draft of a final answer still has a Stop control."""
    async with running_engine(tmp_path, fast_model) as adapter:
        await adapter.ask("hello")
        fast_model.tokens_per_second = 60
        await adapter.say("go on")
        await fast_model.wait_for(lambda: len(fast_model.requests) == 2)
        await adapter.say("and then")
        await adapter.press("stop:1", "orphan")
        await adapter.press("65", "draft", kind=EventKind.STOP)
        await adapter.wait_for_states("done", "done", "done", "done", "done")
        assert len(fast_model.requests) == 3
        assert not any(texts.STOPPED in text for text in adapter.texts)


async def test_stop_before_first_token_is_no_model_success(tmp_path: Path, model: ModelStandIn) -> None:
    """Others must not wait for a model that hangs because one person stopped it."""
    async with running_engine(tmp_path, model) as adapter:
        pauses = adapter.engine._services.pauses
        target = adapter.key_id, adapter.engine._services.settings.default_model
        for _ in range(2):
            await pauses.record_failure(*target, ModelError("down", ModelFailure.UNAVAILABLE, status=503))
        model.fail_next(stall())
        await adapter.say("hello")
        await model.wait_for(lambda: len(model.requests) == 1)
        assert "Stopped" in await adapter.ask("/stop")
        await adapter.wait_for_states("stopped", "done")
        await pauses.record_failure(*target, ModelError("down", ModelFailure.UNAVAILABLE, status=503))
        with pytest.raises(ModelError, match="Paused"):
            await pauses.check(*target)


# Keys and access


def stored_events(connection: Connection) -> str:
    return "".join(connection.scalars(select(turns.c.incoming_json)))


async def test_key_is_stored_only_as_key(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model, secret_key="a phrase that is long") as adapter:
        model.add_account("a-key-of-my-own")
        adapter.messages["m1"] = "/key a-key-of-my-own"
        await adapter.say("/key a-key-of-my-own", message="m1")
        await adapter.wait_for_text("your own key")
        assert CIPHERTEXT_PREFIX not in await adapter.store.read(stored_events), "not even encrypted"


async def test_rate_limited_interaction_is_always_answered(tmp_path: Path, model: ModelStandIn) -> None:
    """An interaction without a response looks for fifteen minutes as if the bot were thinking."""
    async with running_engine(tmp_path, model, messages_a_minute=1) as adapter:
        await adapter.say("/help")  # answered
        await adapter.say("/help")  # refused
        await adapter.say("/help")  # ignored
        with pytest.raises(AccessDeniedError, match=texts.TOO_FAST):
            await adapter.say("/help", interaction_token="interaction")


# Context windows


async def test_overflow_without_figures_does_not_shrink_window(tmp_path: Path, fast_model: ModelStandIn) -> None:
    too_long = "This model's maximum context length is exceeded. Please shorten your message."
    async with running_engine(tmp_path, fast_model) as adapter:
        for _ in range(3):
            fast_model.fail_next(http_error(400, too_long))
            assert "word" in await adapter.ask("hello")
        assert len(fast_model.requests) == 6
        context = await adapter.ask("/context")
        assert "128,000" in context or "128k" in context


CUT_PROMPT_RESPONSE = b"""data: {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}

data: {"choices": [], "usage": {"prompt_tokens": 3990, "completion_tokens": 1}}

data: [DONE]

"""


@pytest.mark.parametrize(("wording", "overflow_count"), [("silent", 2), ("vllm", 1)])
async def test_smaller_window_is_learned_from_overflow(
    tmp_path: Path, fast_model: ModelStandIn, wording: str, overflow_count: int
) -> None:
    """A limit that the service names counts at once; a count of tokens has to be confirmed by another."""
    fast_model.overflow_response = OVERFLOW_RESPONSES[wording]
    async with running_engine(tmp_path, fast_model, contexts={SMALL_MODEL: 32_000}) as adapter:
        await adapter.ask(f"/model {SMALL_MODEL}")
        for turn in range(6):
            assert "word" in await adapter.ask(f"{turn}. " + "plain english words " * 250)
        tokeniser = Tokeniser(SMALL_MODEL)
        prompt_tokens = [tokeniser.count_prompt(request.body["messages"]) for request in fast_model.requests]
        assert len(fast_model.rejected_requests) + sum(tokens > 4_000 for tokens in prompt_tokens) == overflow_count


async def test_overflow_without_message_is_refitted(tmp_path: Path, fast_model: ModelStandIn) -> None:
    async with running_engine(tmp_path, fast_model) as adapter:
        await adapter.ask(f"/model {SMALL_MODEL}")
        fast_model.fail_next(respond_with(200, CUT_PROMPT_RESPONSE, content_type="text/event-stream"))
        assert "word" in await adapter.ask("hello")
        assert len(fast_model.requests) == 2
