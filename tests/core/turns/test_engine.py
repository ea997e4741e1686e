"""The engine on its bad days."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from sqlalchemy import Connection, func, insert, select, update

from bots.sandbox.model import ModelStandIn
from bots.sandbox.model.context_overflow import OVERFLOW_RESPONSES
from bots.sandbox.model.faults import http_error, respond_with, stall
from bots.sandbox.model.tokeniser import Tokeniser
from bots.terminal.dialect import TerminalDialect
from core.delivery.preview import Preview
from core.errors import (
    AccessDeniedError,
    DeliveryError,
    DeliveryFailure,
    ModelError,
    ModelFailure,
    StoreError,
)
from core.markdown.document import Document
from core.port import Capabilities, EventKind, Part, Place, PreviewMode, RateLimit
from core.store.answer_parts import save_part
from core.store.schema import database_now, reservations, token_usage, turns
from core.texts import answers as texts
from core.timings import Timings
from core.turns.engine import MAX_ATTEMPTS
from tests.core.turns.fake_adapter import UNLIMITED, FakeAdapter, running_engine


@pytest.fixture
async def model() -> AsyncIterator[ModelStandIn]:
    made = ModelStandIn(tokens_per_second=20, answer=lambda _body: "word " * 60)
    await made.start()
    yield made
    await made.close()


async def wait_until(condition: Callable[[], bool], seconds: float = 10) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.02)


def expire_leases(connection: Connection) -> None:
    connection.execute(update(turns).values(lease_expires_at=0))


def turn_states(connection: Connection) -> list[str]:
    return list(connection.scalars(select(turns.c.state).order_by(turns.c.id)))


async def test_unnoticed_lease_expiry_answers_once(tmp_path: Path, model: ModelStandIn) -> None:
    """A machine that slept, a clock that was set: the claim comes before the heartbeat."""
    async with running_engine(tmp_path, model, timings=Timings(heartbeat_interval=2.5)) as chat:
        asked = asyncio.create_task(chat.ask("hello"))
        await wait_until(lambda: len(model.requests) == 1)
        await chat.store.write(expire_leases)
        await asked
        await asyncio.sleep(1.5)
        assert len(model.requests) == 1
        assert len(chat.messages) == 1


def dead_request(connection: Connection) -> None:
    line = {"key_id": "a", "model": "m", "kind": "chat", "day": "2026-01-01"}
    connection.execute(insert(reservations).values(**line, expected_tokens=900, created_at=0))


def booked_usage(connection: Connection) -> tuple[int, int]:
    open_ = connection.scalar(select(func.count()).select_from(reservations))
    tokens = connection.scalar(select(func.coalesce(func.sum(token_usage.c.tokens), 0)))
    return open_ or 0, tokens or 0


async def test_usage_of_dead_process_is_booked(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model, timings=Timings(ledger_settle_interval=0.1)) as chat:
        await chat.store.write(dead_request)
        async with asyncio.timeout(5):
            while await chat.store.read(booked_usage) != (0, 900):
                await asyncio.sleep(0.05)


class ForbiddenAdapter(FakeAdapter):
    async def send(
        self,
        place: Place,
        part: Part,
        *,
        key: str,
        reply_to: str | None = None,
        interaction_token: str | None = None,
        ephemeral: bool = False,
    ) -> str:
        raise DeliveryError("The bot was shut out", DeliveryFailure.FORBIDDEN)


async def test_abandoned_turn_ends_when_notice_is_forbidden(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model, ForbiddenAdapter(), max_attempts=0) as chat:
        await chat.say("hello")
        async with asyncio.timeout(5):
            while await chat.store.read(turn_states) != ["failed"]:
                await asyncio.sleep(0.05)


class BrokenAdapter(FakeAdapter):
    async def send(
        self,
        place: Place,
        part: Part,
        *,
        key: str,
        reply_to: str | None = None,
        interaction_token: str | None = None,
        ephemeral: bool = False,
    ) -> str:
        raise ValueError("a defect of the adapter")


async def test_abandoned_turn_ends_when_notice_breaks(tmp_path: Path, model: ModelStandIn) -> None:
    """What broke each attempt must not hold up the conversation for ever."""
    async with running_engine(tmp_path, model, BrokenAdapter(), max_attempts=0) as chat:
        await chat.say("hello")
        async with asyncio.timeout(5):
            while await chat.store.read(turn_states) != ["failed"]:
                await asyncio.sleep(0.05)


async def test_abandoned_question_can_be_retried(tmp_path: Path, model: ModelStandIn) -> None:
    model.tokens_per_second = 1000
    async with running_engine(tmp_path, model, max_attempts=0) as chat:
        assert texts.INTERNAL_ERROR in await chat.ask("hello")
    async with running_engine(tmp_path, model, chat):
        await chat.press("retry:1", next(iter(chat.messages)))
        await wait_until(lambda: any(text.startswith("word") for text in chat.messages.values()))
        assert model.requests[0].body["messages"][-1]["content"] == "hello"


async def test_retry_button_repeats_its_own_question(tmp_path: Path, model: ModelStandIn) -> None:
    model.tokens_per_second = 2000
    model.answer = lambda body: f"to {body['messages'][-1]['content']} {len(body['messages'])}"
    async with running_engine(tmp_path, model) as chat:
        await chat.ask("one")
        await chat.ask("two")
        await chat.press("retry:1", "m")
        await wait_until(lambda: len(chat.messages) == 3)
        asked = [m["content"] for m in model.requests[-1].body["messages"][1:]]
        assert asked == ["one", "to one 2", "two", "to two 4", "one"], "both answers stay"
        await chat.press("retry:1", "m")
        await wait_until(lambda: len(chat.messages) == 4)
        asked = [m["content"] for m in model.requests[-1].body["messages"][1:]]
        assert asked == ["one", "to one 2", "two", "to two 4", "one"], "now it is the last"
        await chat.press("more:2", "m")
        await wait_until(lambda: len(chat.messages) == 5)
        assert list(chat.messages.values())[-1] == texts.ONLY_LAST_CONTINUES
        assert len(model.requests) == 4


async def test_retry_of_failed_retry_repeats_original_question(tmp_path: Path, model: ModelStandIn) -> None:
    """Nothing of it counts, but it is no reason to ask what was asked since."""
    model.tokens_per_second = 2000
    model.answer = lambda body: f"to {body['messages'][-1]['content']}"
    async with running_engine(tmp_path, model, fallbacks=[]) as chat:
        await chat.ask("one")
        model.fault_hook = lambda _body: http_error(400, "no")
        await chat.press("retry:1", "m")
        await wait_until(lambda: len(chat.messages) == 2)
        model.fault_hook = None
        await chat.ask("two")
        await chat.press("retry:2", "m")
        await wait_until(lambda: len(chat.messages) == 4)
        asked = [m["content"] for m in model.requests[-1].body["messages"][1:]]
        assert asked == ["one", "to one", "two", "to two", "one"]


class RateLimitedAdapter(FakeAdapter):
    """A group that may be written to once in a long while."""

    def capabilities(self, place: Place) -> Capabilities:
        pace = UNLIMITED if place.is_private else RateLimit(burst=1, rate=0.01)
        return Capabilities(pace, preview_mode=PreviewMode.OFF, deduplicates_sends=True)


async def test_rate_limited_group_delays_no_other_chat(tmp_path: Path, model: ModelStandIn) -> None:
    """All are written, and one group's limit lets them out one by one."""
    model.tokens_per_second = 2000
    model.answer = lambda body: f"to {body['messages'][-1]['content']}"
    async with running_engine(tmp_path, model, RateLimitedAdapter(), turns_at_once=2) as chat:
        for user in ("5", "6", "7"):
            await chat.say("hello", user=user, group="-1")
        await chat.say("alone", user="8")
        await wait_until(lambda: "to alone" in chat.messages.values())
        assert len(chat.messages) < 3, "the group's still wait"


def reopen(connection: Connection) -> None:
    tried = MAX_ATTEMPTS
    again = {"state": "delivering", "attempt": tried, "finished_at": None, "lease_expires_at": 0}
    connection.execute(update(turns).values(**again))


async def test_abandoned_delivery_keeps_answer(tmp_path: Path, model: ModelStandIn) -> None:
    model.tokens_per_second = 1000
    async with running_engine(tmp_path, model) as chat:
        answer = await chat.ask("hello")
        await chat.store.write(reopen)
        await wait_until(lambda: len(chat.messages) == 2)
        assert list(chat.messages.values()) == [answer, f"*{texts.DELIVERY_UNCERTAIN}*"]
        await chat.press("again:1", "m")
        await wait_until(lambda: list(chat.messages.values())[2:] == [answer])


def hand_over(connection: Connection) -> None:
    again = {"state": "delivering", "attempt": 1, "finished_at": None, "lease_expires_at": 0}
    connection.execute(update(turns).where(turns.c.id == 2).values(**again))


async def test_taken_over_answer_is_delivered(tmp_path: Path, model: ModelStandIn) -> None:
    """A /retry could not be asked once more after /new, but it was answered before."""
    model.tokens_per_second = 1000
    async with running_engine(tmp_path, model) as chat:
        await chat.ask("hello")
        await chat.ask("/retry")
        await chat.ask("/new")
        shown = dict(chat.messages)
        await chat.store.write(hand_over)
        async with asyncio.timeout(5):
            while await chat.store.read(turn_states) != ["done"] * 3:
                await asyncio.sleep(0.05)
        assert chat.messages == shown


class EditingAdapter(FakeAdapter):
    def capabilities(self, place: Place) -> Capabilities:
        return Capabilities(UNLIMITED, preview_mode=PreviewMode.EDIT, preview_interval=0.2)


class SlowEditAdapter(EditingAdapter):
    """Where an edit takes long."""

    def __init__(self) -> None:
        super().__init__()
        self.editing, self.go_on = asyncio.Event(), asyncio.Event()

    async def edit(self, place: Place, message_id: str, part: Part, *, interaction_token: str | None = None) -> None:
        self.editing.set()
        await self.go_on.wait()
        await super().edit(place, message_id, part, interaction_token=interaction_token)


def free_turns(connection: Connection) -> int:
    free = select(func.count()).select_from(turns).where(turns.c.lease_expires_at < database_now())
    return connection.scalar(free) or 0


async def test_turn_with_send_in_flight_is_not_released(tmp_path: Path, model: ModelStandIn) -> None:
    """It would arrive after what the next process has shown."""
    async with running_engine(tmp_path, model, chat := SlowEditAdapter()):
        await chat.say("hello")
        async with asyncio.timeout(10):
            await chat.editing.wait()
        assert chat.engine is not None
        await chat.engine.close(0)
        assert await chat.store.read(free_turns) == 0
        chat.go_on.set()


async def test_answer_is_stored_despite_failed_preview_note(
    tmp_path: Path, model: ModelStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running_engine(tmp_path, model, EditingAdapter()) as chat:
        put = chat.store.write
        failed: list[object] = []

        async def write(function: object, *args: object, **more: object) -> object:
            if function is save_part and not failed:
                failed.append(function)
                raise StoreError("The database cannot be used: just now")
            return await put(function, *args, **more)  # type: ignore[arg-type]

        monkeypatch.setattr(chat.store, "write", write)
        await chat.say("hello")
        async with asyncio.timeout(15):
            while await chat.store.read(turn_states) != ["done"]:
                await asyncio.sleep(0.05)
        assert failed
        assert len(model.requests) == 1
        assert [text.strip() for text in chat.messages.values()] == [("word " * 60).strip()]


class CountingDialect(TerminalDialect):
    """How much text was rendered, in characters."""

    rendered_chars = 0

    def render(self, document: Document) -> Part:
        part = super().render(document)
        self.rendered_chars += len(part.text)
        return part


async def test_answer_is_not_rendered_for_each_token(tmp_path: Path, model: ModelStandIn) -> None:
    """What it costs grows with how often it is shown, not with how finely it came."""
    model.tokens_per_second = 1000
    text = "Some words of a paragraph.\n\n" * 200
    model.answer = lambda _body: text
    chat = EditingAdapter()
    chat.dialect = dialect = CountingDialect()
    async with running_engine(tmp_path, model, chat):
        await chat.say("hello")
        async with asyncio.timeout(20):
            while await chat.store.read(turn_states) != ["done"]:
                await asyncio.sleep(0.05)
    tokens = model.requests[0].token_usage[1]
    assert tokens > 1000
    assert 0 < dialect.rendered_chars < len(text) * tokens / 50


class RateLimitingEditAdapter(FakeAdapter):
    """Asks to wait at the first change of a message, and complains if nobody does."""

    refused = 0.0
    early = False

    def _busy(self) -> None:
        now = asyncio.get_running_loop().time()
        self.early |= 0 < now - self.refused < 1 and self.refused > 0
        if not self.refused:
            self.refused = now
            raise DeliveryError("Wait", DeliveryFailure.RATE_LIMITED, retry_after=1.0)

    async def edit(self, place: Place, message_id: str, part: Part, *, interaction_token: str | None = None) -> None:
        self._busy()
        await super().edit(place, message_id, part)

    async def delete(self, place: Place, message_id: str, *, interaction_token: str | None = None) -> None:
        self._busy()
        await super().delete(place, message_id)


async def test_menu_update_waits_for_rate_limit(tmp_path: Path, model: ModelStandIn) -> None:
    chat = RateLimitingEditAdapter()
    async with running_engine(tmp_path, model, chat):
        menu = await chat.ask("/model")
        (message,) = chat.messages
        await chat.press("m:google/gemma-2-9b-it", message)
        await wait_until(lambda: chat.messages[message] != menu)
        assert not chat.early
        async with asyncio.timeout(5):
            while await chat.store.read(turn_states) != ["done", "done"]:
                await asyncio.sleep(0.05)


async def test_key_message_deletion_waits_for_rate_limit(tmp_path: Path, model: ModelStandIn) -> None:
    chat = RateLimitingEditAdapter()
    async with running_engine(tmp_path, model, chat, secret_key="a passphrase"):
        chat.messages["m1"] = "/key my-own-key"
        await chat.say("/key my-own-key", message="m1")
        await wait_until(lambda: "m1" not in chat.messages)
        assert not chat.early


async def test_commands_are_answered_when_all_slots_are_busy(tmp_path: Path, model: ModelStandIn) -> None:
    model.tokens_per_second = 2
    async with running_engine(tmp_path, model, turns_at_once=1) as chat:
        await chat.say("hello")
        await wait_until(lambda: len(model.requests) == 1)
        assert "31 models" in await chat.ask("/models", user="6")
        await chat.say("/stop", user="5")
        await wait_until(lambda: any("Stopped" in text for text in chat.messages.values()))
        assert not model.requests[0].is_completed


async def test_stop_button_reports_dropped_turns(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model) as chat:
        await chat.say("one")
        await wait_until(lambda: len(model.requests) == 1)
        await chat.say("two")
        await chat.press("stop:1", "m")
        await wait_until(lambda: len(chat.messages) == 2)
        assert any("dropped" in text for text in chat.messages.values())
        async with asyncio.timeout(5):
            while await chat.store.read(turn_states) != ["stopped", "stopped", "done"]:
                await asyncio.sleep(0.05)


class HangingEditAdapter(FakeAdapter):
    """The first preview stays on its way."""

    def __init__(self) -> None:
        super().__init__()
        self.started = asyncio.Event()
        self.cancelled = False

    def capabilities(self, place: Place) -> Capabilities:
        return Capabilities(UNLIMITED, preview_mode=PreviewMode.EDIT, preview_interval=0.05, deduplicates_sends=True)

    async def edit(self, place: Place, message_id: str, part: Part, *, interaction_token: str | None = None) -> None:
        self.started.set()
        try:
            await asyncio.sleep(3600)
        finally:
            self.cancelled = True


async def test_preview_in_flight_ends_with_turn(
    tmp_path: Path, model: ModelStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who is told to end while it waits for the last preview takes that along."""
    closed = asyncio.Event()
    close = Preview.close

    def closing(preview: Preview) -> None:
        close(preview)
        closed.set()

    monkeypatch.setattr(Preview, "close", closing)
    model.tokens_per_second = 60
    async with running_engine(tmp_path, model, HangingEditAdapter()) as chat:
        assert isinstance(chat, HangingEditAdapter)
        assert chat.engine is not None
        await chat.say("hello")
        await asyncio.wait_for(chat.started.wait(), 10)
        await asyncio.wait_for(closed.wait(), 10)
        assert not chat.cancelled
        await chat.engine.close(0)
        assert chat.cancelled


class DeletedMenuAdapter(FakeAdapter):
    """Where menus have been deleted."""

    async def edit(self, place: Place, message_id: str, part: Part, *, interaction_token: str | None = None) -> None:
        raise DeliveryError("Not there", DeliveryFailure.GONE)


async def test_choice_from_deleted_menu_is_sent_as_new_message(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model, DeletedMenuAdapter()) as chat:
        await chat.press("m:google/gemma-2-9b-it", "gone")
        await wait_until(lambda: any("Model: " in said for said in chat.messages.values()))


def stored_events(connection: Connection) -> str:
    return "".join(connection.scalars(select(turns.c.incoming_json)))


async def test_key_is_stored_only_as_key(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model, secret_key="a phrase that is long") as chat:
        model.add_account("a-key-of-my-own")
        chat.messages["m1"] = "/key a-key-of-my-own"
        await chat.say("/key a-key-of-my-own", message="m1")
        await wait_until(lambda: any("your own key" in said for said in chat.messages.values()))
        assert "gAAAA" not in await chat.store.read(stored_events), "not even encrypted"


async def test_overflow_without_figures_does_not_shrink_window(tmp_path: Path, model: ModelStandIn) -> None:
    too_long = "This model's maximum context length is exceeded. Please shorten your message."
    async with running_engine(tmp_path, model) as chat:
        model.tokens_per_second = 1000
        for _ in range(3):
            model.fail_next(http_error(400, too_long))
            assert "word" in await chat.ask("hello")
        assert len(model.requests) == 6
        context = await chat.ask("/context")
        assert "128,000" in context or "128k" in context


CUT_SHORT = b"""data: {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}

data: {"choices": [], "usage": {"prompt_tokens": 3990, "completion_tokens": 1}}

data: [DONE]

"""


@pytest.mark.parametrize("wording", ["silent", "vllm"])
async def test_smaller_window_is_learned_from_overflow(tmp_path: Path, model: ModelStandIn, wording: str) -> None:
    small = "nvidia/AceMath-7B-Instruct"
    model.tokens_per_second = 1_000_000
    model.overflow_response = OVERFLOW_RESPONSES[wording]
    async with running_engine(tmp_path, model, contexts={small: 32_000}) as chat:
        await chat.ask(f"/model {small}")
        for turn in range(6):
            assert "word" in await chat.ask(f"{turn}. " + "plain english words " * 250)
        truth = [Tokeniser(small).count_prompt(one.body["messages"]) for one in model.requests]
        too_long = len(model.rejected_requests) + sum(count > 4_000 for count in truth)
        assert too_long == 1, "once, then it is known"


async def test_overflow_without_message_is_refitted(tmp_path: Path, model: ModelStandIn) -> None:
    small = "nvidia/AceMath-7B-Instruct"
    model.tokens_per_second = 1_000_000
    async with running_engine(tmp_path, model) as chat:
        await chat.ask(f"/model {small}")
        model.fail_next(respond_with(200, CUT_SHORT, content_type="text/event-stream"))
        assert "word" in await chat.ask("hello")
        assert len(model.requests) == 2


async def test_stop_on_orphaned_message_updates_it(tmp_path: Path, model: ModelStandIn) -> None:
    model.tokens_per_second = 1000
    async with running_engine(tmp_path, model) as chat:
        answer = await chat.ask("hello")
        (message,) = chat.messages
        chat.messages["orphan"] = "word word"
        await chat.press("stop:1", "orphan")
        await wait_until(lambda: chat.messages["orphan"] == texts.PREVIEW_ORPHANED)
        await chat.press("stop:1", message)
        async with asyncio.timeout(5):
            while await chat.store.read(turn_states) != ["done"] * 3:
                await asyncio.sleep(0.05)
        assert chat.messages == {message: answer, "orphan": texts.PREVIEW_ORPHANED}


async def test_old_stop_button_does_not_stop_current_answer(tmp_path: Path, model: ModelStandIn) -> None:
    """A message left behind by a death still has its button; the draft of an answer that has
    just become final, too.
    """
    model.tokens_per_second = 1000
    async with running_engine(tmp_path, model) as chat:
        await chat.ask("hello")
        model.tokens_per_second = 60
        await chat.say("go on")
        await wait_until(lambda: len(model.requests) == 2)
        await chat.say("and then")
        await chat.press("stop:1", "orphan")
        await chat.press("65", "draft", kind=EventKind.STOP)
        async with asyncio.timeout(10):
            while await chat.store.read(turn_states) != ["done"] * 5:
                await asyncio.sleep(0.05)
        assert len(model.requests) == 3
        assert not any(texts.STOPPED in text for text in chat.messages.values())


async def test_rate_limited_interaction_is_always_answered(tmp_path: Path, model: ModelStandIn) -> None:
    """Else an interaction would look for a quarter of an hour as if it were thought about."""
    async with running_engine(tmp_path, model, messages_a_minute=1) as chat:
        for text in ("/help", "/help", "/help"):
            await chat.say(text)  # answered, told, not even kept
        with pytest.raises(AccessDeniedError, match=texts.TOO_FAST):
            await chat.say("/help", interaction_token="interaction")


async def test_stop_before_first_token_is_no_model_success(tmp_path: Path, model: ModelStandIn) -> None:
    """Who stops a model that hangs must not make the others wait for it again."""
    async with running_engine(tmp_path, model) as chat:
        assert chat.engine is not None
        breaker = chat.engine._services.breaker
        which = chat.bot_account, chat.engine._settings.default_model
        for _ in range(2):
            breaker.record_failure(*which, ModelError("down", ModelFailure.UNAVAILABLE, status=503))
        model.fail_next(stall())
        await chat.say("hello")
        await wait_until(lambda: len(model.requests) == 1)
        assert "Stopped" in await chat.ask("/stop")
        async with asyncio.timeout(5):
            while await chat.store.read(turn_states) != ["stopped", "done"]:
                await asyncio.sleep(0.05)
        breaker.record_failure(*which, ModelError("down", ModelFailure.UNAVAILABLE, status=503))
        assert breaker.remaining_seconds(*which) > 0
