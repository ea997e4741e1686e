"""A person's last answers, for sharing; people type while they are searched."""

from core.scopes import chat_key
from core.store.database import Store
from core.store.own_answers import MAX_SEARCHED_CHARS, OwnAnswer, find_own_answers
from tests.core.store.turn_helpers import PLACE, accept, answer, claim


async def test_only_the_beginnings_of_long_texts_are_read(store: Store) -> None:
    for key, text in (("u1", "herons " * MAX_SEARCHED_CHARS), ("u2", "owls " * MAX_SEARCHED_CHARS + "herons")):
        await accept(store, key)
        (turn,) = await claim(store)
        await answer(store, turn, f"{key}?", text)
    found = await store.read(find_own_answers, "telegram:5", chat_key(PLACE), ["HERONS"], 3)
    assert found == [OwnAnswer("u1?", ("herons " * MAX_SEARCHED_CHARS)[:MAX_SEARCHED_CHARS])]


async def test_newest_matches_come_first(store: Store) -> None:
    for key in ("u1", "u2", "u3"):
        await accept(store, key)
        (turn,) = await claim(store)
        await answer(store, turn, f"{key}?", "herons")
    found = await store.read(find_own_answers, "telegram:5", chat_key(PLACE), ["herons"], 2)
    assert [own.question for own in found] == ["u3?", "u2?"]
