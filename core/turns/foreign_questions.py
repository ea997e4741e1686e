"""Questions from chats that the bot does not see (`Place.is_foreign`).

The only message that the bot can write there is the answer. So a press counts only if it is on a button of an answer to
the person who presses; anything else has no effect, because the reply would take the place of the answer.
"""

from dataclasses import replace

from core.buttons import ButtonAction, parse_action
from core.port import Button, Incoming
from core.store.answer_parts import list_sent_parts
from core.store.database import Store
from core.store.turns import get_turn

ACTIONS = (ButtonAction.STOP, ButtonAction.RETRY, ButtonAction.RETRY_WITH)


def retry_buttons(buttons: tuple[Button, ...], *, has_text: bool) -> tuple[Button, ...]:
    """The buttons that ask again, if there is no answer text; otherwise none."""
    presses = ((button, parse_action(button.action)) for button in buttons)
    return () if has_text else tuple(button for button, press in presses if press is not None and press.is_retry)


async def press_on_own_answer(store: Store, incoming: Incoming) -> Incoming | None:
    """The press, in the place of the question; None if it is not on an answer to a question of the same person."""
    press = parse_action(incoming.text)
    if press is None or press.action not in ACTIONS or press.turn_id is None:
        return None
    turn = await store.read(get_turn, press.turn_id)
    if turn is None or not _is_by_same_person(turn.incoming, incoming):
        return None
    if turn.incoming.place != incoming.place:  # where the platform has created the message, the place names no message
        sent = await store.read(list_sent_parts, turn.id)
        if incoming.message_id not in {part.message_id for part in sent.values()}:
            return None
    return replace(incoming, place=turn.incoming.place)


def _is_by_same_person(question: Incoming, press: Incoming) -> bool:
    is_same_account = question.place.account_key == press.place.account_key
    return question.place.is_foreign and is_same_account and question.sender.user == press.sender.user
