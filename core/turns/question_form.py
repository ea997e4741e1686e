"""What the form contains that edits a question.

Discord's `/ask` leaves no message to edit. A button under the answer opens a form with the question; what the person
enters is answered like a retry (`PromptResolver`), so that the answers are variants of each other.
"""

from core.buttons import ButtonAction, parse_action
from core.conversation.quotes import split_prompt
from core.port import Adapter, Incoming
from core.services import Services
from core.store.answers import get_question
from core.turns.button_actions import find_permitted_turn


async def editable_question(services: Services, adapter: Adapter, incoming: Incoming) -> str | None:
    """The question that a press asks to edit; None if its sender may not, or it is not stored. Raises `StoreError`."""
    press = parse_action(incoming.text)
    if press is None or press.action is not ButtonAction.EDIT_QUESTION:
        return None
    turn = await find_permitted_turn(services, adapter, incoming, press)
    question = await services.store.read(get_question, turn.id) if turn is not None else None
    return split_prompt(question.text)[1] if question is not None else None
