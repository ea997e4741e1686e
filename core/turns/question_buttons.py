"""The buttons under an answer that change what was asked: the text, the model."""

import msgspec

from core.buttons import ButtonAction, encode_action, parse_action
from core.i18n.translation import gettext
from core.port import Adapter, Button, Capabilities, EventKind, Incoming
from core.store.database import Store
from core.store.retrying_store import RetryingStore
from core.store.turns import StoredTurn, get_turn
from core.texts import answers as texts

COMMANDS_WITH_QUESTION = ("ask", "new")


async def edit_buttons(
    store: Store | RetryingStore, adapter: Adapter, question: Incoming, turn_id: int, first_turn: int
) -> list[Button]:
    """The button under the answer of `turn_id` to a question that `first_turn` asked first.

    `question` is the event of `turn_id`.
    """
    if not adapter.capabilities(question.place).has_forms:
        return []
    if first_turn != turn_id:
        first = await store.read(get_turn, first_turn)
        if first is None:
            return []
        question = first.incoming
    if not _has_no_message(question):
        return []
    return [Button(gettext(texts.EDIT_QUESTION_BUTTON), encode_action(ButtonAction.EDIT_QUESTION, turn_id))]


def lasting_buttons(answered: StoredTurn | None, action: ButtonAction) -> list[Button]:
    """Those under an answer that do this, and that nothing but the turn of the answer knows."""
    stored = answered.buttons_json if answered is not None else None
    buttons = msgspec.json.decode(stored or "[]", type=tuple[Button, ...])
    presses = ((button, parse_action(button.action)) for button in buttons)
    return [button for button, press in presses if press is not None and press.action is action]


def model_buttons(capabilities: Capabilities) -> list[Button]:
    """Opens the model picker, where only the person who presses it sees that."""
    if not capabilities.has_ephemeral_messages:
        return []
    return [Button(gettext(texts.MODEL_BUTTON), encode_action(ButtonAction.SHOW_MODEL_MENU, 0))]


def _has_no_message(question: Incoming) -> bool:
    """Whether the person asked without writing a message that they can edit."""
    if question.kind is EventKind.COMMAND:
        return question.command in COMMANDS_WITH_QUESTION and question.message_id is None
    press = parse_action(question.text) if question.kind is EventKind.BUTTON else None
    return press is not None and press.action is ButtonAction.EDIT_QUESTION
