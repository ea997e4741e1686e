"""Continues a conversation from an earlier answer.

A reply to an answer does so by itself (`core.turns.prompt_resolver`). An adapter with another control for it sends
`CONTINUE_FROM_COMMAND`, with the ID of a message of the answer as its text.
"""

from core.commands.request import CommandRequest, Reply
from core.i18n.translation import gettext
from core.store.answers import find_answer, set_next_parent
from core.texts import answers as texts

CONTINUE_FROM_COMMAND = "continue_from"


async def continue_from_reply(request: CommandRequest) -> Reply:
    """Let the sender's next question continue from this answer, if it is in the history of their conversation."""
    store, conversation_id = request.services.store, request.conversation_id
    answered_turn = await store.read(find_answer, conversation_id, request.argument)
    if answered_turn is None:
        return Reply(gettext(texts.NO_ANSWER_OF_CONVERSATION))
    await store.write(set_next_parent, conversation_id, request.person_key, answered_turn)
    return Reply(gettext(texts.CONTINUES_FROM_ANSWER))
