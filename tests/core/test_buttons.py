"""Button actions: what is written can be read, fits every platform, and stays readable for years."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.buttons import MAX_ACTION_BYTES, ButtonAction, ButtonPress, encode_action, parse_action


@given(st.sampled_from(ButtonAction), st.text(max_size=80))
def test_action_fits_and_is_parsed(action: ButtonAction, argument: str) -> None:
    text = encode_action(action, argument)
    assert len(text.encode()) <= MAX_ACTION_BYTES
    press = parse_action(text)
    assert press is not None
    assert press.action is action
    assert press.argument == argument or "#" in text


def test_long_arguments_are_told_apart() -> None:
    models = [f"some-vendor/{'very-' * 12}long-model-{number}" for number in range(3)]
    actions = {encode_action(ButtonAction.CHOOSE_MODEL, model) for model in models}
    assert len(actions) == 3
    assert all(action.startswith("m#") for action in actions)


@pytest.mark.parametrize(
    ("text", "press"),
    [
        ("stop:42", ButtonPress(ButtonAction.STOP, "42")),
        ("retry:1", ButtonPress(ButtonAction.RETRY, "1")),
        ("more:7", ButtonPress(ButtonAction.CONTINUE, "7")),
        ("again:9", ButtonPress(ButtonAction.SEND_AGAIN, "9")),
        ("think:9", ButtonPress(ButtonAction.SHOW_REASONING, "9")),
        ("m:microsoft/phi-4", ButtonPress(ButtonAction.CHOOSE_MODEL, "microsoft/phi-4")),
        ("m#0123456789abcdef01234567", ButtonPress(ButtonAction.CHOOSE_MODEL, "0123456789abcdef01234567")),
        ("mp:3", ButtonPress(ButtonAction.SHOW_MODEL_MENU, "3")),
        ("ml:2:llama: 3#1", ButtonPress(ButtonAction.SHOW_MODEL_LIST, "2:llama: 3#1")),
        ("launch:1", None),
        ("stop", None),
        ("", None),
    ],
)
def test_buttons_of_old_messages_still_work(text: str, press: ButtonPress | None) -> None:
    assert parse_action(text) == press


@pytest.mark.parametrize("argument", ["", "x", "-1", "1:2", "９", "1" * 19])
def test_invalid_turn_is_none(argument: str) -> None:
    assert ButtonPress(ButtonAction.STOP, argument).turn_id is None


@pytest.mark.parametrize("text", ["mp:2", "mf:2", "ml:2:llama", "try:1", "m:1", "p:1", "s:1"])
def test_pages_positions_and_names_are_no_turns(text: str) -> None:
    press = parse_action(text)
    assert press is not None
    assert press.turn_id is None


@pytest.mark.parametrize("text", ["stop:2", "v:2", "import:2", "with:2:0123456789ab"])
def test_turn_is_read(text: str) -> None:
    press = parse_action(text)
    assert press is not None
    assert press.turn_id == 2
