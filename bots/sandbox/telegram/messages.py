"""Methods about messages: send, edit, delete, drafts, chat actions, answers to button presses.

Checks of chats, topics, messages and keyboards raise `ApiError` as Telegram would answer.
"""

from collections.abc import Callable
from typing import Any

from bots.sandbox.stand_in import ChatEvent, ChatEventKind, Json
from bots.sandbox.telegram.backend import GENERAL_TOPIC_ID, Backend
from bots.sandbox.telegram.client import MAX_UPLOAD_BYTES, CallbackAnswer, ClientBackend, UploadedFile
from bots.sandbox.telegram.entities import parse_caption, parse_text, utf16_length
from bots.sandbox.telegram.errors import ApiError, bad_request, forbidden, not_found
from bots.sandbox.telegram.rich import parse_rich_message
from bots.sandbox.telegram.state import BOT_API, Chat, Draft, MemberStatus, Message, RichMessage, User

QUERY_LIFETIME_SECONDS = 60.0
MAX_CALLBACK_TEXT_CHARS = 200
MAX_TOPIC_NAME_CHARS = 128
NOT_MODIFIED = (
    "message is not modified: specified new message content and reply markup are exactly the same "
    "as a current content and reply markup of the message"
)
CHAT_ACTIONS = BOT_API["chat actions"]
REACTIONS = frozenset({"👀", "👍", "🔥", "🤔", "👌", "✍"})
"""Some of those that Telegram allows."""

MAX_CALLBACK_DATA_BYTES = 64
MAX_BUTTONS_PER_ROW = 8
MAX_BUTTONS = 100
BUTTON_ACTIONS = BOT_API["button actions"]
BUTTON_STYLES = frozenset({"danger", "primary", "success"})


def send_message(backend: ClientBackend, params: Json) -> Json:
    text, entities = parse_text(params)
    markup = inline_keyboard(params)
    if params.get("link_preview_options") and not isinstance(params["link_preview_options"], dict):
        raise bad_request("object expected as link preview options")
    return _add_message(backend, params, text, entities, markup).json()


def send_document(backend: ClientBackend, params: Json) -> Json:
    caption, entities = parse_caption(params)
    markup = inline_keyboard(params)
    file = params.get("document")
    if not isinstance(file, UploadedFile):
        raise bad_request("wrong remote file identifier specified" if file else "there is no document in the request")
    if len(file.content) > MAX_UPLOAD_BYTES:
        raise ApiError(413, "Request Entity Too Large")
    if not file.content:
        raise bad_request("file must be non-empty")
    chat = target_chat(backend, params)
    if not (chat.is_private or chat.allows_documents or chat.bot_is_administrator):
        raise bad_request("not enough rights to send documents to the chat")
    message = _add_message(backend, params, caption, entities, markup, file)
    return message.json()


def send_rich_message(backend: ClientBackend, params: Json) -> Json:
    rich = _rich_message(backend, params)
    markup = inline_keyboard(params)
    return _add_message(backend, params, rich.text, [], markup, rich=rich).json()


def _rich_message(backend: ClientBackend, params: Json, *, is_draft: bool = False) -> RichMessage:
    if not backend.has_rich_messages:
        raise not_found(": method not found")
    return parse_rich_message(params.get("rich_message"), is_draft=is_draft)


def _add_message(
    backend: ClientBackend,
    params: Json,
    text: str,
    entities: list[Json],
    markup: Json | None,
    file: UploadedFile | None = None,
    rich: RichMessage | None = None,
) -> Message:
    chat = target_chat(backend, params)
    thread = target_thread(chat, params)
    receiver = _receiver(backend, chat, params)
    if params.get("message_effect_id") and not chat.is_private:
        raise bad_request("message effects can be used only in private chats")
    reply_to_id = _reply_target(chat, params)
    fields = {"document": backend.add_document(file.name, file.content, file.media_type)} if file is not None else {}
    return backend.add_message(
        chat,
        backend.bot,
        text,
        thread_id=thread,
        reply_to_id=reply_to_id,
        entities=entities,
        reply_markup=markup,
        extra_fields=fields,
        rich=rich,
        receiver=receiver,
    )


def _receiver(backend: ClientBackend, chat: Chat, params: Json) -> User | None:
    """Who gets the message as an ephemeral one; None: everybody gets it."""
    ephemeral = params.get("ephemeral_message_parameters")
    if not ephemeral or not backend.has_ephemeral_messages:
        return None
    if not isinstance(ephemeral, dict):
        raise bad_request("object expected as ephemeral message parameters")
    if chat.is_private:
        raise bad_request("ephemeral messages can be sent only to groups")
    return _member(backend, chat, ephemeral)


def _member(backend: ClientBackend, chat: Chat, params: Json) -> User:
    user = backend.users.get(params.get("receiver_user_id") or 0)
    if user is None or user not in chat.members:
        raise bad_request("user not found")
    return user


def _reply_target(chat: Chat, params: Json) -> int | None:
    reply = params.get("reply_parameters")
    if reply in (None, "", {}):
        return None
    if not isinstance(reply, dict):
        raise bad_request("object expected as reply parameters")
    target = reply.get("message_id")
    if not isinstance(target, int):
        raise bad_request('field "message_id" must be of type Number')
    if chat.find_message(target) is not None:
        return target
    if reply.get("allow_sending_without_reply") and not params.get("ephemeral_message_parameters"):
        return None
    raise bad_request("message to be replied not found")


def send_message_draft(backend: ClientBackend, params: Json) -> bool:
    text, entities = parse_text(params, allow_empty=True)
    return _show_draft(backend, params, text, entities)


def send_rich_message_draft(backend: ClientBackend, params: Json) -> bool:
    rich = _rich_message(backend, params, is_draft=True)
    return _show_draft(backend, params, rich.text, [], rich)


def _show_draft(
    backend: ClientBackend, params: Json, text: str, entities: list[Json], rich: RichMessage | None = None
) -> bool:
    chat = target_chat(backend, params)
    if not chat.is_private:
        raise bad_request("method is available only in private chats")
    thread = target_thread(chat, params)
    draft_id = params.get("draft_id") or 0
    if draft_id == 0:
        raise bad_request("draft identifier must be non-zero")
    draft = Draft(
        chat.id,
        thread,
        draft_id,
        text,
        backend.clock.monotonic(),
        params.get("can_stop") is True,
        tuple(entities),
        rich,
    )
    backend.show_draft(chat, draft)
    return True


def edit_message_text(backend: ClientBackend, params: Json) -> Json | bool:
    rich: RichMessage | None = None
    entities: list[Json] = []
    if backend.has_rich_messages and params.get("rich_message"):
        if params.get("text"):
            raise bad_request("text and rich_message can't be used together")
        rich = parse_rich_message(params["rich_message"])
        text = rich.text
    else:
        text, entities = parse_text(params)
    markup = inline_keyboard(params)
    message = target_message(backend, params, "edit")
    _change_text(backend, message, text, entities, markup, rich)
    return True if message.inline_id else message.json()


def edit_ephemeral_message_text(backend: ClientBackend, params: Json) -> bool:
    text, entities = parse_text(params)
    markup = inline_keyboard(params)
    _change_text(backend, _ephemeral_message(backend, params, "edit"), text, entities, markup, None)
    return True


def delete_ephemeral_message(backend: ClientBackend, params: Json) -> bool:
    message = _ephemeral_message(backend, params, "delete")
    message.is_deleted = True
    backend.publish(message.chat, ChatEvent(ChatEventKind.DELETED, message))
    return True


def _ephemeral_message(backend: ClientBackend, params: Json, action: str) -> Message:
    if not backend.has_ephemeral_messages:
        raise not_found(": method not found")
    chat = target_chat(backend, params)
    receiver, id_ = _member(backend, chat, params), params.get("ephemeral_message_id")
    found = (m for m in chat.messages if m.receiver is receiver and m.ephemeral_id == id_ and not m.is_deleted)
    message = next(found, None)
    if message is None:
        raise bad_request(f"message to {action} not found")
    return message


def _change_text(
    backend: ClientBackend,
    message: Message,
    text: str,
    entities: list[Json],
    markup: Json | None,
    rich: RichMessage | None,
) -> None:
    if message.sender is not backend.bot and not message.inline_id:
        raise bad_request("message can't be edited")
    if not message.text or message.has_media:
        raise bad_request("there is no text in the message to edit")
    if (text, entities, markup, rich) == (message.text, message.entities, message.reply_markup, message.rich):
        raise bad_request(NOT_MODIFIED)
    if text != message.text:
        message.previous_texts.append(message.text)
    message.text, message.entities, message.reply_markup, message.rich = text, entities, markup, rich
    message.edit_date = int(backend.clock.time())
    backend.publish(message.chat, ChatEvent(ChatEventKind.EDITED, message))


def delete_message(backend: ClientBackend, params: Json) -> bool:
    message = target_message(backend, params, "delete")
    if not (message.from_bot or message.chat.is_private or message.chat.bot_is_administrator):
        raise bad_request("message can't be deleted")
    message.is_deleted = True
    backend.publish(message.chat, ChatEvent(ChatEventKind.DELETED, message))
    return True


def edit_forum_topic(backend: ClientBackend, params: Json) -> bool:
    chat = target_chat(backend, params)
    thread = target_thread(chat, params)
    if thread is None:
        raise bad_request("message thread not found")
    if not (chat.is_private or chat.bot_is_administrator):
        raise bad_request("not enough rights to manage topics")
    name = str(params.get("name") or "")
    if len(name) > MAX_TOPIC_NAME_CHARS:
        raise bad_request("TOPIC_TITLE_TOO_LONG")
    chat.topics[thread] = name or chat.topics[thread]
    return True


def set_message_reaction(backend: ClientBackend, params: Json) -> bool:
    message = target_message(backend, params, "react")
    reactions = params.get("reaction") or []
    if not isinstance(reactions, list) or len(reactions) > 1:
        raise bad_request("REACTIONS_TOO_MANY")
    emoji = [str(reaction.get("emoji")) for reaction in reactions if reaction.get("type") == "emoji"]
    if len(emoji) != len(reactions) or not (set(emoji) <= REACTIONS and message.chat.allows_reactions):
        raise bad_request("REACTION_INVALID")
    message.reactions = emoji
    return True


def send_chat_action(backend: ClientBackend, params: Json) -> bool:
    if str(params.get("action") or "").lower() not in CHAT_ACTIONS:
        raise bad_request("wrong parameter action in request")
    chat = target_chat(backend, params)
    backend.start_typing(chat, target_thread(chat, params))
    return True


def answer_callback_query(backend: ClientBackend, params: Json) -> bool:
    query_id = str(params.get("callback_query_id") or "")
    text = str(params.get("text") or "")
    if utf16_length(text) > MAX_CALLBACK_TEXT_CHARS:
        raise bad_request("MESSAGE_TOO_LONG")
    pressed_at = backend.pending_queries.pop(query_id, None)
    if pressed_at is None or backend.clock.monotonic() - pressed_at > QUERY_LIFETIME_SECONDS:
        raise bad_request("query is too old and response timeout expired or query ID is invalid")
    backend.callback_answers[query_id] = CallbackAnswer(text, params.get("show_alert") is True)
    return True


MESSAGE_METHODS: dict[str, Callable[[ClientBackend, Json], object]] = {
    "sendmessage": send_message,
    "senddocument": send_document,
    "sendmessagedraft": send_message_draft,
    "sendrichmessage": send_rich_message,
    "sendrichmessagedraft": send_rich_message_draft,
    "editmessagetext": edit_message_text,
    "editephemeralmessagetext": edit_ephemeral_message_text,
    "deleteephemeralmessage": delete_ephemeral_message,
    "deletemessage": delete_message,
    "sendchataction": send_chat_action,
    "setmessagereaction": set_message_reaction,
    "editforumtopic": edit_forum_topic,
    "answercallbackquery": answer_callback_query,
}


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
    return int(thread_id)


def target_message(backend: Backend, params: Json, action: str) -> Message:
    """The message of a request. `action` (edit or delete) is a word of the error text."""
    if "inline_message_id" in params and "chat_id" not in params:
        inline_message = backend.inline_messages.get(str(params["inline_message_id"]))
        if inline_message is None or inline_message.is_deleted:
            raise bad_request("MESSAGE_ID_INVALID")
        return inline_message
    chat = target_chat(backend, params)
    message_id = params.get("message_id") or 0
    if message_id <= 0:
        raise bad_request("message identifier is not specified")
    message = chat.find_message(message_id)
    if message is None or message.receiver is not None:
        raise bad_request(f"message to {action} not found")
    return message


def inline_keyboard(params: Json) -> Json | None:
    """The inline keyboard of a message, or None. Other markup only changes the client."""
    markup = params.get("reply_markup")
    if markup in (None, ""):
        return None
    if not isinstance(markup, dict):
        raise bad_request("object expected as reply markup")
    rows = markup.get("inline_keyboard")
    if rows is None:
        return None
    if not isinstance(rows, list):
        raise bad_request('field "inline_keyboard" must be of type Array')
    for row in rows:
        if not isinstance(row, list):
            raise bad_request('field "inline_keyboard" of the InlineKeyboardMarkup must be an Array of Arrays')
        for button in row:
            _check_button(button)
    rows = [row for row in rows if row]
    if sum(map(len, rows)) > MAX_BUTTONS or any(len(row) > MAX_BUTTONS_PER_ROW for row in rows):
        raise bad_request("reply markup is too long")
    return {"inline_keyboard": rows} if rows else None


def _check_button(button: Any) -> None:
    prefix = "can't parse inline keyboard button: "
    if not isinstance(button, dict):
        raise bad_request(f"{prefix}InlineKeyboardButton must be an Object")
    text = button.get("text")
    if not isinstance(text, str):
        raise bad_request(f'{prefix}Field "text" must be of type String')
    if not text.strip():
        raise bad_request("BUTTON_TEXT_INVALID")
    if not any(button.get(action) not in (None, "") for action in BUTTON_ACTIONS):
        raise bad_request(f"{prefix}Text buttons are unallowed in the inline keyboard")
    data = button.get("callback_data")
    if data is not None and not isinstance(data, str):
        raise bad_request(f'{prefix}Field "callback_data" must be of type String')
    if data and len(data.encode()) > MAX_CALLBACK_DATA_BYTES:
        raise bad_request("BUTTON_DATA_INVALID")
    copy_text = button.get("copy_text")
    if copy_text is not None and not (
        isinstance(copy_text, dict) and 1 <= len(str(copy_text.get("text") or "")) <= 256
    ):
        raise bad_request("BUTTON_COPY_TEXT_INVALID")
    if button.get("style") not in (None, "") and button["style"] not in BUTTON_STYLES:
        raise bad_request(f"{prefix}Invalid button style specified")
