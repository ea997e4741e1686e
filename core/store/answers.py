"""Questions, answers and reasoning of turns."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, bindparam, delete, func, insert, select, update

from core.api.events import UsageReport
from core.scopes import person_key
from core.store.history import delete_summary_of, delete_summary_of_other_branch, select_history
from core.store.image_references import ImageReference, decode_references, encode_references
from core.store.schema import answer_parts, conversations, database_now, messages, turns
from core.store.schema import reasoning as reasoning_table
from core.store.turns import LostLeaseError, Turn, TurnState, update_owned_turn

NO_TOKENS = UsageReport()


@dataclass(frozen=True, slots=True)
class Question:
    text: str
    turn_id: int
    is_excluded: bool = False
    """Not in the history: another turn asked it again, or it is from before /new."""
    variant_of: int | None = None
    """The turn that first asked this question, if it was another one."""
    images: tuple[ImageReference, ...] = ()
    parent_turn: int | None = None
    """The turn that first asked the question from whose answer this one continues; None: the one before it."""
    person_key: str | None = None
    """Who asked it first; None: unknown."""

    @property
    def first_turn(self) -> int:
        """The turn that first asked this question: the same for all its variants."""
        return self.variant_of or self.turn_id


@dataclass(frozen=True, slots=True)
class Variant:
    """One of the answers to a question that was asked again."""

    turn_id: int
    model: str
    is_excluded: bool
    """Not in the history: another answer is shown."""


def store_answer(
    connection: Connection,
    turn: Turn,
    *,
    prompt: str,
    answer: str,
    note: str,
    model: str,
    failure: str = "",
    usage: UsageReport = NO_TOKENS,
    is_personal_key: bool = False,
    replaces_last: bool = False,
    companion_of: int | None = None,
    parent_turn: int | None = None,
    buttons_json: str | None = None,
    reasoning: str = "",
    first_turn: int | None = None,
    images: Sequence[ImageReference] = (),
    final_state: TurnState = TurnState.DONE,
) -> bool:
    """Store the question, its answer and the cost, and set the turn to `DELIVERING`.

    Returns False if an earlier call already stored the answer but its result never arrived. `replaces_last` excludes
    the previous question and answer from the history, or this question if there is no new answer; the answers to the
    same question are variants, even if its text has changed since `first_turn` asked it. `companion_of`: several
    models answer the question at the same time, which this turn asked first; the first answer is the one in the
    history. `parent_turn`: see `Question`. After a /new that is newer than the turn, the question and its answer are
    excluded. An empty `answer` stores only the question, so that it can be asked again. `final_state` is the turn's
    after its delivery; `failure` says why, for `parley top`. Raises `LostLeaseError`.
    """
    if companion_of is not None:
        # The other models' answers are stored either before this transaction or after it.
        connection.execute(
            select(conversations.c.id).where(conversations.c.id == turn.conversation_id).with_for_update()
        )
    conversation_id = lock_conversation(connection, turn)
    is_stored = connection.scalar(SELECT_STATE, {"turn_id": turn.id}) == TurnState.DELIVERING
    update_owned_turn(
        connection,
        turn,
        state=TurnState.DELIVERING,
        note=note,
        failure=failure or None,
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
    last = last_question(connection, conversation_id) if replaces_last else None
    is_outdated = turn.id < (reset_by_turn or 0)
    if replaces_last and answer and not is_outdated:  # after an import, the last exchange is another one
        _exclude_last_exchange(connection, conversation_id)
    is_excluded = is_outdated or (replaces_last and not answer)
    is_variant = last is not None and (last.text == prompt or last.first_turn == first_turn)
    variant_of = last.first_turn if last is not None and is_variant else None
    if companion_of is not None:
        is_excluded = is_excluded or _has_shown_answer(connection, companion_of)
    if companion_of is not None and companion_of != turn.id:
        variant_of, is_excluded = companion_of, is_excluded or not answer
    sender = person_key(turn.incoming.sender)
    columns = {
        "conversation_id": conversation_id,
        "turn_id": turn.id,
        # Whoever has another person's words answered again does not make them their own.
        "person_key": (last.person_key if last is not None and last.text == prompt else None) or sender,
        "is_excluded": is_excluded,
        "variant_of": variant_of,
        "parent_turn": parent_turn,
    }
    if parent_turn is not None and answer:
        chosen = {"conversation_id": conversation_id, "parent_turn": parent_turn, "person_key": sender}
        connection.execute(CLEAR_NEXT_PARENT, chosen)
    if parent_turn is not None and answer and not is_excluded:
        delete_summary_of_other_branch(connection, conversation_id, parent_turn)
    question = {"role": "user", "text": prompt, "images_json": encode_references(images), "model": None, **columns}
    reply = {"role": "assistant", "text": answer, "images_json": None, "model": model, **columns}
    connection.execute(INSERT_MESSAGE, [question, reply] if answer else [question])
    return True


QUESTION_COLUMNS = (
    messages.c.text,
    messages.c.turn_id,
    messages.c.is_excluded,
    messages.c.variant_of,
    messages.c.images_json,
    messages.c.parent_turn,
    messages.c.person_key,
)
SELECT_STATE = select(turns.c.state).where(turns.c.id == bindparam("turn_id"))
SELECT_RESET_BY_TURN = select(conversations.c.reset_by_turn).where(conversations.c.id == bindparam("conversation_id"))
HAS_CHOSEN_PARENT = (
    conversations.c.id == bindparam("conversation_id"),
    conversations.c.next_parent_by.is_(None) | (conversations.c.next_parent_by == bindparam("person_key")),
)
SELECT_NEXT_PARENT = select(conversations.c.next_parent).where(*HAS_CHOSEN_PARENT)
CLEAR_NEXT_PARENT = (
    update(conversations)
    .where(*HAS_CHOSEN_PARENT, conversations.c.next_parent == bindparam("parent_turn"))
    .values(next_parent=None, next_parent_by=None)
)
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
    query = select(*QUESTION_COLUMNS).where(messages.c.turn_id == turn_id, messages.c.role == "user")
    row = connection.execute(query.order_by(messages.c.id.desc()).limit(1)).first()
    return _question(row) if row else None


def _question(row: Row[*tuple[Any, ...]]) -> Question:
    images = decode_references(row.images_json)
    return Question(row.text, row.turn_id, row.is_excluded, row.variant_of, images, row.parent_turn, row.person_key)


def list_companions(connection: Connection, turn: Turn) -> list[int]:
    """The turns that answer the same question at the same time, with this one, in order."""
    is_beside = (turns.c.conversation_id == turn.conversation_id, turns.c.seq == turn.seq)
    return list(connection.scalars(select(turns.c.id).where(*is_beside).order_by(turns.c.id)))


def list_variants(connection: Connection, first_turn: int) -> list[Variant]:
    """The answers to the question that this turn asked first, oldest first."""
    rows = connection.execute(
        select(messages.c.turn_id, turns.c.model, messages.c.is_excluded)
        .join(turns, turns.c.id == messages.c.turn_id)
        .where(_is_variant_of(first_turn), messages.c.role == "assistant")
        .order_by(messages.c.id)
    )
    return [Variant(row.turn_id, row.model or "", row.is_excluded) for row in rows]


def show_variant(connection: Connection, conversation_id: int, question: Question) -> None:
    """Make the answer to `question` the one in the history, unless its conversation has ended by a /new."""
    # Answers are stored either before this transaction or after it.
    connection.execute(select(conversations.c.id).where(conversations.c.id == conversation_id).with_for_update())
    reset_by_turn = connection.scalar(SELECT_RESET_BY_TURN, {"conversation_id": conversation_id}) or 0
    if question.turn_id < reset_by_turn:
        return
    is_other = messages.c.turn_id != question.turn_id
    of_question = (messages.c.conversation_id == conversation_id, _is_variant_of(question.first_turn))
    connection.execute(update(messages).where(*of_question).values(is_excluded=is_other))
    first_message = select(func.min(messages.c.id)).where(*of_question).scalar_subquery()
    delete_summary_of(connection, conversation_id, first_message)


def _has_shown_answer(connection: Connection, first_turn: int) -> bool:
    """Whether an answer to this question is in the history, even one of a deleted turn or of an imported file."""
    is_shown_answer = (messages.c.role == "assistant", messages.c.is_excluded.is_(False))
    query = select(messages.c.id).where(_is_variant_of(first_turn), *is_shown_answer)
    return connection.scalar(query.limit(1)) is not None


def _is_variant_of(first_turn: int) -> ColumnElement[bool]:
    return (messages.c.turn_id == first_turn) | (messages.c.variant_of == first_turn)


def get_reasoning(connection: Connection, turn_id: int) -> str | None:
    return connection.scalar(select(reasoning_table.c.text).where(reasoning_table.c.turn_id == turn_id))


def last_question(connection: Connection, conversation_id: int, *, except_text: str = "") -> Question | None:
    """The last question in the history of a conversation, of those with another text than `except_text`."""
    query = select_history(conversation_id, *QUESTION_COLUMNS).where(messages.c.role == "user")
    if except_text:
        query = query.where(messages.c.text != except_text)
    row = connection.execute(query.limit(1)).first()
    return _question(row) if row else None


def find_answer(connection: Connection, conversation_id: int, message_id: str) -> int | None:
    """The turn that first asked what a message of the bot answers; None if that is not in the history."""
    query = (
        select_history(conversation_id, messages.c.turn_id, messages.c.variant_of)
        .join(answer_parts, answer_parts.c.turn_id == messages.c.turn_id)
        .where(answer_parts.c.message_id == message_id, messages.c.role == "assistant")
    )
    row = connection.execute(query.limit(1)).first()
    return None if row is None else row.variant_of or row.turn_id


def find_parent(connection: Connection, conversation_id: int, person_key: str, answered_turn: int | None) -> int | None:
    """The exchange from which the person's next question continues, as its first turn; None for the newest.

    `answered_turn`: the exchange that the person replies to (`find_answer`).
    """
    next_parent = connection.scalar(SELECT_NEXT_PARENT, {"conversation_id": conversation_id, "person_key": person_key})
    if answered_turn is None or next_parent is not None:
        return answered_turn or next_parent
    newest = select_history(conversation_id, messages.c.turn_id, messages.c.variant_of)
    row = connection.execute(newest.where(messages.c.role == "assistant").limit(1)).first()
    is_newest = row is not None and answered_turn == (row.variant_of or row.turn_id)
    return None if is_newest else answered_turn


def find_parent_again(connection: Connection, conversation_id: int, question: Question) -> int | None:
    """The exchange from which `question` continues when it is asked again; None for the newest."""
    if question.parent_turn is None:
        return None
    of_parent = (_is_variant_of(question.parent_turn), messages.c.role == "assistant")
    query = select_history(conversation_id, messages.c.id).where(*of_parent)
    return None if connection.scalar(query.limit(1)) is None else question.parent_turn


def set_next_parent(connection: Connection, conversation_id: int, person_key: str, parent_turn: int) -> None:
    """Continue from this exchange with the person's next question. In a shared conversation, the last choice holds."""
    is_this = conversations.c.id == conversation_id
    connection.execute(update(conversations).where(is_this).values(next_parent=parent_turn, next_parent_by=person_key))


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
