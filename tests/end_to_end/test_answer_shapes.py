"""Answers and errors that services send in other forms than most, on both platforms, as people see them."""

import pytest

from bots.sandbox.model import faults
from bots.sandbox.model.answer_shapes import AnswerShape
from bots.sandbox.model.faults import ReasoningFormat
from bots.sandbox.model.refusals import refuse
from bots.sandbox.model.script import ScriptedAnswer
from core.texts import answers as texts
from tests.end_to_end.harness import Harness
from tests.end_to_end.private_chat import PrivateChat

REASONING_MODEL = "DeepSeek-R1-Distill-Llama-8B"
REASONING_FORMATS = (
    ReasoningFormat.THINK_TAGS,
    ReasoningFormat.BRACKET_TAGS,
    ReasoningFormat.PREFIXED_TAGS,
    ReasoningFormat.UPPERCASE_TAGS,
    ReasoningFormat.FINAL_TAG,
)
SECOND_BLOCK = "<think>a</think>The first half. <think>c</think>The second half."


@pytest.fixture(params=["telegram", "discord"])
def chat(harness: Harness, request: pytest.FixtureRequest) -> PrivateChat:
    return PrivateChat(harness, request.param)


async def test_answer_in_any_shape_is_shown(harness: Harness, chat: PrivateChat) -> None:
    for shape in (
        AnswerShape.PARTS,
        AnswerShape.OBJECT,
        AnswerShape.OBJECT_EVENT,
        AnswerShape.PAIRS,
        AnswerShape.HALVES,
        AnswerShape.MESSAGES,
        AnswerShape.PINGS,
    ):
        harness.model.answer_shape = shape
        assert await chat.ask(f"repeat: 😀 as {shape}", f"as {shape}") == f"😀 as {shape}"
    assert len(harness.model.requests) == 7


async def test_reasoning_under_any_tag_is_separated(harness: Harness, chat: PrivateChat) -> None:
    await chat.ask(f"/model {REASONING_MODEL}", REASONING_MODEL)
    for number, reasoning_format in enumerate(REASONING_FORMATS):
        harness.model.reasoning_format = reasoning_format
        assert await chat.ask(f"repeat: answer {number}", f"answer {number}") == f"answer {number}"
    harness.model.answer = lambda _body: SECOND_BLOCK
    assert await chat.ask("more", "second half") == "The first half. The second half."
    harness.model.answer = lambda _body: "Use the `<think>` tag."
    assert "<think>" in await chat.ask("which tag?", "tag.")


async def test_silent_reasoning_is_waited_for(harness: Harness, chat: PrivateChat) -> None:
    await harness.stop()
    await harness.start(first_token_timeout=0.5, reasoning_timeout=30)
    model = harness.model
    model.reasoning_format, model.tokens_per_second = ReasoningFormat.SILENT, 50
    model.answer = lambda _body: ScriptedAnswer("done", "hm " * 100)
    await chat.ask(f"/model {REASONING_MODEL}", REASONING_MODEL)
    assert await chat.ask("hello", "done") == "done"
    assert len(model.requests) == 1


async def test_unclosed_reasoning_is_shown_with_note(harness: Harness, chat: PrivateChat) -> None:
    harness.model.answer = lambda _body: "<think>I am still wondering"
    answer = await chat.ask("hello", "I am still wondering")
    assert texts.ONLY_REASONING in answer
    assert len(harness.model.requests) == 1


async def test_unreadable_event_is_noted(harness: Harness, chat: PrivateChat) -> None:
    harness.model.answer_shape = AnswerShape.DAMAGED
    answer = await chat.ask("repeat: before and after", "before")
    assert "after" in answer
    assert texts.ANSWER_HAS_GAP in answer


async def test_another_model_answers_after_comments_only(harness: Harness, chat: PrivateChat) -> None:
    model = "meta-llama/Llama-3.3-70B-Instruct"
    comments = faults.respond_with(200, b": keep-alive\n\n" * 3, content_type="text/event-stream")
    harness.model.fail_next(comments, times=None, model=model)
    assert "Llama-3.3-70B-Instruct is unavailable. Answered by" in await chat.ask("repeat: hello", "hello", 30)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("region", "does not serve the country"),
        ("proxy", "A firewall blocks this bot"),
        ("content", "Rephrase your question"),
        ("credit", "has no credit left"),
        ("balance", "has no credit left"),
        ("minute", "is busy"),
        ("key", "API key"),
        ("internal", "internal error"),
        ("provider", "has no credit left"),
        ("guardrail", "Rephrase your question"),
        ("unsupported", "no longer available"),
    ],
)
async def test_refusal_names_its_cause(harness: Harness, chat: PrivateChat, name: str, message: str) -> None:
    harness.model.fault_hook = refuse(name)
    await chat.ask("repeat: hello", message, 30)
    harness.model.fault_hook = None
    await chat.ask("repeat: hello again", "hello again")
    if name == "minute":
        assert harness.model.requests[-1].body["model"] == harness.model.requests[0].body["model"], "not for the day"


async def test_service_without_streaming_answers(harness: Harness, chat: PrivateChat) -> None:
    harness.model.fault_hook = refuse("streaming")
    for _ in range(2):
        assert await chat.ask("repeat: all at once", "all at once") == "all at once"
    streamed = [request for request in harness.model.requests if request.body.get("stream")]
    assert len(streamed) == 1, "the bot remembers it"


async def test_paused_model_names_its_cause(harness: Harness, chat: PrivateChat) -> None:
    harness.model.fault_hook = refuse("internal")
    for _ in range(3):
        await chat.ask("hello", "internal error", 30)
    sent = len(harness.model.requests)
    answer = await chat.ask("hello", "internal error")
    assert "The model is busy: try again in about" in answer
    assert len(harness.model.requests) == sent


async def test_empty_answers_stop_nobody(harness: Harness, chat: PrivateChat) -> None:
    for _ in range(4):
        await chat.ask("empty", "The model returned no answer.", 30)
    assert await chat.ask("repeat: still there", "still there") == "still there"


async def test_wrong_address_is_the_operators(harness: Harness, chat: PrivateChat) -> None:
    await harness.stop()
    await harness.start(base_url=harness.model.base_url.removesuffix("api/v1/"))
    answer = await chat.ask("hello", "address")
    assert "Only the bot's operator" in answer
    assert "no longer available" not in answer
