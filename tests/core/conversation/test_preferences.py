"""Which of the values set in several scopes holds, and what follows from it."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from core.api.client import ModelApi
from core.conversation.model_registry import ModelRegistry
from core.conversation.preferences import (
    OFF,
    ON,
    Preferences,
    load_preferences,
    remember_client_language,
    with_available_model,
)
from core.port import EventKind, Incoming, Place, RichMode, Sender
from core.scopes import Scope, ScopeKind, applicable_scopes, chat_scope_key
from core.settings import Settings
from core.store.database import Store
from core.store.preferences import Preference, PreferenceName, set_preference
from tests.sqlite import sqlite_url

PHI, LLAMA = "microsoft/phi-4", "meta-llama/Llama-3.3-70B-Instruct"
PLACE = Place("fake", "1", "-7", thread="9", server="42")
ANN = Sender("fake", "5", "Ann")
SCOPES = applicable_scopes(PLACE, ANN)
MESSAGE = Incoming(EventKind.PROMPT, "e1", PLACE, ANN, "hello")
SETTINGS = Settings(
    default_model=PHI, system_prompt="Be kind.", personas={"teacher": "You teach."}, max_answer_tokens=500
)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    store = Store(sqlite_url(tmp_path))
    await store.open()
    yield store
    await store.close()


async def load(store: Store, settings: Settings = SETTINGS, *, scope: Scope = SCOPES[0], **values: str) -> Preferences:
    """What holds after `values`, by the name that people type, were set in `scope`."""
    for name, value in values.items():
        await store.write(set_preference, scope.key, PreferenceName(name), Preference(value, "Bob"))
    return await store.read(load_preferences, MESSAGE, settings)


async def test_settings_hold_while_nothing_is_set(store: Store) -> None:
    preferences = await load(store)
    assert preferences.model == PHI
    assert preferences.system_prompt == "Be kind."
    assert preferences.persona == ""
    assert preferences.temperature is None
    assert preferences.max_answer_tokens == 500
    assert preferences.reasoning_effort is None
    assert preferences.shows_reasoning
    assert not preferences.is_shared
    assert {preference.scope for preference in preferences.values.values()} == {None}


async def test_no_answer_length_is_the_models_own(store: Store) -> None:
    assert (await load(store, Settings(max_answer_tokens=0))).max_answer_tokens == 0


async def test_set_values_hold(store: Store) -> None:
    preferences = await load(store, temperature="0.2", length="20", effort="low", reasoning=OFF, system="Be brief.")
    assert preferences.temperature == 0.2
    assert preferences.max_answer_tokens == 20
    assert preferences.reasoning_effort == "low"
    assert not preferences.shows_reasoning
    assert preferences.system_prompt == "Be brief."
    assert preferences.values[PreferenceName.TEMPERATURE].set_by == "Bob"


@pytest.mark.parametrize("mode", [None, *RichMode])
async def test_rich_messages_are_as_the_operator_chose_unless_set(store: Store, mode: RichMode | None) -> None:
    assert (await load(store, rich=mode or "")).rich_mode is mode


async def test_zero_is_a_temperature(store: Store) -> None:
    assert (await load(store, temperature="0")).temperature == 0.0


async def test_narrowest_scope_wins(store: Store) -> None:
    kinds = [scope.kind for scope in SCOPES]
    assert kinds == [ScopeKind.MEMBER, ScopeKind.THREAD, ScopeKind.CHAT, ScopeKind.PERSON, ScopeKind.SERVER]
    for scope in reversed(SCOPES):
        preferences = await load(store, scope=scope, model=f"model of {scope.kind}")
        assert preferences.model == f"model of {scope.kind}"
        assert preferences.values[PreferenceName.MODEL].scope == scope


async def test_values_of_other_scopes_do_not_hold(store: Store) -> None:
    elsewhere = applicable_scopes(Place("fake", "1", "-8"), Sender("fake", "6", "Bob"))
    for scope in elsewhere:
        assert (await load(store, scope=scope, model=LLAMA)).model == PHI


@pytest.mark.parametrize(("value", "is_shared"), [(ON, True), (OFF, False)])
async def test_conversation_is_shared_in_the_whole_chat(store: Store, value: str, is_shared: bool) -> None:
    chat = Scope(ScopeKind.CHAT, chat_scope_key(PLACE))
    assert (await load(store, scope=chat, share=value)).is_shared is is_shared


async def test_only_a_chat_shares_its_conversation(store: Store) -> None:
    for scope in (scope for scope in SCOPES if scope.kind is not ScopeKind.CHAT):
        assert not (await load(store, scope=scope, share=ON)).is_shared


# Language


async def load_language(
    store: Store, *, client: str | None = None, place: str = "", chosen: str = "", stored: str = ""
) -> Preferences:
    """`client` is the language that the event names; `stored` one that an earlier event named."""
    person = next(scope for scope in SCOPES if scope.kind is ScopeKind.PERSON)
    for name, value in ((PreferenceName.LANGUAGE, chosen), (PreferenceName.CLIENT_LANGUAGE, stored)):
        if value:
            await store.write(set_preference, person.key, name, Preference(value, ""))
    event = replace(MESSAGE, sender=replace(ANN, language=client), place_language=place)
    return await store.read(load_preferences, event, SETTINGS)


@pytest.mark.parametrize(
    ("known", "language"),
    [
        ({}, "en"),
        ({"place": "ja"}, "ja"),
        ({"place": "ja", "stored": "es"}, "es"),
        ({"place": "ja", "stored": "es", "client": "de-AT"}, "de"),
        ({"place": "ja", "stored": "es", "client": "de-AT", "chosen": "ru"}, "ru"),
        ({"place": "ja", "stored": "es", "client": "xx"}, "en"),
    ],
    ids=str,
)
async def test_choice_precedes_client_and_place(store: Store, known: dict[str, str], language: str) -> None:
    preferences = await load_language(store, **known)
    assert preferences.language == language
    assert preferences.chosen_language == known.get("chosen", "")
    assert preferences.client_language == known.get("stored", "")


@pytest.mark.parametrize(
    ("client", "stored", "remembered"), [("de-AT", "", "de"), ("ja", "de", "ja"), ("", "de", "de"), (None, "de", "de")]
)
async def test_language_of_the_client_is_remembered(
    store: Store, client: str | None, stored: str, remembered: str
) -> None:
    preferences = await load_language(store, client=client, stored=stored)
    await store.write(remember_client_language, replace(MESSAGE, sender=replace(ANN, language=client)), preferences)
    assert (await load_language(store)).client_language == remembered


# Instructions


@pytest.mark.parametrize(
    ("values", "instructions"),
    [
        ({}, "Be kind."),
        ({"persona": "teacher"}, "You teach."),
        ({"persona": "removed"}, "Be kind."),
        ({"persona": "teacher", "system": "Be brief."}, "Be brief."),
    ],
    ids=["default", "persona", "persona that was removed", "own instructions"],
)
async def test_own_instructions_precede_persona_and_default(
    store: Store, values: Mapping[str, str], instructions: str
) -> None:
    preferences = await load(store, SETTINGS, scope=SCOPES[0], **values)
    assert preferences.system_prompt == instructions
    assert preferences.persona == ("teacher" if instructions == "You teach." else "")


@pytest.mark.parametrize(("wide", "narrow"), [("persona", "system"), ("system", "persona")])
async def test_narrower_of_persona_and_instructions_is_in_force(store: Store, wide: str, narrow: str) -> None:
    values = {"persona": "teacher", "system": "Be brief."}
    await load(store, SETTINGS, scope=SCOPES[2], **{wide: values[wide]})
    preferences = await load(store, SETTINGS, scope=SCOPES[1], **{narrow: values[narrow]})
    assert preferences.system_prompt == ("Be brief." if narrow == "system" else "You teach.")
    assert preferences.persona == ("" if narrow == "system" else "teacher")


# Models that are no longer offered


@pytest.fixture
async def models(store: Store) -> AsyncIterator[ModelRegistry]:
    api = ModelApi("http://127.0.0.1:1", "key")
    registry = ModelRegistry(api, store, SETTINGS)
    registry.is_loaded = True
    yield registry
    await api.close()


async def test_offered_model_is_kept(store: Store, models: ModelRegistry) -> None:
    preferences = await load(store, model=LLAMA)
    assert with_available_model(preferences, models) is preferences


async def test_successor_keeps_who_chose_and_where(store: Store, models: ModelRegistry) -> None:
    available = with_available_model(await load(store, model="gone/model", length="20"), models)
    choice = available.values[PreferenceName.MODEL]
    assert available.model == PHI
    assert choice.unavailable_model == "gone/model"
    assert (choice.scope, choice.set_by) == (SCOPES[0], "Bob")
    assert available.max_answer_tokens == 20
