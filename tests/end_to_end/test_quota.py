"""Quotas that run out, models that fail, keys of people's own."""

import sqlite3
from functools import partial
from pathlib import Path

import pytest

from bots.sandbox.model.accounts import Kind
from bots.sandbox.model.faults import ended, status
from bots.sandbox.telegram import Chat
from core.conversation import resources
from core.conversation.ledger import Ledger, account_of
from core.turns import words
from tests.end_to_end.world import World, texts, world

LLAMA = "meta-llama/Llama-3.3-70B-Instruct"
PHI = "microsoft/phi-4"
DAY = 86_400


class Clock:
    now = 1_700_000_000.0  # 22:13 UTC

    def __call__(self) -> float:
        return self.now


def booked(folder: Path, account: str) -> dict[str, int]:
    """Tokens by model as the ledger has them, once no request is on its way."""
    with sqlite3.connect(folder / "parley.sqlite3") as database:
        assert database.execute("SELECT count(*) FROM requests").fetchone() == (0,)
        rows = database.execute(
            "SELECT model, sum(tokens) FROM spending WHERE account = ? AND kind = 'chat' "
            "AND tokens > 0 GROUP BY model",
            (account,),
        )
        return dict(rows.fetchall())


def last(alive: World, chat: Chat) -> str:
    return (texts(alive.telegram.messages(chat)) or [""])[-1]


async def test_a_quota_runs_out_in_the_middle_of_many_chats(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    monkeypatch.setattr(resources, "Ledger", partial(Ledger, clock=clock))
    async with world(tmp_path) as alive:
        model, telegram = alive.model, alive.telegram
        model.used.clock = clock
        model.reset_day()
        quota = 2500
        model.quotas[LLAMA] = quota
        await alive.start(quotas={LLAMA: quota}, fallbacks=(PHI,))
        people = [telegram.person(f"P{n}") for n in range(20)]
        chats = [telegram.private(person) for person in people]
        for person, chat in zip(people, chats, strict=True):
            await telegram.say(person, chat, f"repeat: {'word ' * 60}{person.id}")
        await telegram.wait(
            lambda: all(str(p.id) in last(alive, c) for p, c in zip(people, chats, strict=True)), 30
        )
        instead = [chat for chat in chats if "answered by phi-4" in last(alive, chat)]
        assert 0 < len(instead) < 20
        assert all("out of today's quota (back in 2 h)" in last(alive, chat) for chat in instead)
        assert not [one for one in model.refused if one.status == 429], "nothing asked in vain"
        await alive.stop()
        ledger = booked(tmp_path, account_of(model.api_key))
        exact = {name: model.used.of(model=name, kind=Kind.CHAT) for name in (LLAMA, PHI)}
        assert ledger == exact
        clock.now += DAY
        await alive.start(quotas={LLAMA: quota}, fallbacks=(PHI,))
        await telegram.say(people[0], chats[0], "repeat: a new day")
        await telegram.wait(lambda: last(alive, chats[0]) == "a new day")
        assert model.requests[-1].body["model"] == LLAMA


async def test_a_quota_the_ledger_did_not_know_of_is_believed_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resources, "Ledger", partial(Ledger, clock=Clock()))
    async with world(tmp_path) as alive:
        await alive.start()
        telegram, model = alive.telegram, alive.model
        ann = telegram.person("Ann")
        chat = telegram.private(ann)
        model.quotas[LLAMA] = 0
        for number in range(3):
            await telegram.say(ann, chat, f"repeat: answer {number}")
            await telegram.wait(lambda n=number: last(alive, chat).startswith(f"answer {n}"))  # type: ignore[misc]
            assert "out of today's quota" in last(alive, chat)
        assert len([one for one in model.refused if one.status == 429]) == 1
        await telegram.say(ann, chat, "/model")
        await telegram.wait(lambda: "Llama-3.3-70B-Instruct answers here" in last(alive, chat))


async def test_a_broken_model_is_replaced_and_then_left_alone(alive: World) -> None:
    telegram, model = alive.telegram, alive.model
    ann = telegram.person("Ann")
    chat = telegram.private(ann)
    model.fail_next(status(500), times=None, model=LLAMA)
    for number in range(5):
        await telegram.say(ann, chat, f"repeat: answer {number}")
        await telegram.wait(lambda n=number: last(alive, chat).startswith(f"answer {n}"), 20)  # type: ignore[misc]
        assert "does not work just now" in last(alive, chat)
    tried = [r for r in model.requests if r.body["model"] == LLAMA]
    assert len(tried) == 9, "three turns of three tries, then it rests"


async def test_after_text_was_shown_no_other_model_goes_on_silently(alive: World) -> None:
    telegram, model = alive.telegram, alive.model
    model.tokens_per_second = 100
    ann = telegram.person("Ann")
    chat = telegram.private(ann)
    model.fail_next(ended(20))
    await telegram.say(ann, chat, f"repeat: {'begun ' * 100}")
    await telegram.wait(lambda: "The answer broke off" in last(alive, chat))
    assert last(alive, chat).startswith("begun begun")
    assert {r.body["model"] for r in model.requests} == {LLAMA}
    markup = telegram.messages(chat)[-1].reply_markup
    assert markup is not None
    buttons = {b["text"]: b["callback_data"] for row in markup["inline_keyboard"] for b in row}
    assert list(buttons) == ["Continue", "Retry"]
    await telegram.press(ann, telegram.messages(chat)[-1], buttons["Continue"])
    await telegram.wait(lambda: len(texts(telegram.messages(chat))) == 2)
    shown = [m["content"] for m in model.requests[-1].body["messages"]]
    assert shown[-1] == words.GO_ON
    assert shown[-2].startswith("begun begun")


async def test_a_model_that_is_gone_for_good_is_followed_and_told_once(alive: World) -> None:
    telegram, model = alive.telegram, alive.model
    ann = telegram.person("Ann")
    chat = telegram.private(ann)
    await telegram.say(ann, chat, "/model phi-4")
    await telegram.wait(lambda: "phi-4" in last(alive, chat))
    model.vanish(PHI)
    await telegram.say(ann, chat, "repeat: one")
    await telegram.wait(lambda: last(alive, chat).startswith("one"))
    assert "phi-4 is not available any more: answered by" in last(alive, chat)
    await telegram.say(ann, chat, "repeat: two")
    await telegram.wait(lambda: last(alive, chat).startswith("two"))
    assert "Llama-3.3-70B-Instruct answers here from now on" in last(alive, chat)
    await telegram.say(ann, chat, "repeat: three")
    await telegram.wait(lambda: last(alive, chat) == "three")


async def test_a_persons_own_key_pays_for_that_person_alone(tmp_path: Path) -> None:
    async with world(tmp_path) as alive:
        telegram, model = alive.telegram, alive.model
        own = "io-key-of-ann-0123456789"
        model.add_key(own)
        await alive.start(secret_key="a passphrase")
        ann, bob = telegram.person("Ann"), telegram.person("Bob")
        chat, other = telegram.private(ann), telegram.private(bob)
        await telegram.say(ann, chat, "/key wrong-key-123456")
        await telegram.wait(lambda: "does not accept that key" in last(alive, chat))
        await telegram.say(ann, chat, f"/key {own}")
        await telegram.wait(lambda: "with your own key from now on" in last(alive, chat))
        assert own not in telegram.visible(chat), "the message is deleted"
        await telegram.say(ann, chat, "repeat: mine")
        await telegram.wait(lambda: last(alive, chat) == "mine")
        assert model.requests[-1].key == own
        await telegram.say(bob, other, "repeat: his")
        await telegram.wait(lambda: last(alive, other) == "his")
        assert model.requests[-1].key == model.api_key
        await telegram.say(ann, chat, "/key remove")
        await telegram.wait(lambda: "forgotten" in last(alive, chat))
        await telegram.say(ann, chat, "repeat: again")
        await telegram.wait(lambda: last(alive, chat) == "again")
        assert model.requests[-1].key == model.api_key
        await alive.stop()
        stored = b"".join(f.read_bytes() for f in tmp_path.glob("parley.sqlite3*"))
        assert own.encode() not in stored


async def test_a_day_has_so_many_questions_for_a_person(tmp_path: Path) -> None:
    async with world(tmp_path) as alive:
        telegram = alive.telegram
        await alive.start(person_messages=2)
        ann, bob = telegram.person("Ann"), telegram.person("Bob")
        chat, other = telegram.private(ann), telegram.private(bob)
        for number in range(2):
            await telegram.say(ann, chat, f"repeat: {number}")
            await telegram.wait(lambda n=number: last(alive, chat) == f"{n}")  # type: ignore[misc]
        await telegram.say(ann, chat, "repeat: too much")
        await telegram.wait(lambda: "Your questions of today are used up" in last(alive, chat))
        await telegram.say(bob, other, "repeat: his")
        await telegram.wait(lambda: last(alive, other) == "his")


async def test_models_and_usage_show_what_is_left(alive: World) -> None:
    telegram = alive.telegram
    ann = telegram.person("Ann")
    chat = telegram.private(ann)
    await telegram.say(ann, chat, "repeat: hello")
    await telegram.wait(lambda: last(alive, chat) == "hello")
    await telegram.say(ann, chat, "/models Llama-3.3")
    await telegram.wait(lambda: "499k tokens left" in last(alive, chat))
    await telegram.say(ann, chat, "/usage")
    await telegram.wait(lambda: "left for all" in last(alive, chat))


async def test_the_operator_is_told_that_a_quota_goes_to_its_end(tmp_path: Path) -> None:
    async with world(tmp_path) as alive:
        telegram = alive.telegram
        ann, bob = telegram.person("Ann"), telegram.person("Bob")
        chat, other = telegram.private(ann), telegram.private(bob)
        await alive.start(quotas={LLAMA: 300})
        with sqlite3.connect(tmp_path / "parley.sqlite3") as database:
            database.execute(
                "INSERT INTO grants VALUES (?, 'operator', 'Ann', 0)",
                (f"telegram:person:{ann.id}",),
            )
        await telegram.say(bob, other, f"repeat: {'many words ' * 60}")
        await telegram.wait(lambda: last(alive, other).startswith("many words"))
        assert "quota" not in last(alive, other)
        await telegram.say(ann, chat, "repeat: mine")
        await telegram.wait(lambda: last(alive, chat).startswith("mine"))
        assert "Llama-3.3-70B-Instruct: 100 % of today's quota is used" in last(alive, chat)
        await telegram.say(ann, chat, "/usage")
        await telegram.wait(lambda: "Everybody, on the bot's key" in last(alive, chat))
