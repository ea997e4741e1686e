"""The chat, the topic and the message that a request names, if the bot may act there."""

from bots.sandbox.stand_in import Json
from bots.sandbox.telegram.backend import GENERAL_TOPIC_ID, Backend
from bots.sandbox.telegram.errors import bad_request, forbidden
from bots.sandbox.telegram.state import Chat, MemberStatus, Message


def target_chat(backend: Backend, params: Json, *, for_writing: bool = True) -> Chat:
    """The chat of a request. Raises `ApiError` when it is unknown or closed to the bot."""
    chat_id = params.get("chat_id")
    if chat_id in (None, ""):
        raise bad_request("chat_id is empty")
    chat = backend.chats.get(chat_id) if isinstance(chat_id, int) else None
    if chat is None:
        raise bad_request("chat not found")
    if chat.is_private:
        if for_writing and chat.bot_status is MemberStatus.KICKED:
            raise forbidden("bot was blocked by the user")
        return chat
    if chat.migrated_to_id is not None:
        if not for_writing:
            return chat
        raise bad_request("group chat was upgraded to a supergroup chat", migrate_to_chat_id=chat.migrated_to_id)
    if chat.bot_status is MemberStatus.KICKED:
        raise forbidden(f"bot was kicked from the {chat.type} chat")
    if chat.bot_status is MemberStatus.LEFT:
        raise forbidden(f"bot is not a member of the {chat.type} chat")
    return chat


def target_thread(chat: Chat, params: Json) -> int | None:
    """The topic of a request. Chats without topics ignore it, as on Telegram."""
    thread_id = params.get("message_thread_id") or None
    if thread_id is None or not (chat.is_private or chat.is_forum):
        return None
    if (thread_id == GENERAL_TOPIC_ID and chat.is_forum) or thread_id not in chat.topics:
        raise bad_request("message thread not found")
    if thread_id in chat.closed_topics and not chat.bot_is_administrator:
        raise bad_request("TOPIC_CLOSED")
    return int(thread_id)


def target_message(backend: Backend, params: Json, action: str) -> Message:
    """The message of a request. `action` (edit or delete) is a word of the error text."""
    if "inline_message_id" in params and "chat_id" not in params:
        raise bad_request("MESSAGE_ID_INVALID")
    chat = target_chat(backend, params)
    message_id = params.get("message_id") or 0
    if message_id <= 0:
        raise bad_request("message identifier is not specified")
    message = chat.find_message(message_id)
    if message is None:
        raise bad_request(f"message to {action} not found")
    return message
