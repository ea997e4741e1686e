"""Shows the question above its answer where no other message in the chat does."""

from core.buttons import ButtonAction, ButtonPress, parse_action
from core.port import EventKind, Incoming
from core.store.answers import get_question
from core.store.turns import get_turn
from core.texts.commands import example_question
from core.texts.formatting import escape_markdown
from core.turns.claimed_turn import ClaimedTurn

REPEATING_ACTIONS = (
    ButtonAction.RETRY,
    ButtonAction.RETRY_WITH,
    ButtonAction.SHOW_VARIANT,
    ButtonAction.CHOOSE_RETRY_MODEL,
    ButtonAction.SEND_AGAIN,
)
"""Their replies are answers to the question of the turn that the press names."""


async def question_heading(claimed: ClaimedTurn) -> str:
    """Markdown above everything in the message; empty if the chat shows the question."""
    incoming = claimed.turn.incoming
    press = parse_action(incoming.text) if incoming.kind is EventKind.BUTTON else None
    if press is not None and press.action is ButtonAction.ASK_EXAMPLE:
        return as_heading(example_question(press.argument) or "")
    if press is not None and press.action in REPEATING_ACTIONS:
        return await _repeated_heading(claimed, press)
    is_unseen = incoming.place.is_foreign and incoming.kind is EventKind.PROMPT and incoming.message_id is None
    return as_heading(incoming.text) if is_unseen else ""


async def _repeated_heading(claimed: ClaimedTurn, press: ButtonPress) -> str:
    store = claimed.store
    question = await store.read(get_question, press.turn_id) if press.turn_id is not None else None
    first = await store.read(get_turn, question.first_turn) if question is not None else None
    return "" if question is None or first is None or _is_shown(first.incoming) else as_heading(question.text)


def _is_shown(asked: Incoming) -> bool:
    """Whether a message shows what this event asks."""
    if asked.kind is EventKind.BUTTON:
        press = parse_action(asked.text)
        return press is None or press.action is not ButtonAction.ASK_EXAMPLE
    return not asked.place.is_foreign or asked.message_id is not None


def as_heading(question: str) -> str:
    return f"**{escape_markdown(' '.join(question.split()))}**\n\n" if question else ""
