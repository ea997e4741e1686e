"""Exhausted quotas, failing models and personal keys."""

import asyncio
import contextlib
import sqlite3
from pathlib import Path

from bots.sandbox.model.accounts import Endpoint
from bots.sandbox.model.faults import end_stream, http_error
from bots.sandbox.telegram import Chat
from core.conversation.ledger import key_id_of
from core.conversation.transcript import CONTINUE_PROMPT
from core.timings import Timings
from tests.clock import FixedTimeClock
from tests.end_to_end.harness import Harness, bot_texts, running_harness

LLAMA = "meta-llama/Llama-3.3-70B-Instruct"
PHI = "microsoft/phi-4"
DAY = 86_400


def booked_tokens(folder: Path, account: str) -> dict[str, int]:
    """The tokens per model in the ledger, once no request is in flight."""
    with sqlite3.connect(folder / "parley.sqlite3") as database:
        assert database.execute("SELECT count(*) FROM reservations").fetchone() == (0,)
        rows = database.execute(
            "SELECT model, sum(tokens) FROM token_usage WHERE key_id = ? AND kind = 'chat' AND tokens > 0 GROUP BY model",
            (account,),
        )
        return dict(rows.fetchall())


def last_text(harness: Harness, chat: Chat) -> str:
    return (bot_texts(harness.telegram.messages(chat)) or [""])[-1]


async def test_quota_runs_out_during_many_chats(tmp_path: Path) -> None:
    clock = FixedTimeClock()  # 22:13 UTC
    async with running_harness(tmp_path) as harness:
        model, telegram = harness.model, harness.telegram
        harness.timings, model.usage.clock = Timings(clock=clock), clock
        model.usage.start_new_day()
        quota = 2500
        model.quotas[LLAMA] = quota
        await harness.start(quotas={LLAMA: quota}, fallbacks=(PHI,))
        people = [telegram.create_user(f"P{n}") for n in range(20)]
        chats = [telegram.open_private_chat(person) for person in people]
        for person, chat in zip(people, chats, strict=True):
            await telegram.send_message(person, chat, f"repeat: {'word ' * 60}{person.id}")
        await telegram.wait_for(
            lambda: all(str(p.id) in last_text(harness, c) for p, c in zip(people, chats, strict=True)),
            30,
        )
        instead = [chat for chat in chats if "Answered by phi-4" in last_text(harness, chat)]
        assert 0 < len(instead) < 20
        assert all("has no quota left today (back in 2 h)" in last_text(harness, chat) for chat in instead)
        assert not [request for request in model.rejected_requests if request.status == 429], "nothing asked in vain"
        await harness.stop()
        ledger = booked_tokens(tmp_path, key_id_of(model.api_key))
        exact = {name: model.usage.tokens_used(model=name, endpoint=Endpoint.CHAT) for name in (LLAMA, PHI)}
        assert ledger == exact
        clock.epoch += DAY
        await harness.start(quotas={LLAMA: quota}, fallbacks=(PHI,))
        await telegram.send_message(people[0], chats[0], "repeat: a new day")
        await telegram.wait_for(lambda: last_text(harness, chats[0]) == "a new day")
        assert model.requests[-1].body["model"] == LLAMA


async def test_unknown_quota_error_is_respected(tmp_path: Path) -> None:
    async with running_harness(tmp_path) as harness:
        harness.timings = Timings(clock=FixedTimeClock())
        await harness.start()
        telegram, model = harness.telegram, harness.model
        ann = telegram.create_user("Ann")
        chat = telegram.open_private_chat(ann)
        model.quotas[LLAMA] = 0
        for number in range(3):
            await telegram.send_message(ann, chat, f"repeat: answer {number}")
            await telegram.wait_for(
                lambda n=number: last_text(harness, chat).startswith(f"answer {n}")  # type: ignore[misc]
            )
            assert "has no quota left today" in last_text(harness, chat)
        assert len([request for request in model.rejected_requests if request.status == 429]) == 1
        await telegram.send_message(ann, chat, "/model")
        await telegram.wait_for(lambda: "Model: Llama-3.3-70B-Instruct (" in last_text(harness, chat))


async def test_broken_model_is_replaced_and_skipped(harness: Harness) -> None:
    telegram, model = harness.telegram, harness.model
    ann = telegram.create_user("Ann")
    chat = telegram.open_private_chat(ann)
    model.fail_next(http_error(500), times=None, model=LLAMA)
    for number in range(5):
        await telegram.send_message(ann, chat, f"repeat: answer {number}")
        await telegram.wait_for(
            lambda n=number: last_text(harness, chat).startswith(f"answer {n}"),  # type: ignore[misc]
            20,
        )
        assert "Llama-3.3-70B-Instruct reported an internal error" in last_text(harness, chat)
    tried = [r for r in model.requests if r.body["model"] == LLAMA]
    assert len(tried) == 9, "three turns of three tries, then it rests"


async def test_no_silent_failover_after_shown_text(harness: Harness) -> None:
    telegram, model = harness.telegram, harness.model
    model.tokens_per_second = 100
    ann = telegram.create_user("Ann")
    chat = telegram.open_private_chat(ann)
    model.fail_next(end_stream(20))
    await telegram.send_message(ann, chat, f"repeat: {'begun ' * 100}")
    await telegram.wait_for(lambda: "The answer was cut off" in last_text(harness, chat))
    assert last_text(harness, chat).startswith("begun begun")
    assert {r.body["model"] for r in model.requests} == {LLAMA}
    markup = telegram.messages(chat)[-1].reply_markup
    assert markup is not None
    buttons = {b["text"]: b["callback_data"] for row in markup["inline_keyboard"] for b in row}
    assert list(buttons) == ["Continue", "Retry"]
    await telegram.press_button(ann, telegram.messages(chat)[-1], buttons["Continue"])
    await telegram.wait_for(lambda: len(bot_texts(telegram.messages(chat))) == 2)
    contents = [m["content"] for m in model.requests[-1].body["messages"]]
    assert contents[-1] == CONTINUE_PROMPT
    assert contents[-2].startswith("begun begun")


async def test_removed_default_model_is_replaced_with_one_notice_per_conversation(harness: Harness) -> None:
    telegram, model = harness.telegram, harness.model
    people = [telegram.create_user(name) for name in ("Ann", "Bob", "Eve")]
    chats = [telegram.open_private_chat(person) for person in people]

    async def ask(number: int, text: str) -> str:
        await telegram.send_message(people[number], chats[number], f"repeat: {text}")
        await telegram.wait_for(lambda: last_text(harness, chats[number]).startswith(text))
        return last_text(harness, chats[number])

    for number in (0, 1):
        await ask(number, "one")
    model.models.pop(LLAMA)
    assert "Llama-3.3-70B-Instruct is no longer available. Answered by" in await ask(0, "two")
    notice = "Llama-3.3-70B-Instruct is no longer available."
    assert notice not in await ask(0, "three")
    assert f"{notice} " in (told := await ask(1, "two"))
    assert "answers here from now on" in told
    assert notice not in await ask(1, "three")
    assert notice not in await ask(2, "one"), "a new conversation has known no other model"


async def test_removed_model_is_replaced_with_one_notice(harness: Harness) -> None:
    telegram, model = harness.telegram, harness.model
    ann = telegram.create_user("Ann")
    chat = telegram.open_private_chat(ann)
    await telegram.send_message(ann, chat, "/model phi-4")
    await telegram.wait_for(lambda: "phi-4" in last_text(harness, chat))
    model.models.pop(PHI)
    await telegram.send_message(ann, chat, "repeat: one")
    await telegram.wait_for(lambda: last_text(harness, chat).startswith("one"))
    notice = "phi-4 is no longer available. Llama-3.3-70B-Instruct answers here from now on."
    assert notice in last_text(harness, chat)
    await telegram.send_message(ann, chat, "repeat: two")
    await telegram.wait_for(lambda: last_text(harness, chat) == "two")


async def test_personal_key_pays_for_its_owner_only(tmp_path: Path) -> None:
    async with running_harness(tmp_path) as harness:
        telegram, model = harness.telegram, harness.model
        own = "io-key-of-ann-0123456789"
        model.add_account(own)
        await harness.start(secret_key="a passphrase")
        ann, bob = telegram.create_user("Ann"), telegram.create_user("Bob")
        chat, other = telegram.open_private_chat(ann), telegram.open_private_chat(bob)
        await telegram.send_message(ann, chat, "/key wrong-key-123456")
        await telegram.wait_for(lambda: "rejected this key" in last_text(harness, chat))
        await telegram.send_message(ann, chat, f"/key {own}")
        await telegram.wait_for(lambda: "use your own key from now on" in last_text(harness, chat))
        assert own not in telegram.transcript(chat), "the message is deleted"
        await telegram.send_message(ann, chat, "repeat: mine")
        await telegram.wait_for(lambda: last_text(harness, chat) == "mine")
        assert model.requests[-1].api_key == own
        await telegram.send_message(bob, other, "repeat: his")
        await telegram.wait_for(lambda: last_text(harness, other) == "his")
        assert model.requests[-1].api_key == model.api_key
        await telegram.send_message(ann, chat, "/key remove")
        await telegram.wait_for(lambda: "Your key is deleted." in last_text(harness, chat))
        await telegram.send_message(ann, chat, "repeat: again")
        await telegram.wait_for(lambda: last_text(harness, chat) == "again")
        assert model.requests[-1].api_key == model.api_key
        await harness.stop()
        stored = b"".join(f.read_bytes() for f in tmp_path.glob("parley.sqlite3*"))
        assert own.encode() not in stored


async def test_daily_questions_are_limited_per_person(tmp_path: Path) -> None:
    async with running_harness(tmp_path) as harness:
        telegram = harness.telegram
        await harness.start(person_messages=2)
        ann, bob = telegram.create_user("Ann"), telegram.create_user("Bob")
        chat, other = telegram.open_private_chat(ann), telegram.open_private_chat(bob)
        for number in range(2):
            await telegram.send_message(ann, chat, f"repeat: {number}")
            await telegram.wait_for(lambda n=number: last_text(harness, chat) == f"{n}")  # type: ignore[misc]
        await telegram.send_message(ann, chat, "repeat: too much")
        await telegram.wait_for(lambda: "reached today's limit of" in last_text(harness, chat))
        await telegram.send_message(bob, other, "repeat: his")
        await telegram.wait_for(lambda: last_text(harness, other) == "his")


async def test_models_and_usage_show_remaining_quota(harness: Harness) -> None:
    telegram = harness.telegram
    ann = telegram.create_user("Ann")
    chat = telegram.open_private_chat(ann)
    await telegram.send_message(ann, chat, "repeat: hello")
    await telegram.wait_for(lambda: last_text(harness, chat) == "hello")
    await telegram.send_message(ann, chat, "/models Llama-3.3")
    await telegram.wait_for(lambda: "499k tokens left" in last_text(harness, chat))
    await telegram.send_message(ann, chat, "/usage")
    await telegram.wait_for(lambda: "left, shared by everyone" in last_text(harness, chat))


def make_operator(file: Path, subject: str) -> None:
    with contextlib.closing(sqlite3.connect(file)) as database, database:
        database.execute("INSERT INTO grants VALUES (?, 'operator', 'Ann', 0)", (subject,))


async def test_operator_is_warned_of_low_quota(tmp_path: Path) -> None:
    async with running_harness(tmp_path) as harness:
        telegram = harness.telegram
        ann, bob = telegram.create_user("Ann"), telegram.create_user("Bob")
        chat, other = telegram.open_private_chat(ann), telegram.open_private_chat(bob)
        await harness.start(quotas={LLAMA: 300})
        # In a thread: the bot, which may be writing at this moment, needs the event loop to commit.
        await asyncio.to_thread(make_operator, tmp_path / "parley.sqlite3", f"telegram:person:{ann.id}")
        await telegram.send_message(bob, other, f"repeat: {'many words ' * 60}")
        await telegram.wait_for(lambda: last_text(harness, other).startswith("many words"))
        assert "quota" not in last_text(harness, other)
        await telegram.send_message(ann, chat, "repeat: mine")
        await telegram.wait_for(lambda: last_text(harness, chat).startswith("mine"))
        assert "Llama-3.3-70B-Instruct: 100% of today's quota used" in last_text(harness, chat)
        await telegram.send_message(ann, chat, "/usage")
        await telegram.wait_for(lambda: "Everyone, on the bot's key" in last_text(harness, chat))
