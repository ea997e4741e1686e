"""Preferences by scope and name, on both databases."""

from dataclasses import replace

from core.store.database import Store
from core.store.preferences import (
    Preference,
    PreferenceName,
    delete_preference,
    list_preferences,
    mark_notified,
    replace_value,
    set_preference,
)

MODEL, LENGTH = PreferenceName.MODEL, PreferenceName.ANSWER_LENGTH
PHI = Preference("phi-4", "Ann", "telegram:5")


async def test_preference_holds_in_its_scope_until_it_is_set_again(store: Store) -> None:
    await store.write(set_preference, "chat:1", MODEL, PHI)
    await store.write(set_preference, "chat:2", LENGTH, Preference("500", ""))
    assert await store.read(list_preferences, ["chat:1", "chat:3"]) == {("chat:1", "model"): PHI}
    changed = Preference("qwen", "Bob", "telegram:6", notified_model="x")
    await store.write(set_preference, "chat:1", MODEL, changed)
    assert await store.read(list_preferences, ["chat:1"]) == {("chat:1", "model"): changed}


async def test_value_is_replaced_unless_somebody_has_changed_it(store: Store) -> None:
    for scope in ("chat:1", "chat:2"):
        await store.write(set_preference, scope, MODEL, replace(PHI, notified_model="phi-4"))
    await store.write(set_preference, "chat:1", LENGTH, Preference("phi-4", ""))
    await store.write(replace_value, "chat:1", MODEL, "qwen", "llama")
    assert (await store.read(list_preferences, ["chat:1"]))["chat:1", "model"].value == "phi-4"
    await store.write(replace_value, "chat:1", MODEL, "phi-4", "llama")
    stored = await store.read(list_preferences, ["chat:1", "chat:2"])
    assert stored["chat:1", "model"] == replace(PHI, value="llama"), "nobody has been told about this model"
    assert stored["chat:2", "model"].value == stored["chat:1", "length"].value == "phi-4"


async def test_notification_is_remembered_for_one_preference(store: Store) -> None:
    await store.write(set_preference, "chat:1", MODEL, PHI)
    await store.write(set_preference, "chat:1", LENGTH, Preference("500", ""))
    await store.write(mark_notified, "chat:1", LENGTH, "phi-4")
    stored = await store.read(list_preferences, ["chat:1"])
    assert {name: preference.notified_model for (_, name), preference in stored.items()} == {
        "model": "",
        "length": "phi-4",
    }


async def test_deletion_says_how_many_scopes_had_the_preference(store: Store) -> None:
    for scope in ("chat:1", "chat:2"):
        await store.write(set_preference, scope, MODEL, PHI)
    await store.write(set_preference, "chat:1", LENGTH, Preference("500", ""))
    assert await store.write(delete_preference, ["chat:1", "chat:3"], MODEL) == 1
    assert await store.write(delete_preference, ["chat:1", "chat:3"], MODEL) == 0
    stored = await store.read(list_preferences, ["chat:1", "chat:2"])
    assert set(stored) == {("chat:1", "length"), ("chat:2", "model")}
