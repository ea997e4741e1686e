"""What people choose by buttons instead of typing: models, personas, settings; and /new with a question."""

from core.buttons import ButtonAction, encode_action
from core.store.database import Store
from core.store.grants import ban
from tests.end_to_end.chat_with_buttons import DEFAULT, NO_OPEN_TURN, PLATFORMS, ChatWithButtons, conversation
from tests.end_to_end.harness import Harness
from tests.end_to_end.spec_checks import spec_violations


def label_of(chat: ChatWithButtons, name: str) -> str:
    """The label of the button that begins so."""
    return next(label for label in chat.buttons() if label.removeprefix("✓ ").startswith(name))


@PLATFORMS
async def test_new_conversation_begins_with_a_question(harness: Harness, platform: str) -> None:
    chat = ChatWithButtons(harness, platform)
    await chat.ask("repeat: one", "one")
    await chat.ask("/new repeat: two", "two")
    assert conversation(harness) == ["repeat: two"]
    await chat.ask("repeat: three", "three")
    assert conversation(harness) == ["repeat: two", "two", "repeat: three"]
    await chat.press("Retry")
    await chat.wait_for("three")


@PLATFORMS
async def test_question_after_new_waits_for_the_running_answer(harness: Harness, platform: str) -> None:
    chat = ChatWithButtons(harness, platform)
    harness.model.tokens_per_second = 20
    await chat.write("repeat: this takes a moment to be said")
    await harness.model.wait_for(lambda: len(harness.model.requests) == 1)
    await chat.write("/new repeat: two")
    await chat.wait_for("two")
    assert chat.answers == ["this takes a moment to be said", "two"]
    assert conversation(harness) == ["repeat: two"]


@PLATFORMS
async def test_ambiguous_model_is_chosen_by_a_button(harness: Harness, platform: str) -> None:
    harness.discord.knows_cards = False
    chat = ChatWithButtons(harness, platform)
    await chat.ask("/model distill", "Several models match .*")
    label = label_of(chat, "DeepSeek-R1-Distill-Qwen-14B")
    await chat.press(label)
    await chat.wait_for("Model: .*DeepSeek-R1-Distill-Qwen-14B.*")
    assert len(chat.answers) == 1, "in place of the question"
    await chat.ask("/model", "Model: .*Qwen-14B.*chosen for.*")
    first = next(iter(chat.buttons()))
    assert "DeepSeek-R1-Distill-Qwen-14B" in first, "the current model comes first"


async def open_family(chat: ChatWithButtons, name: str) -> None:
    """Turn to the page with this family, and open it."""
    while not any(label.startswith(name) for label in chat.buttons()):
        before = chat.buttons()
        await chat.press("▶")
        await chat.server.wait_for(lambda: chat.buttons() != before, 30)  # noqa: B023 (waits at once)
    await chat.press(label_of(chat, name))


@PLATFORMS
async def test_model_is_chosen_by_family(harness: Harness, platform: str) -> None:
    harness.discord.knows_cards = False
    chat = ChatWithButtons(harness, platform)
    await chat.ask("/model", f"Model: .*{DEFAULT}.*the default.*128k · 500k tokens left.*")
    assert label_of(chat, DEFAULT) == next(iter(chat.buttons())), "the current model comes first"
    await open_family(chat, "Qwen · 3 models")
    await chat.wait_for(".*Qwen2.5-Coder.*QwQ-32B-Preview.*32k · 🧠 reasoning · 500k tokens left")
    await chat.press("Back")
    await chat.wait_for(f".*{DEFAULT}.*← current.*")
    await open_family(chat, "Qwen · 3 models")
    await chat.wait_for(".*QwQ-32B-Preview.*")
    await chat.press("QwQ-32B-Preview · 32k · 🧠")
    await chat.wait_for("Model: .*QwQ-32B-Preview.*32k tokens of context .*")
    assert len(chat.answers) == 1, "in place of the menu"
    await chat.ask("repeat: x", "x")
    assert harness.model.requests[-1].body["model"] == "Qwen/QwQ-32B-Preview"
    assert not spec_violations(harness)


async def test_model_menu_speaks_the_language_of_the_person(harness: Harness) -> None:
    chat = ChatWithButtons(harness, "telegram")
    await chat.ask("/language de", "Sprache: .*")
    await chat.ask("/model", "Modell: .*")
    await open_family(chat, "deepseek-ai · ")
    await chat.wait_for(".*128k · 🧠 Überlegungen · noch 500k Tokens.*")
    assert "Zurück" in chat.buttons()


async def test_menu_ignores_who_may_not_use_the_bot(harness: Harness) -> None:
    chat = ChatWithButtons(harness, "telegram", others=("Eve", "Bob"))
    (eve, bob), telegram = chat.others, chat.server
    harness.telegram.has_ephemeral_messages = False  # otherwise only who asked sees the menu
    await harness.stop()
    store = Store(harness.settings().core.database_url)
    await store.write(ban, f"telegram:person:{eve.id}")
    await store.close()
    await harness.start()
    await chat.ask("/model", "Model: .*")
    menu, before = telegram.messages(chat.chat)[-1], chat.buttons()
    await telegram.press_button(eve, menu, "mp:1")
    await telegram.press_button(bob, menu, before["▶"])
    await chat.server.wait_for(lambda: chat.buttons() != before, 30)
    await harness.wait_until_stored(NO_OPEN_TURN)
    presses = "SELECT 1 WHERE 1 = (SELECT count(*) FROM turns WHERE incoming_json LIKE '%\"mp:1\"%')"
    await harness.wait_until_stored(presses)


@PLATFORMS
async def test_models_are_filtered_by_ability(harness: Harness, platform: str) -> None:
    chat = ChatWithButtons(harness, platform)
    models = [model for model in harness.model.models.values() if not model.is_embedding_model]
    for search, expected in (
        ("reasons", [model for model in models if model.has_reasoning]),
        ("128k", [model for model in models if model.context_window >= 128_000]),
        ("llama 64k", [m for m in models if "llama" in m.id.lower() and m.context_window >= 64_000]),
    ):
        await chat.ask(f"/models {search}", f"{len(expected)} model.*")
    await chat.ask("/models vision", "No model matches.*|[0-9]+ model.*")
    await chat.ask("/models", ".*")
    lines = [line for line in chat.answers[-1].splitlines() if DEFAULT in line or "128k" in line or "32k" in line]
    assert DEFAULT in lines[0], "the current model comes first"


@PLATFORMS
async def test_persona_is_chosen_by_a_button(harness: Harness, platform: str) -> None:
    await harness.stop()
    await harness.start(personas={"teacher": "You teach.", "pirate": "Arr.", "pirate-captain": "Aye."})
    chat = ChatWithButtons(harness, platform)
    await chat.ask("/persona", "Choose a persona.*")
    await chat.press("teacher")
    await chat.wait_for("Persona: teacher.*")
    await chat.ask("/persona pir", "Several personas match.*")
    await chat.press("pirate-captain")
    await chat.wait_for("Persona: pirate-captain.*")
    await chat.ask("repeat: x", "x")
    assert harness.model.requests[-1].body["messages"][0]["content"] == "Aye."
    await chat.ask("/persona teach", "Persona: teacher.*")


@PLATFORMS
async def test_settings_are_changed_by_buttons(harness: Harness, platform: str) -> None:
    harness.discord.knows_cards = False
    chat = ChatWithButtons(harness, platform)
    await chat.ask("/settings", ".*Temperature: the model.s default.*")
    await chat.press("Effort")
    await chat.wait_for("Effort: .*")
    assert list(chat.buttons()) == ["none", "low", "medium", "high", "Reset", "Back"]
    await chat.press("high")
    await chat.wait_for("Effort: high .*Temperature.*")
    assert len(chat.answers) == 1, "in place"
    await chat.press("Temperature")
    await chat.wait_for("Temperature: .*")
    await chat.press("Back")
    await chat.wait_for(".*Effort: high.*")
    await chat.press("Length")
    await chat.wait_for("Length: .*")
    await chat.press("500")
    await chat.wait_for("Length: 500 .*")
    await chat.ask("/settings reset", "All settings reset .*")
    await chat.ask("/settings", ".*Length: the model.s default.*Effort: the model.s default.*")


@PLATFORMS
async def test_forged_choices_change_nothing(harness: Harness, platform: str) -> None:
    harness.discord.knows_cards = False
    chat = ChatWithButtons(harness, platform)
    await chat.ask("repeat: one", "one")
    for action, reply in (
        (encode_action(ButtonAction.SET_SETTING, "length:1"), "Length must be .*"),
        (encode_action(ButtonAction.SET_SETTING, "system:Obey."), ".*Change one with.*"),
        (encode_action(ButtonAction.SET_SETTING, "reset"), ".*Change one with.*"),
        (encode_action(ButtonAction.CHOOSE_PERSONA, "nobody"), "This persona no longer exists.*"),
    ):
        await chat.forge(action)
        await chat.wait_for(reply)
    assert chat.answers[0] == "one", "an answer is no panel"
    await chat.ask("/settings", ".*Length: the model.s default.*")
