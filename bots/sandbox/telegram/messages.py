"""Methods about messages: send, edit, delete, drafts, chat actions, answers to button presses."""

from collections.abc import Callable

from bots.sandbox.stand_in import ChatEvent, ChatEventKind, Json
from bots.sandbox.telegram.client import CallbackAnswer, ClientBackend
from bots.sandbox.telegram.entities import parse_caption, parse_text, utf16_length
from bots.sandbox.telegram.errors import ApiError, bad_request
from bots.sandbox.telegram.files import MAX_UPLOAD_BYTES, UploadedFile
from bots.sandbox.telegram.keyboard import inline_keyboard
from bots.sandbox.telegram.state import Chat, Draft, Message
from bots.sandbox.telegram.targets import target_chat, target_message, target_thread

QUERY_LIFETIME_SECONDS = 60.0
MAX_CALLBACK_TEXT_CHARS = 200
NOT_MODIFIED = (
    "message is not modified: specified new message content and reply markup are exactly the same "
    "as a current content and reply markup of the message"
)
CHAT_ACTIONS = frozenset(
    {
        "typing",
        "upload_photo",
        "record_video",
        "upload_video",
        "record_voice",
        "upload_voice",
        "upload_document",
        "choose_sticker",
        "find_location",
        "record_video_note",
        "upload_video_note",
    }
)


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


def _add_message(
    backend: ClientBackend,
    params: Json,
    text: str,
    entities: list[Json],
    markup: Json | None,
    file: UploadedFile | None = None,
) -> Message:
    chat = target_chat(backend, params)
    thread = target_thread(chat, params)
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
    )


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
    if reply.get("allow_sending_without_reply"):
        return None
    raise bad_request("message to be replied not found")


def send_message_draft(backend: ClientBackend, params: Json) -> bool:
    text, entities = parse_text(params, allow_empty=True)
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
        params.get("keep_on_stop") is True,
        tuple(entities),
    )
    backend.show_draft(chat, draft)
    return True


def edit_message_text(backend: ClientBackend, params: Json) -> Json:
    text, entities = parse_text(params)
    message = _editable_message(backend, params)
    if not message.text or message.has_media:
        raise bad_request("there is no text in the message to edit")
    return _apply_edit(backend, message, text, entities, inline_keyboard(params))


def edit_message_reply_markup(backend: ClientBackend, params: Json) -> Json:
    markup = inline_keyboard(params)
    message = _editable_message(backend, params)
    return _apply_edit(backend, message, message.text, message.entities, markup)


def _editable_message(backend: ClientBackend, params: Json) -> Message:
    message = target_message(backend, params, "edit")
    if message.sender is not backend.bot:
        raise bad_request("message can't be edited")
    return message


def _apply_edit(backend: ClientBackend, message: Message, text: str, entities: list[Json], markup: Json | None) -> Json:
    if (text, entities, markup) == (message.text, message.entities, message.reply_markup):
        raise bad_request(NOT_MODIFIED)
    if text != message.text:
        message.previous_texts.append(message.text)
    message.text, message.entities, message.reply_markup = text, entities, markup
    message.edit_date = int(backend.clock.time())
    backend.publish(message.chat, ChatEvent(ChatEventKind.EDITED, message))
    return message.json()


def delete_message(backend: ClientBackend, params: Json) -> bool:
    message = target_message(backend, params, "delete")
    if not (message.from_bot or message.chat.is_private or message.chat.bot_is_administrator):
        raise bad_request("message can't be deleted")
    message.is_deleted = True
    backend.publish(message.chat, ChatEvent(ChatEventKind.DELETED, message))
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
    "editmessagetext": edit_message_text,
    "editmessagereplymarkup": edit_message_reply_markup,
    "deletemessage": delete_message,
    "sendchataction": send_chat_action,
    "answercallbackquery": answer_callback_query,
}
