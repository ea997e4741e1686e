"""The engine on its bad days."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from sqlalchemy import Connection, func, insert, select, update

from bots.sandbox.model import ModelStandIn
from bots.sandbox.model.faults import reply, silent, status
from bots.sandbox.model.overflow import OVERFLOWS
from bots.sandbox.model.tokens import Tokeniser
from bots.terminal.dialect import TerminalDialect
from core.delivery.preview import Preview
from core.errors import DeliveryError, DeniedError, Failure, Fault, ModelError, StoreError
from core.markdown.document import Document
from core.port import Capabilities, Kind, Pace, Part, Place
from core.store.schema import clock, requests, spending, turns
from core.store.turns import mark_part
from core.turns import engine, words
from tests.core.turns.quick import PACE, Quick, quick


@pytest.fixture
async def model() -> AsyncIterator[ModelStandIn]:
    made = ModelStandIn(tokens_per_second=20, answer=lambda _body: "word " * 60)
    await made.start()
    yield made
    await made.close()


async def until(true: Callable[[], bool], seconds: float = 10) -> None:
    async with asyncio.timeout(seconds):
        while not true():
            await asyncio.sleep(0.02)


def lapse(connection: Connection) -> None:
    connection.execute(update(turns).values(lease_until=0))


def states(connection: Connection) -> list[str]:
    return list(connection.scalars(select(turns.c.state).order_by(turns.c.id)))


async def test_a_lease_that_ran_out_unnoticed_does_not_answer_twice_in_one_process(
    tmp_path: Path, model: ModelStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine that slept, a clock that was set: the claim comes before the heartbeat."""
    monkeypatch.setattr(engine, "BEAT", 2.5)
    async with quick(tmp_path, model) as chat:
        asked = asyncio.create_task(chat.ask("hello"))
        await until(lambda: len(model.requests) == 1)
        await chat.store.write(lapse)
        await asked
        await asyncio.sleep(1.5)
        assert len(model.requests) == 1
        assert len(chat.shown) == 1


def dead_request(connection: Connection) -> None:
    line = {"account": "a", "model": "m", "kind": "chat", "day": "2026-01-01"}
    connection.execute(insert(requests).values(**line, tokens=900, created=0))


def booked(connection: Connection) -> tuple[int, int]:
    open_ = connection.scalar(select(func.count()).select_from(requests))
    tokens = connection.scalar(select(func.coalesce(func.sum(spending.c.tokens), 0)))
    return open_ or 0, tokens or 0


async def test_what_a_dead_process_had_asked_is_booked(
    tmp_path: Path, model: ModelStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "SETTLE", 0.1, raising=False)
    async with quick(tmp_path, model) as chat:
        await chat.store.write(dead_request)
        async with asyncio.timeout(5):
            while await chat.store.read(booked) != (0, 900):
                await asyncio.sleep(0.05)


class Shut(Quick):
    async def send(
        self, place: Place, part: Part, *, key: str, reply_to: str | None = None,
        ticket: str | None = None, quiet: bool = False,
    ) -> str:  # fmt: skip
        raise DeliveryError("The bot was shut out", Fault.FORBIDDEN)


async def test_a_question_given_up_ends_even_where_nobody_can_be_told(
    tmp_path: Path, model: ModelStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "MOST_ATTEMPTS", 0)
    async with quick(tmp_path, model, Shut()) as chat:
        await chat.say("hello")
        async with asyncio.timeout(5):
            while await chat.store.read(states) != ["failed"]:
                await asyncio.sleep(0.05)


class Broken(Quick):
    async def send(
        self, place: Place, part: Part, *, key: str, reply_to: str | None = None,
        ticket: str | None = None, quiet: bool = False,
    ) -> str:  # fmt: skip
        raise ValueError("a defect of the adapter")


async def test_a_question_given_up_ends_though_giving_up_breaks_too(
    tmp_path: Path, model: ModelStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What broke each attempt must not hold up the conversation for ever."""
    monkeypatch.setattr(engine, "MOST_ATTEMPTS", 0)
    async with quick(tmp_path, model, Broken()) as chat:
        await chat.say("hello")
        async with asyncio.timeout(5):
            while await chat.store.read(states) != ["failed"]:
                await asyncio.sleep(0.05)


async def test_a_question_given_up_can_be_asked_again(
    tmp_path: Path, model: ModelStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    model.tokens_per_second = 1000
    async with quick(tmp_path, model) as chat:
        monkeypatch.setattr(engine, "MOST_ATTEMPTS", 0)
        assert words.INTERNAL in await chat.ask("hello")
        monkeypatch.setattr(engine, "MOST_ATTEMPTS", 10)
        await chat.press("retry:1", next(iter(chat.shown)))
        await until(lambda: any(text.startswith("word") for text in chat.shown.values()))
        assert model.requests[0].body["messages"][-1]["content"] == "hello"


async def test_retry_under_an_older_answer_asks_its_own_question(
    tmp_path: Path, model: ModelStandIn
) -> None:
    model.tokens_per_second = 2000
    model.answer = lambda body: f"to {body['messages'][-1]['content']} {len(body['messages'])}"
    async with quick(tmp_path, model) as chat:
        await chat.ask("one")
        await chat.ask("two")
        await chat.press("retry:1", "m")
        await until(lambda: len(chat.shown) == 3)
        asked = [m["content"] for m in model.requests[-1].body["messages"][1:]]
        assert asked == ["one", "to one 2", "two", "to two 4", "one"], "both answers stay"
        await chat.press("retry:1", "m")
        await until(lambda: len(chat.shown) == 4)
        asked = [m["content"] for m in model.requests[-1].body["messages"][1:]]
        assert asked == ["one", "to one 2", "two", "to two 4", "one"], "now it is the last"
        await chat.press("more:2", "m")
        await until(lambda: len(chat.shown) == 5)
        assert "the last answer only" in list(chat.shown.values())[-1]
        assert len(model.requests) == 4


async def test_retry_under_a_retry_that_failed_asks_what_that_one_asked(
    tmp_path: Path, model: ModelStandIn
) -> None:
    """Nothing of it counts, but it is no reason to ask what was asked since."""
    model.tokens_per_second = 2000
    model.answer = lambda body: f"to {body['messages'][-1]['content']}"
    async with quick(tmp_path, model, fallbacks=[]) as chat:
        await chat.ask("one")
        model.hook = lambda _body: status(400, "no")
        await chat.press("retry:1", "m")
        await until(lambda: len(chat.shown) == 2)
        model.hook = None
        await chat.ask("two")
        await chat.press("retry:2", "m")
        await until(lambda: len(chat.shown) == 4)
        asked = [m["content"] for m in model.requests[-1].body["messages"][1:]]
        assert asked == ["one", "to one", "two", "to two", "one"]


class Crowded(Quick):
    """A group that may be written to once in a long while."""

    def capabilities(self, place: Place) -> Capabilities:
        pace = PACE if place.private else Pace(burst=1, rate=0.01)
        return Capabilities(pace, preview="off", keyed=True)


async def test_answers_that_wait_for_a_groups_turn_take_nobody_elses(
    tmp_path: Path, model: ModelStandIn
) -> None:
    """All are written, and one group's limit lets them out one by one."""
    model.tokens_per_second = 2000
    model.answer = lambda body: f"to {body['messages'][-1]['content']}"
    async with quick(tmp_path, model, Crowded(), turns_at_once=2) as chat:
        for user in ("5", "6", "7"):
            await chat.say("hello", user=user, group="-1")
        await chat.say("alone", user="8")
        await until(lambda: "to alone" in chat.shown.values())
        assert len(chat.shown) < 3, "the group's still wait"


def reopen(connection: Connection) -> None:
    tried = engine.MOST_ATTEMPTS
    again = {"state": "delivering", "attempt": tried, "finished": None, "lease_until": 0}
    connection.execute(update(turns).values(**again))


async def test_an_answer_given_up_while_it_is_delivered_stays_and_can_be_sent_again(
    tmp_path: Path, model: ModelStandIn
) -> None:
    model.tokens_per_second = 1000
    async with quick(tmp_path, model) as chat:
        answer = await chat.ask("hello")
        await chat.store.write(reopen)
        await until(lambda: len(chat.shown) == 2)
        assert list(chat.shown.values()) == [answer, f"*{words.DOUBT}*"]
        await chat.press("again:1", "m")
        await until(lambda: list(chat.shown.values())[2:] == [answer])


def hand_over(connection: Connection) -> None:
    again = {"state": "delivering", "attempt": 1, "finished": None, "lease_until": 0}
    connection.execute(update(turns).where(turns.c.id == 2).values(**again))


async def test_an_answer_taken_over_is_delivered_whatever_was_said_since(
    tmp_path: Path, model: ModelStandIn
) -> None:
    """A /retry could not be asked once more after /new, but it was answered before."""
    model.tokens_per_second = 1000
    async with quick(tmp_path, model) as chat:
        await chat.ask("hello")
        await chat.ask("/retry")
        await chat.ask("/new")
        shown = dict(chat.shown)
        await chat.store.write(hand_over)
        async with asyncio.timeout(5):
            while await chat.store.read(states) != ["done"] * 3:
                await asyncio.sleep(0.05)
        assert chat.shown == shown


class Edited(Quick):
    def capabilities(self, place: Place) -> Capabilities:
        return Capabilities(PACE, preview="edit", preview_every=0.2)


class Slow(Edited):
    """Where an edit takes long."""

    def __init__(self) -> None:
        super().__init__()
        self.editing, self.go_on = asyncio.Event(), asyncio.Event()

    async def edit(
        self, place: Place, message: str, part: Part, *, ticket: str | None = None
    ) -> None:
        self.editing.set()
        await self.go_on.wait()
        await super().edit(place, message, part, ticket=ticket)


def free_turns(connection: Connection) -> int:
    free = select(func.count()).select_from(turns).where(turns.c.lease_until < clock())
    return connection.scalar(free) or 0


async def test_what_is_still_on_its_way_at_the_end_is_not_handed_over_yet(
    tmp_path: Path, model: ModelStandIn
) -> None:
    """It would arrive after what the next process has shown."""
    async with quick(tmp_path, model, chat := Slow()):
        await chat.say("hello")
        async with asyncio.timeout(10):
            await chat.editing.wait()
        assert chat.engine is not None
        await chat.engine.close(0)
        assert await chat.store.read(free_turns) == 0
        chat.go_on.set()


async def test_an_answer_is_kept_though_a_preview_could_not_be_noted(
    tmp_path: Path, model: ModelStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with quick(tmp_path, model, Edited()) as chat:
        put = chat.store.write
        failed: list[object] = []

        async def write(function: object, *args: object, **more: object) -> object:
            if function is mark_part and not failed:
                failed.append(function)
                raise StoreError("The database cannot be used: just now")
            return await put(function, *args, **more)  # type: ignore[arg-type]

        monkeypatch.setattr(chat.store, "write", write)
        await chat.say("hello")
        async with asyncio.timeout(15):
            while await chat.store.read(states) != ["done"]:
                await asyncio.sleep(0.05)
        assert failed
        assert len(model.requests) == 1
        assert [text.strip() for text in chat.shown.values()] == [("word " * 60).strip()]


class Counting(TerminalDialect):
    """How much text was rendered, in characters."""

    rendered = 0

    def render(self, document: Document) -> Part:
        part = super().render(document)
        self.rendered += len(part.text)
        return part


async def test_an_answer_is_not_rendered_anew_for_each_token(
    tmp_path: Path, model: ModelStandIn
) -> None:
    """What it costs grows with how often it is shown, not with how finely it came."""
    model.tokens_per_second = 1000
    text = "Some words of a paragraph.\n\n" * 200
    model.answer = lambda _body: text
    chat = Edited()
    chat.dialect = dialect = Counting()
    async with quick(tmp_path, model, chat):
        await chat.say("hello")
        async with asyncio.timeout(20):
            while await chat.store.read(states) != ["done"]:
                await asyncio.sleep(0.05)
    tokens = model.requests[0].usage[1]
    assert tokens > 1000
    assert 0 < dialect.rendered < len(text) * tokens / 50


class Hasty(Quick):
    """Asks to wait at the first change of a message, and complains if nobody does."""

    refused = 0.0
    early = False

    def _busy(self) -> None:
        now = asyncio.get_running_loop().time()
        self.early |= 0 < now - self.refused < 1 and self.refused > 0
        if not self.refused:
            self.refused = now
            raise DeliveryError("Wait", Fault.RATE, retry_after=1.0)

    async def edit(
        self, place: Place, message: str, part: Part, *, ticket: str | None = None
    ) -> None:
        self._busy()
        await super().edit(place, message, part)

    async def delete(self, place: Place, message: str, *, ticket: str | None = None) -> None:
        self._busy()
        await super().delete(place, message)


async def test_a_menu_that_was_pressed_changes_when_the_platform_allows(
    tmp_path: Path, model: ModelStandIn
) -> None:
    chat = Hasty()
    async with quick(tmp_path, model, chat):
        menu = await chat.ask("/model")
        (message,) = chat.shown
        await chat.press("m:google/gemma-2-9b-it", message)
        await until(lambda: chat.shown[message] != menu)
        assert not chat.early
        async with asyncio.timeout(5):
            while await chat.store.read(states) != ["done", "done"]:
                await asyncio.sleep(0.05)


async def test_a_message_with_a_key_is_taken_away_when_the_platform_allows(
    tmp_path: Path, model: ModelStandIn
) -> None:
    chat = Hasty()
    async with quick(tmp_path, model, chat, secret_key="a passphrase"):
        chat.shown["m1"] = "/key my-own-key"
        await chat.say("/key my-own-key", message="m1")
        await until(lambda: "m1" not in chat.shown)
        assert not chat.early


async def test_commands_are_answered_though_every_slot_is_busy(
    tmp_path: Path, model: ModelStandIn
) -> None:
    model.tokens_per_second = 2
    async with quick(tmp_path, model, turns_at_once=1) as chat:
        await chat.say("hello")
        await until(lambda: len(model.requests) == 1)
        assert "31 models" in await chat.ask("/models", user="6")
        await chat.say("/stop", user="5")
        await until(lambda: any("Stopped" in text for text in chat.shown.values()))
        assert not model.requests[0].completed


async def test_a_stop_button_tells_what_it_dropped(tmp_path: Path, model: ModelStandIn) -> None:
    async with quick(tmp_path, model) as chat:
        await chat.say("one")
        await until(lambda: len(model.requests) == 1)
        await chat.say("two")
        await chat.press("stop:1", "m")
        await until(lambda: len(chat.shown) == 2)
        assert any("dropped" in text for text in chat.shown.values())
        async with asyncio.timeout(5):
            while await chat.store.read(states) != ["stopped", "stopped", "done"]:
                await asyncio.sleep(0.05)


class Stuck(Quick):
    """The first preview stays on its way."""

    def __init__(self) -> None:
        super().__init__()
        self.under_way = asyncio.Event()
        self.given_up = False

    def capabilities(self, place: Place) -> Capabilities:
        return Capabilities(PACE, preview="edit", preview_every=0.05, keyed=True)

    async def edit(
        self, place: Place, message: str, part: Part, *, ticket: str | None = None
    ) -> None:
        self.under_way.set()
        try:
            await asyncio.sleep(3600)
        finally:
            self.given_up = True


async def test_a_preview_on_its_way_does_not_outlive_its_turn(
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
    async with quick(tmp_path, model, Stuck()) as chat:
        assert isinstance(chat, Stuck)
        assert chat.engine is not None
        await chat.say("hello")
        await asyncio.wait_for(chat.under_way.wait(), 10)
        await asyncio.wait_for(closed.wait(), 10)
        assert not chat.given_up
        await chat.engine.close(0)
        assert chat.given_up


class Menuless(Quick):
    """Where menus have been deleted."""

    async def edit(
        self, place: Place, message: str, part: Part, *, ticket: str | None = None
    ) -> None:
        raise DeliveryError("Not there", Fault.GONE)


async def test_a_choice_from_a_menu_that_was_deleted_is_told_anew(
    tmp_path: Path, model: ModelStandIn
) -> None:
    async with quick(tmp_path, model, Menuless()) as chat:
        await chat.press("m:google/gemma-2-9b-it", "gone")
        await until(lambda: any("answers from now on" in said for said in chat.shown.values()))


def kept_events(connection: Connection) -> str:
    return "".join(connection.scalars(select(turns.c.incoming)))


async def test_a_key_stays_nowhere_but_in_its_place(tmp_path: Path, model: ModelStandIn) -> None:
    async with quick(tmp_path, model, secret_key="a phrase that is long") as chat:
        model.add_key("a-key-of-my-own")
        chat.shown["m1"] = "/key a-key-of-my-own"
        await chat.say("/key a-key-of-my-own", message="m1")
        await until(lambda: any("your own key" in said for said in chat.shown.values()))
        assert "gAAAA" not in await chat.store.read(kept_events), "not even encrypted"


async def test_an_overflow_that_names_no_limit_does_not_shrink_the_window_for_good(
    tmp_path: Path, model: ModelStandIn
) -> None:
    too_long = "This model's maximum context length is exceeded. Please shorten your message."
    async with quick(tmp_path, model) as chat:
        model.tokens_per_second = 1000
        for _ in range(3):
            model.fail_next(status(400, too_long))
            assert "word" in await chat.ask("hello")
        assert len(model.requests) == 6
        context = await chat.ask("/context")
        assert "128,000" in context or "128k" in context


CUT_SHORT = b"""data: {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}

data: {"choices": [], "usage": {"prompt_tokens": 3990, "completion_tokens": 1}}

data: [DONE]

"""


@pytest.mark.parametrize("wording", ["silent", "vllm"])
async def test_a_window_smaller_than_its_catalogue_says_is_learnt(
    tmp_path: Path, model: ModelStandIn, wording: str
) -> None:
    small = "nvidia/AceMath-7B-Instruct"
    model.tokens_per_second = 1_000_000
    model.overflow = OVERFLOWS[wording]
    async with quick(tmp_path, model, contexts={small: 32_000}) as chat:
        await chat.ask(f"/model {small}")
        for turn in range(6):
            assert "word" in await chat.ask(f"{turn}. " + "plain english words " * 250)
        truth = [Tokeniser(small).prompt(one.body["messages"]) for one in model.requests]
        too_long = len(model.refused) + sum(count > 4_000 for count in truth)
        assert too_long == 1, "once, then it is known"


async def test_a_window_filled_by_a_service_that_says_nothing_at_all_is_fitted_again(
    tmp_path: Path, model: ModelStandIn
) -> None:
    small = "nvidia/AceMath-7B-Instruct"
    model.tokens_per_second = 1_000_000
    async with quick(tmp_path, model) as chat:
        await chat.ask(f"/model {small}")
        model.fail_next(reply(200, CUT_SHORT, content_type="text/event-stream"))
        assert "word" in await chat.ask("hello")
        assert len(model.requests) == 2


async def test_stop_on_a_message_left_behind_by_a_death_says_so_there(
    tmp_path: Path, model: ModelStandIn
) -> None:
    model.tokens_per_second = 1000
    async with quick(tmp_path, model) as chat:
        answer = await chat.ask("hello")
        (message,) = chat.shown
        chat.shown["orphan"] = "word word"
        await chat.press("stop:1", "orphan")
        await until(lambda: chat.shown["orphan"] == words.LEFT_BEHIND)
        await chat.press("stop:1", message)
        async with asyncio.timeout(5):
            while await chat.store.read(states) != ["done"] * 3:
                await asyncio.sleep(0.05)
        assert chat.shown == {message: answer, "orphan": words.LEFT_BEHIND}


async def test_an_old_stop_button_does_not_end_what_is_answered_now(
    tmp_path: Path, model: ModelStandIn
) -> None:
    """A message left behind by a death still has its button; the draft of an answer that has
    just become final, too.
    """
    model.tokens_per_second = 1000
    async with quick(tmp_path, model) as chat:
        await chat.ask("hello")
        model.tokens_per_second = 60
        await chat.say("go on")
        await until(lambda: len(model.requests) == 2)
        await chat.say("and then")
        await chat.press("stop:1", "orphan")
        await chat.press("65", "draft", kind=Kind.STOP)
        async with asyncio.timeout(10):
            while await chat.store.read(states) != ["done"] * 5:
                await asyncio.sleep(0.05)
        assert len(model.requests) == 3
        assert not any(words.STOPPED in text for text in chat.shown.values())


async def test_who_is_too_fast_is_told_each_time_where_the_platform_waits_for_a_word(
    tmp_path: Path, model: ModelStandIn
) -> None:
    """Else an interaction would look for a quarter of an hour as if it were thought about."""
    async with quick(tmp_path, model, messages_a_minute=1) as chat:
        for text in ("/help", "/help", "/help"):
            await chat.say(text)  # answered, told, not even kept
        with pytest.raises(DeniedError, match="faster"):
            await chat.say("/help", ticket="interaction")


async def test_a_model_stopped_before_its_first_word_has_not_worked(
    tmp_path: Path, model: ModelStandIn
) -> None:
    """Who stops a model that hangs must not make the others wait for it again."""
    async with quick(tmp_path, model) as chat:
        assert chat.engine is not None
        breaker = chat.engine._resources.breaker
        which = chat.house, chat.engine._settings.default_model
        for _ in range(2):
            breaker.failed(*which, ModelError("down", Failure.UNAVAILABLE, status=503))
        model.fail_next(silent())
        await chat.say("hello")
        await until(lambda: len(model.requests) == 1)
        assert "Stopped" in await chat.ask("/stop")
        async with asyncio.timeout(5):
            while await chat.store.read(states) != ["stopped", "done"]:
                await asyncio.sleep(0.05)
        breaker.failed(*which, ModelError("down", Failure.UNAVAILABLE, status=503))
        assert breaker.resting(*which) > 0
