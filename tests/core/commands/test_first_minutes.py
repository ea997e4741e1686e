"""What somebody sees who meets the bot for the first time."""

from pathlib import Path

import pytest

from bots.sandbox.model import ModelStandIn
from core.buttons import ButtonAction, encode_action
from core.port import Button, EventKind, Incoming, MenuItem, Part, Place, Sender
from core.texts.answers import OUTDATED_BUTTON
from core.texts.commands import EXAMPLE_QUESTIONS
from tests.core.turns.fake_adapter import FakeAdapter, running_engine


class ButtonAdapter(FakeAdapter):
    """`buttons` and `menus` are those of the last message."""

    def __init__(self) -> None:
        super().__init__()
        self.buttons: tuple[Button, ...] = ()
        self.menu: tuple[MenuItem, ...] = ()

    def _show(self, message_id: str, part: Part) -> None:
        super()._show(message_id, part)
        self.buttons, self.menu = part.buttons, part.menu


async def press_and_wait(chat: ButtonAdapter, action: str, message_id: str) -> None:
    """Press a button that leads to a new message."""
    count = len(chat.messages)
    await chat.press(action, message_id)
    await chat.wait_until(lambda: len(chat.messages) > count)


@pytest.mark.parametrize("command", ["/start", "/help"])
async def test_press_on_an_example_asks_it(tmp_path: Path, model: ModelStandIn, command: str) -> None:
    async with running_engine(tmp_path, model, ButtonAdapter()) as chat:
        assert isinstance(chat, ButtonAdapter)
        await chat.ask(command)
        assert [button.label for button in chat.buttons] == list(EXAMPLE_QUESTIONS)
        await press_and_wait(chat, chat.buttons[1].action, list(chat.messages)[-1])
        assert model.requests[-1].body["messages"][-1]["content"] == EXAMPLE_QUESTIONS[1]


@pytest.mark.parametrize("language", ["en", "de"])
async def test_answers_to_examples_show_their_questions(tmp_path: Path, model: ModelStandIn, language: str) -> None:
    model.answer = lambda _body: "an answer"
    async with running_engine(tmp_path, model, ButtonAdapter()) as chat:
        assert isinstance(chat, ButtonAdapter)
        await chat.ask(f"/language {language}")
        await chat.ask("/start")
        examples, message_id = chat.buttons[:2], list(chat.messages)[-1]
        for example in examples:
            await press_and_wait(chat, example.action, message_id)
            assert chat.texts[-1] == f"**{example.label}**\n\nan answer"
        answer_id = list(chat.messages)[-1]
        model.answer = lambda _body: "another answer"
        (retry,) = [button.action for button in chat.buttons if button.action.startswith("retry")]
        await chat.press(retry, answer_id)
        await chat.wait_for_text("another answer")
        assert chat.texts[-1] == f"**{examples[1].label}**\n\nanother answer"
        (other,) = [button.action for button in chat.buttons if button.label == "▶"]
        await chat.press(other, answer_id)
        await chat.wait_until(lambda: "another" not in chat.texts[-1])
        assert chat.texts[-1] == f"**{examples[1].label}**\n\nan answer"


async def test_groups_get_no_examples(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model, ButtonAdapter()) as chat:
        assert isinstance(chat, ButtonAdapter)
        await chat.ask("/start", group="-7")
        assert chat.buttons == ()


@pytest.mark.parametrize("argument", ["3", "-1", "x", ""])
async def test_forged_example_asks_nothing(tmp_path: Path, model: ModelStandIn, argument: str) -> None:
    async with running_engine(tmp_path, model) as chat:
        await chat.press(encode_action(ButtonAction.ASK_EXAMPLE, argument), "1")
        await chat.wait_for_text(OUTDATED_BUTTON)
        assert not model.requests


@pytest.mark.parametrize("payload", ["model_phi-4", "model_microsoft_phi-4"])
async def test_link_suggests_a_model_and_a_press_chooses_it(tmp_path: Path, model: ModelStandIn, payload: str) -> None:
    async with running_engine(tmp_path, model, ButtonAdapter()) as chat:
        assert isinstance(chat, ButtonAdapter)
        assert "suggests a model" in await chat.ask(f"/start {payload}")
        (item,) = chat.menu
        assert item.label == "phi-4"
        assert "Llama-3.3" in await chat.ask("/model"), "a link alone chooses nothing"
        await chat.press(item.action, next(iter(chat.messages)))
        await chat.wait_for_text("phi-4")
        await chat.ask("repeat: hello")
        assert model.requests[-1].body["model"] == "microsoft/phi-4"


async def test_link_that_matches_a_few_models_offers_them(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model, ButtonAdapter()) as chat:
        assert isinstance(chat, ButtonAdapter)
        assert "matches several models. Press a button" in await chat.ask("/start model_llama")
        assert len(chat.menu) in range(2, 6)


async def test_link_that_fits_many_models_offers_the_best_matches(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model, ButtonAdapter()) as chat:
        assert isinstance(chat, ButtonAdapter)
        text = await chat.ask("/start model_a")
        assert "matches several models" in text
        assert "/models a" in text
        assert len(chat.menu) == 5
        assert "Llama" in await chat.ask("/models a")


async def test_link_to_a_model_that_is_not_offered_says_so(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model, ButtonAdapter()) as chat:
        assert isinstance(chat, ButtonAdapter)
        assert "suggests a model that is not offered here. See /models" in await chat.ask("/start model_nothing")
        assert (len(chat.menu), len(chat.buttons)) == (0, len(EXAMPLE_QUESTIONS))


@pytest.mark.parametrize("payload", ["model_", "promo_17", "model_phi-4 extra words", "x" * 64])
async def test_other_links_only_greet(tmp_path: Path, model: ModelStandIn, payload: str) -> None:
    async with running_engine(tmp_path, model, ButtonAdapter()) as chat:
        assert isinstance(chat, ButtonAdapter)
        assert "The link" not in await chat.ask(f"/start {payload}")
        assert chat.menu == ()


async def test_greeting_in_a_group_says_what_the_bot_hears(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model) as chat:
        added = Incoming(EventKind.ADDED, "u1", Place("fake", "1", "-7"), Sender("fake", "5", "Ann"), "")
        await chat.inbox(added)
        await chat.inbox(added)
        await chat.wait_for_text("Use /ask, mention me or reply to one of my messages.")
        assert len(chat.messages) == 1
