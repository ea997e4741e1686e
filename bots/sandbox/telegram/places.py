"""Where a request wants to act, and whether it may."""

from bots.sandbox.telegram.refusal import bad, forbidden
from bots.sandbox.telegram.scene import GENERAL, Scene
from bots.sandbox.telegram.world import Chat, Json, Message

__all__ = ["message_of", "place", "thread_of"]


def place(scene: Scene, params: Json, *, writing: bool = True) -> Chat:
    """The chat of a request. Raises `Refusal` when there is none or the bot has no business."""
    given = params.get("chat_id")
    if given in (None, ""):
        raise bad("chat_id is empty")
    chat = scene.chats.get(given) if isinstance(given, int) else None
    if chat is None:
        raise bad("chat not found")
    if chat.private:
        if writing and chat.deactivated:
            raise forbidden("user is deactivated")
        if writing and chat.status == "kicked":
            raise forbidden("bot was blocked by the user")
        return chat
    if chat.migrated_to is not None:
        if not writing:
            return chat
        raise bad(
            "group chat was upgraded to a supergroup chat", migrate_to_chat_id=chat.migrated_to
        )
    kind = "group" if chat.type == "group" else "supergroup"
    if chat.status == "kicked":
        raise forbidden(f"bot was kicked from the {kind} chat")
    if chat.status == "left":
        raise forbidden(f"bot is not a member of the {kind} chat")
    return chat


def thread_of(chat: Chat, params: Json) -> int | None:
    """The topic of a request. Chats without topics take no notice of it, as on Telegram."""
    thread = params.get("message_thread_id") or None
    if thread is None or not (chat.private or chat.forum):
        return None
    if (thread == GENERAL and chat.forum) or thread not in chat.topics:
        raise bad("message thread not found")
    if thread in chat.closed and chat.status != "administrator":
        raise bad("TOPIC_CLOSED")
    return int(thread)


def message_of(scene: Scene, params: Json, what: str, *, writing: bool = True) -> Message:
    """The message a request names, to `what` (edit, delete ...)."""
    if "inline_message_id" in params and "chat_id" not in params:
        raise bad("MESSAGE_ID_INVALID")
    chat = place(scene, params, writing=writing)
    number = params.get("message_id") or 0
    if number <= 0:
        raise bad("message identifier is not specified")
    message = chat.find(number)
    if message is None:
        raise bad(f"message to {what} not found")
    return message
