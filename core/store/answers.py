"""Questions, answers and reasoning of turns."""

from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, delete, func, insert, select, update

from core.api.events import UsageReport
from core.store.history import select_history
from core.store.schema import answer_parts, conversations, database_now, messages, turns
from core.store.schema import reasoning as reasoning_table
from core.store.turns import LostLeaseError, Turn, TurnState, update_owned_turn

NO_TOKENS = UsageReport()
RECENT_MESSAGES = 10
"""Whatever a context window leaves out, it is older than these."""


@dataclass(frozen=True, slots=True)
class Question:
    text: str
    turn_id: int
    is_excluded: bool = False
    """Not in the history: another turn asked it again, or it is from before /new."""


def store_answer(
    connection: Connection,
    turn: Turn,
    *,
    prompt: str,
    answer: str,
    note: str,
    model: str,
    usage: UsageReport = NO_TOKENS,
    is_personal_key: bool = False,
    replaces_last: bool = False,
    buttons_json: str | None = None,
    reasoning: str = "",
    final_state: TurnState = TurnState.DONE,
) -> bool:
    """Store the question, its answer and the cost, and set the turn to `DELIVERING`.

    Returns False if an earlier call already stored the answer but its result never arrived. `replaces_last` excludes
    the previous question and answer from the history, or this question if there is no new answer. After a /new that
    is newer than the turn, the question and its answer are excluded. An empty `answer` stores only the question, so
    that it can be asked again. `final_state` is the turn's after its delivery. Raises
    `LostLeaseError`.
    """
    conversation_id = lock_conversation(connection, turn)
    is_stored = connection.scalar(SELECT_STATE, {"turn_id": turn.id}) == TurnState.DELIVERING
    update_owned_turn(
        connection,
        turn,
        state=TurnState.DELIVERING,
        note=note,
        buttons_json=buttons_json,
        final_state=final_state,
        model=model,
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        used_personal_key=is_personal_key,
    )
    if is_stored:
        return False
    if reasoning:
        connection.execute(delete(reasoning_table).where(reasoning_table.c.turn_id == turn.id))
        connection.execute(insert(reasoning_table).values(turn_id=turn.id, text=reasoning))
    reset_by_turn = connection.scalar(SELECT_RESET_BY_TURN, {"conversation_id": conversation_id})
    if replaces_last and answer:
        _exclude_last_exchange(connection, conversation_id)
    columns = {
        "conversation_id": conversation_id,
        "turn_id": turn.id,
        "is_excluded": turn.id < (reset_by_turn or 0) or (replaces_last and not answer),
    }
    texts = {"user": prompt} | ({"assistant": answer} if answer else {})
    connection.execute(INSERT_MESSAGE, [{"role": role, "text": text, **columns} for role, text in texts.items()])
    return True


SELECT_STATE = select(turns.c.state).where(turns.c.id == bindparam("turn_id"))
SELECT_RESET_BY_TURN = select(conversations.c.reset_by_turn).where(conversations.c.id == bindparam("conversation_id"))
INSERT_MESSAGE = insert(messages).values(created_at=database_now())
LOCK_CONVERSATION = (
    select(conversations.c.id)
    .join(turns, turns.c.conversation_id == conversations.c.id)
    .where(turns.c.id == bindparam("turn_id"))
    .with_for_update(read=True, key_share=True, of=conversations)
)


def lock_conversation(connection: Connection, turn: Turn) -> int:
    """Return the conversation of a turn, and lock it against chat migration until this transaction ends.

    Call this before writing to the turn, because a chat migration locks conversations before turns. Raises
    `LostLeaseError`.
    """
    query, parameters = LOCK_CONVERSATION, {"turn_id": turn.id}
    # The first query finds nothing when the conversation was merged into another while it waited for the lock.
    conversation_id: int | None = connection.scalar(query, parameters) or connection.scalar(query, parameters)
    if conversation_id is None:
        raise LostLeaseError(f"Turn {turn.id} has no conversation")
    return conversation_id


def _exclude_last_exchange(connection: Connection, conversation_id: int) -> None:
    in_conversation = messages.c.conversation_id == conversation_id
    last = connection.scalar(
        select(func.max(messages.c.id)).where(
            in_conversation, messages.c.role == "user", messages.c.is_excluded.is_(False)
        )
    )
    connection.execute(update(messages).where(in_conversation, messages.c.id >= (last or 0)).values(is_excluded=True))


def get_answer(connection: Connection, turn_id: int) -> str:
    """An empty string if there is none."""
    query = select(messages.c.text).where(messages.c.turn_id == turn_id, messages.c.role == "assistant")
    return connection.scalar(query) or ""


def get_question(connection: Connection, turn_id: int) -> Question | None:
    """The question of a turn, even if it is excluded from the history."""
    columns = (messages.c.text, messages.c.turn_id, messages.c.is_excluded)
    query = select(*columns).where(messages.c.turn_id == turn_id, messages.c.role == "user")
    row = connection.execute(query.order_by(messages.c.id.desc()).limit(1)).first()
    return Question(*row) if row else None


def get_reasoning(connection: Connection, turn_id: int) -> str | None:
    return connection.scalar(select(reasoning_table.c.text).where(reasoning_table.c.turn_id == turn_id))


def last_question(connection: Connection, conversation_id: int) -> Question | None:
    """The last question in the history of a conversation."""
    query = select_history(conversation_id, messages.c.text, messages.c.turn_id).where(messages.c.role == "user")
    row = connection.execute(query.limit(1)).first()
    return Question(*row) if row else None


def is_recent_answer(connection: Connection, conversation_id: int, message_id: str) -> bool:
    """Whether a message of the platform belongs to one of the last answers in the history of a conversation."""
    recent = select_history(conversation_id, messages.c.turn_id).limit(RECENT_MESSAGES).subquery()
    query = select(answer_parts.c.turn_id).where(
        answer_parts.c.message_id == message_id, answer_parts.c.turn_id.in_(select(recent.c.turn_id))
    )
    return connection.scalar(query.limit(1)) is not None


def has_answers(connection: Connection, conversation_id: int, *, except_turn: int | None = None) -> bool:
    """Whether the history contains an answer of another turn than `except_turn`."""
    query = select_history(conversation_id, messages.c.id).where(messages.c.role == "assistant")
    if except_turn is not None:
        query = query.where(messages.c.turn_id != except_turn)
    return connection.scalar(query.limit(1)) is not None


def is_any_event_answered(connection: Connection, person_key: str, event_key_prefix: str) -> bool:
    """Whether an answer to an event of this person is stored whose key, as PLATFORM:ACCOUNT:KEY, begins so."""
    query = (
        select(messages.c.id)
        .join(turns, turns.c.id == messages.c.turn_id)
        .where(
            turns.c.person_key == person_key,
            turns.c.event_key.startswith(event_key_prefix, autoescape=True),
            messages.c.role == "assistant",
        )
    )
    return connection.scalar(query.limit(1)) is not None
