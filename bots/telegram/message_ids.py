"""The IDs of messages, as the core knows them.

Ephemeral messages are numbered apart from others, and whatever changes one names the person who sees it. Their IDs have
both: `e12.345` is the message 12 of the user 345.
"""

import re

from telegram import Message

EPHEMERAL_KEY = re.compile(r"e([0-9]{1,18})\.([0-9]{1,18})")


def ephemeral_key(ephemeral_id: int, user: int | str) -> str:
    return f"e{ephemeral_id}.{user}"


def is_ephemeral_key(message_id: str) -> bool:
    return EPHEMERAL_KEY.fullmatch(message_id) is not None


def message_key(message: Message, user: int) -> str:
    """The ID of a message that `user` sees."""
    ephemeral_id = message.api_kwargs.get("ephemeral_message_id")
    return ephemeral_key(ephemeral_id, user) if isinstance(ephemeral_id, int) else str(message.message_id)


def message_parameters(message_id: str) -> tuple[str, dict[str, object]]:
    """What the methods that change the message have in their names, and the parameters that name it."""
    match = EPHEMERAL_KEY.fullmatch(message_id)
    if match is None:
        return "Message", {"message_id": int(message_id)}
    return "EphemeralMessage", {"ephemeral_message_id": int(match[1]), "receiver_user_id": int(match[2])}
