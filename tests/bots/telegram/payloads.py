"""Updates as the Bot API sends them."""

from typing import Any

from bots.sandbox.stand_in import Json

ADA: Json = {
    "id": 42,
    "is_bot": False,
    "first_name": "Ada",
    "last_name": "Lovelace",
    "language_code": "en",
}
BOB: Json = {"id": 43, "is_bot": False, "first_name": "Bob"}
BOT: Json = {"id": 123456, "is_bot": True, "first_name": "Parley", "username": "parley_bot"}
OTHER_BOT: Json = {"id": 777, "is_bot": True, "first_name": "Other", "username": "other_bot"}
PRIVATE: Json = {"id": 42, "type": "private", "first_name": "Ada", "last_name": "Lovelace"}
GROUP: Json = {"id": -1001, "type": "supergroup", "title": "Engines"}
FORUM: Json = {"id": -1002, "type": "supergroup", "title": "Forum", "is_forum": True}


def message(chat: Json, text: str | None = None, **fields: Any) -> Json:
    content = {"message_id": 7, "date": 1_700_000_000, "chat": chat, "from": ADA, **fields}
    if text is not None:
        content["text"] = text
    return {key: value for key, value in content.items() if value is not None}


def entity(text: str, part: str, entity_type: str, **fields: Any) -> Json:
    """An entity that covers `part`, in UTF-16 units."""
    before = text[: text.index(part)]
    offset, length = (len(piece.encode("utf-16-le")) // 2 for piece in (before, part))
    return {"type": entity_type, "offset": offset, "length": length, **fields}


def mention_message(chat: Json, text: str, **fields: Any) -> Json:
    return message(chat, text, entities=[entity(text, "@parley_bot", "mention")], message_id=8, **fields)


def command(chat: Json, text: str, **fields: Any) -> Json:
    return message(chat, text, entities=[entity(text, text.split(maxsplit=1)[0], "bot_command")], **fields)
