"""What a request contains: instructions, summary, history and question, and how long the answer may be."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from types import MappingProxyType

import pytest

from core.api.client import Message, ModelApi
from core.api.events import UsageReport
from core.api.images import MessageImage
from core.conversation.composer import SUMMARY_HEADING, Composer, ImageLoader
from core.conversation.context_window import PromptTooLongError, answer_reserve
from core.conversation.model_registry import ModelRegistry
from core.conversation.preferences import EffectivePreference, Preferences
from core.conversation.token_estimator import TokenEstimators
from core.settings import Settings
from core.store.database import Store
from core.store.history import ConversationSummary, load_history, save_summary
from core.store.image_references import ImageReference
from core.store.preferences import PreferenceName
from tests.core.store.many_rows import insert_messages
from tests.core.store.turn_helpers import accept, answer, claim, history_texts
from tests.sqlite import sqlite_url

PHI, DEEPSEEK = "microsoft/phi-4", "deepseek-ai/DeepSeek-R1"
PHI_WINDOW = 16_000
SMALL_WINDOW = 600
LONG_ANSWER = "many words " * 100


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    store = Store(sqlite_url(tmp_path))
    await store.open()
    yield store
    await store.close()


@pytest.fixture
async def composer(store: Store) -> AsyncIterator[Composer]:
    api = ModelApi("http://127.0.0.1:1", "key")
    yield Composer(store, ModelRegistry(api, store, Settings()), TokenEstimators(store))
    await api.close()


def make_preferences(**changed: str) -> Preferences:
    """`changed`: values by the name that people type."""
    values = {name: EffectivePreference("", None) for name in PreferenceName}
    values |= {PreferenceName(name): EffectivePreference(value, None) for name, value in changed.items()}
    return Preferences((), MappingProxyType(values), {}, is_shared=False)


PREFERENCES = make_preferences(system="Be kind.")


async def converse(store: Store, *prompts: str, text: str = "an answer") -> int:
    """Store these questions, each with `text` as its answer; return the conversation's ID."""
    conversation_id = 0
    for prompt in prompts:
        await accept(store, prompt)
        (turn,) = await claim(store)
        await answer(store, turn, prompt, text)
        conversation_id = turn.conversation_id
    return conversation_id


async def test_request_is_instructions_history_and_question(store: Store, composer: Composer) -> None:
    conversation_id = await converse(store, "one", "two")
    composed = await composer.compose(conversation_id, None, PREFERENCES, "three", PHI)
    assert composed.request.messages == (
        Message("system", "Be kind."),
        Message("user", "one"),
        Message("assistant", "an answer"),
        Message("user", "two"),
        Message("assistant", "an answer"),
        Message("user", "three"),
    )
    assert composed.request.model == PHI
    assert composed.context_tokens == PHI_WINDOW
    assert not composed.has_summary
    assert composed.unsummarised == ()


async def test_later_messages_are_not_seen(store: Store, composer: Composer) -> None:
    conversation_id = await converse(store, "one", "two")
    composed = await composer.compose(conversation_id, 2, PREFERENCES, "two again", PHI)
    assert [message.content for message in composed.request.messages[1:]] == ["one", "an answer", "two again"]


async def test_repeated_question_and_its_answer_are_left_out(store: Store, composer: Composer) -> None:
    conversation_id = await converse(store, "one", "two")
    composed = await composer.compose(conversation_id, None, PREFERENCES, "two", PHI, replaces_last=True)
    assert [message.content for message in composed.request.messages[1:]] == ["one", "an answer", "two"]


async def test_first_question_of_conversation_can_be_repeated(store: Store, composer: Composer) -> None:
    conversation_id = await converse(store, "one")
    composed = await composer.compose(conversation_id, None, PREFERENCES, "one", PHI, replaces_last=True)
    assert [message.content for message in composed.request.messages[1:]] == ["one"]
    composed = await composer.compose(conversation_id + 1, None, PREFERENCES, "one", PHI, replaces_last=True)
    assert [message.content for message in composed.request.messages[1:]] == ["one"]


async def test_unanswered_questions_are_left_out(store: Store, composer: Composer) -> None:
    conversation_id = await converse(store, "one")
    await converse(store, "refused", "stopped", text="")
    await converse(store, "two")
    await converse(store, "failed", text="")
    composed = await composer.compose(conversation_id, None, PREFERENCES, "three", PHI)
    contents = [message.content for message in composed.request.messages]
    assert contents == ["Be kind.", "one", "an answer", "two", "an answer", "three"]
    stored = await history_texts(store, conversation_id)
    assert {"refused", "stopped", "failed"} < set(stored), "the stored history is complete"


async def test_repeated_unanswered_question_keeps_the_answers_before_it(store: Store, composer: Composer) -> None:
    conversation_id = await converse(store, "one")
    await converse(store, "failed", text="")
    composed = await composer.compose(conversation_id, None, PREFERENCES, "failed", PHI, replaces_last=True)
    assert [message.content for message in composed.request.messages[1:]] == ["one", "an answer", "failed"]


async def test_oversized_unanswered_question_leaves_the_context(store: Store, composer: Composer) -> None:
    conversation_id = await converse(store, "one")
    await converse(store, LONG_ANSWER * 3, text="")
    composed = await composer.compose(conversation_id, None, PREFERENCES, "two", PHI, context_tokens=SMALL_WINDOW)
    assert [message.content for message in composed.request.messages[1:]] == ["one", "an answer", "two"]


async def test_instructions_can_be_extended(store: Store, composer: Composer) -> None:
    composed = await composer.compose(
        1, None, PREFERENCES, "hi", PHI, extend_instructions=lambda text: f"{text} Use the notes."
    )
    assert composed.request.messages[0] == Message("system", "Be kind. Use the notes.")


async def test_summary_replaces_messages_that_do_not_fit(store: Store, composer: Composer) -> None:
    conversation_id = await converse(store, "one", "two", "three", text=LONG_ANSWER)
    await store.write(save_summary, conversation_id, ConversationSummary(2, "Ann counts."), PHI, 0)
    composed = await composer.compose(conversation_id, None, PREFERENCES, "four", PHI, context_tokens=SMALL_WINDOW)
    assert composed.has_summary
    assert composed.request.messages[0] == Message("system", f"Be kind.\n\n{SUMMARY_HEADING}Ann counts.")
    assert "one" not in [message.content for message in composed.request.messages]
    left_out = composed.history.messages[: composed.prompt.omitted]
    assert composed.unsummarised == left_out[2:], "two messages are in the summary"
    assert len(left_out) > 2
    assert composed.context_tokens == SMALL_WINDOW


async def test_summary_alone_is_the_instructions(store: Store, composer: Composer) -> None:
    conversation_id = await converse(store, "one", "two", "three", text=LONG_ANSWER)
    await store.write(save_summary, conversation_id, ConversationSummary(2, "Ann counts."), PHI, 0)
    composed = await composer.compose(
        conversation_id, None, make_preferences(), "four", PHI, context_tokens=SMALL_WINDOW
    )
    assert composed.request.messages[0] == Message("system", f"{SUMMARY_HEADING}Ann counts.")


async def test_summary_is_not_sent_while_everything_fits(store: Store, composer: Composer) -> None:
    conversation_id = await converse(store, "one", "two", "three", text=LONG_ANSWER)
    await store.write(save_summary, conversation_id, ConversationSummary(2, "Ann counts."), PHI, 0)
    composed = await composer.compose(conversation_id, None, PREFERENCES, "four", PHI)
    assert not composed.has_summary
    assert composed.request.messages[0] == Message("system", "Be kind.")
    assert composed.prompt.omitted == 0


async def test_summary_that_leaves_no_room_for_the_question_is_left_out(store: Store, composer: Composer) -> None:
    conversation_id = await converse(store, "one", text=LONG_ANSWER * 3)
    await store.write(save_summary, conversation_id, ConversationSummary(2, "long " * 500), PHI, 0)
    composed = await composer.compose(conversation_id, None, PREFERENCES, "two", PHI, context_tokens=SMALL_WINDOW)
    assert not composed.has_summary
    assert composed.request.messages == (Message("system", "Be kind."), Message("user", "two"))


async def test_of_a_long_history_little_more_is_loaded_than_fits(store: Store, composer: Composer) -> None:
    conversation_id = await converse(store, "first")
    await store.write(insert_messages, conversation_id, 1000)
    composed = await composer.compose(conversation_id, None, PREFERENCES, "next", PHI, context_tokens=4000)
    used_tokens = composed.prompt.estimated_tokens + composed.prompt.reserve_tokens
    assert used_tokens > 0.9 * (4000 - answer_reserve(4000)), "the window is full"
    assert composed.prompt.omitted
    assert len(composed.history.messages) <= 4 * len(composed.request.messages)


async def test_counted_history_is_loaded_although_its_estimate_is_too_high(store: Store, composer: Composer) -> None:
    """The service counts this text as a quarter of the tokens that such text has elsewhere."""
    text = "la " * 80
    for _ in range(30):
        await composer.estimators.record_usage(
            PHI, 999, [Message("user", text)], UsageReport(70), "", has_reasoning=False
        )
    conversation_id = await converse(store, *(f"{number} {text}" for number in range(70)), text=text)
    loaded = (await store.read(load_history, conversation_id, None, 2000)).messages
    messages = [Message("system", "Be kind."), *(Message(message.role, message.text) for message in loaded)]
    usage = UsageReport(prompt_tokens=20 * len(messages), completion_tokens=20)
    await composer.estimators.record_usage(PHI, conversation_id, messages[:-1], usage, text, has_reasoning=False)
    composed = await composer.compose(conversation_id, None, PREFERENCES, "next", PHI, context_tokens=6000)
    assert composed.prompt.omitted == 0
    assert len(composed.request.messages) == len(messages) + 1


async def test_question_that_does_not_fit_is_refused(composer: Composer) -> None:
    with pytest.raises(PromptTooLongError):
        await composer.compose(1, None, PREFERENCES, LONG_ANSWER * 3, PHI, context_tokens=SMALL_WINDOW)


async def test_preferences_become_parameters(composer: Composer) -> None:
    preferences = make_preferences(temperature="0.5", effort="low", length="300")
    request = (await composer.compose(1, None, preferences, "hi", DEEPSEEK)).request
    assert (request.temperature, request.reasoning_effort, request.max_tokens) == (0.5, "low", 300)
    assert request.has_reasoning
    request = (await composer.compose(1, None, PREFERENCES, "hi", PHI)).request
    assert (request.temperature, request.reasoning_effort, request.max_tokens) == (None, None, None)
    assert not request.has_reasoning
    assert not (await composer.compose(1, None, PREFERENCES, "hi", "unknown/model")).request.has_reasoning


async def test_answer_length_is_bounded_by_what_the_window_leaves(composer: Composer) -> None:
    preferences = make_preferences(length="100000")
    composed = await composer.compose(1, None, preferences, "words " * 50, PHI, context_tokens=SMALL_WINDOW)
    assert composed.request.max_tokens == composed.prompt.remaining_tokens(SMALL_WINDOW)
    assert answer_reserve(SMALL_WINDOW, 100_000) <= composed.request.max_tokens < SMALL_WINDOW


async def test_pictures_of_last_questions_are_sent_again(store: Store, composer: Composer) -> None:
    """The newest first, as long as the request has room for them; marks stand for the others."""
    images = [
        tuple(ImageReference("photo", f"{number}{n}.png", "f") for n in "ab"[:count])
        for number, count in enumerate((1, 2, 1))
    ]
    conversation_id = 0
    for number, references in enumerate(images):
        await accept(store, f"u{number}")
        (turn,) = await claim(store)
        conversation_id = turn.conversation_id
        await answer(store, turn, f"{number}?", f"{number}.", images=references)

    async def load_images(references: Sequence[ImageReference]) -> list[MessageImage | None]:
        return [MessageImage(reference.name, 280, 280) for reference in references]

    async def contents(max_images: int, load: ImageLoader | None = load_images) -> list[tuple[str, list[str]]]:
        composed = await composer.compose(
            conversation_id, None, PREFERENCES, "and?", PHI, load_images=load, max_images=max_images
        )
        messages = [message for message in composed.request.messages if message.role == "user"]
        return [(message.content, [image.data_url for image in message.images]) for message in messages]

    first: tuple[str, list[str]] = ("0?\n\n[photo 0a.png]", [])
    assert await contents(5) == [first, ("1?", ["1a.png", "1b.png"]), ("2?", ["2a.png"]), ("and?", [])]
    second: tuple[str, list[str]] = ("1?\n\n[photo 1a.png] [photo 1b.png]", [])
    assert await contents(2) == [first, second, ("2?", ["2a.png"]), ("and?", [])]
    assert await contents(5, None) == [first, second, ("2?\n\n[photo 2a.png]", []), ("and?", [])]
