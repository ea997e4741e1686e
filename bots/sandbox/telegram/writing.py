"""The methods that write: messages, edits, drafts, reactions."""

import time
from collections.abc import Callable

from bots.sandbox.telegram.entities import formatted, units
from bots.sandbox.telegram.keyboard import keyboard
from bots.sandbox.telegram.people import Answer, People
from bots.sandbox.telegram.places import message_of, place, thread_of
from bots.sandbox.telegram.refusal import bad
from bots.sandbox.telegram.world import Chat, Draft, Event, Json, Message

__all__ = ["WRITING"]

QUERY_LIVES = 60.0  # seconds
LONGEST_ANSWER = 200
MOST_DELETED = 100
NOT_MODIFIED = (
    "message is not modified: specified new message content and reply markup are exactly the same "
    "as a current content and reply markup of the message"
)
ACTIONS = frozenset({
    "typing", "upload_photo", "record_video", "upload_video", "record_voice", "upload_voice",
    "upload_document", "choose_sticker", "find_location", "record_video_note",
    "upload_video_note",
})  # fmt: skip
REACTIONS = frozenset({
    "❤", "👍", "👎", "🔥", "🥰", "👏", "😁", "🤔", "🤯", "😱", "🤬", "😢", "🎉", "🤩",
    "🤮", "💩", "🙏", "👌", "🕊", "🤡", "🥱", "🥴", "😍", "🐳", "❤‍🔥", "🌚", "🌭", "💯",
    "🤣", "⚡", "🍌", "🏆", "💔", "🤨", "😐", "🍓", "🍾", "💋", "🖕", "😈", "😴", "😭",
    "🤓", "👻", "👨‍💻", "👀", "🎃", "🙈", "😇", "😨", "🤝", "✍", "🤗", "🫡", "🎅", "🎄",
    "☃", "💅", "🤪", "🗿", "🆒", "💘", "🙉", "🦄", "😘", "💊", "🙊", "😎", "👾", "🤷‍♂",
    "🤷", "🤷‍♀", "😡",
})  # fmt: skip


def send_message(scene: People, params: Json) -> Json:
    text, entities = formatted(params)
    markup = keyboard(params)
    if params.get("link_preview_options") and not isinstance(params["link_preview_options"], dict):
        raise bad("object expected as link preview options")
    chat = place(scene, params)
    thread = thread_of(chat, params)
    if params.get("message_effect_id") and not chat.private:
        raise bad("message effects can be used only in private chats")
    message = scene.append(
        chat, scene.bot, text, thread=thread, reply_to=_replied(chat, params), entities=entities,
        reply_markup=markup,
    )  # fmt: skip
    return message.json()


def _replied(chat: Chat, params: Json) -> int | None:
    reply = params.get("reply_parameters")
    if reply in (None, "", {}):
        return None
    if not isinstance(reply, dict):
        raise bad("object expected as reply parameters")
    target = reply.get("message_id")
    if not isinstance(target, int):
        raise bad('field "message_id" must be of type Number')
    if chat.find(target) is not None:
        return target
    if reply.get("allow_sending_without_reply"):
        return None
    raise bad("message to be replied not found")


def send_message_draft(scene: People, params: Json) -> bool:
    text, entities = formatted(params, empty=True)
    chat = place(scene, params)
    if not chat.private:
        raise bad("method is available only in private chats")
    thread = thread_of(chat, params)
    draft_id = params.get("draft_id") or 0
    if draft_id == 0:
        raise bad("draft identifier must be non-zero")
    draft = Draft(
        chat.id, thread, draft_id, text, scene.clock(), params.get("can_stop") is True,
        params.get("keep_on_stop") is True, tuple(entities),
    )  # fmt: skip
    scene.draft(chat, draft)
    return True


def edit_message_text(scene: People, params: Json) -> Json:
    text, entities = formatted(params)
    message = _own(scene, params)
    if not message.text:
        raise bad("there is no text in the message to edit")
    return _edited(scene, message, text, entities, keyboard(params))


def edit_message_reply_markup(scene: People, params: Json) -> Json:
    markup = keyboard(params)
    message = _own(scene, params)
    return _edited(scene, message, message.text, message.entities, markup)


def _own(scene: People, params: Json) -> Message:
    message = message_of(scene, params, "edit")
    if message.sender is not scene.bot:
        raise bad("message can't be edited")
    return message


def _edited(
    scene: People, message: Message, text: str, entities: list[Json], markup: Json | None
) -> Json:
    if (text, entities, markup) == (message.text, message.entities, message.reply_markup):
        raise bad(NOT_MODIFIED)
    if text != message.text:
        message.edits.append(message.text)
    message.text, message.entities, message.reply_markup = text, entities, markup
    message.edit_date = int(time.time())
    scene.show(message.chat, Event("edited", message, thread=message.thread))
    return message.json()


def delete_message(scene: People, params: Json) -> bool:
    message = message_of(scene, params, "delete")
    if not _deletable(message):
        raise bad("message can't be deleted")
    _delete(scene, message)
    return True


def delete_messages(scene: People, params: Json) -> bool:
    chat = place(scene, params)
    given = params.get("message_ids")
    if given in (None, "", []):
        raise bad("message identifiers are not specified")
    if not isinstance(given, list):
        raise bad("expected an Array of message identifiers")
    if len(given) > MOST_DELETED:
        raise bad("too many message identifiers specified")
    found = [chat.find(number) for number in given if isinstance(number, int)]
    messages = [message for message in found if message is not None]
    if not all(map(_deletable, messages)):
        raise bad("message can't be deleted")
    for message in messages:
        _delete(scene, message)
    return True


def _deletable(message: Message) -> bool:
    return message.from_bot or message.chat.private or message.chat.status == "administrator"


def _delete(scene: People, message: Message) -> None:
    message.deleted = True
    scene.show(message.chat, Event("deleted", message, thread=message.thread))


def send_chat_action(scene: People, params: Json) -> bool:
    if str(params.get("action") or "").lower() not in ACTIONS:
        raise bad("wrong parameter action in request")
    chat = place(scene, params)
    scene.type(chat, thread_of(chat, params))
    return True


def set_message_reaction(scene: People, params: Json) -> bool:
    reactions = params.get("reaction") or []
    if not isinstance(reactions, list):
        raise bad("expected an Array of ReactionType")
    message = message_of(scene, params, "react", writing=False)
    if len(reactions) > 1:
        raise bad("REACTIONS_TOO_MANY")
    for reaction in reactions:
        if not isinstance(reaction, dict) or reaction.get("type") != "emoji":
            raise bad("REACTION_INVALID")
        if str(reaction.get("emoji")).rstrip("\ufe0f") not in REACTIONS:
            raise bad("REACTION_INVALID")
    message.reactions = reactions
    scene.touch()
    return True


def answer_callback_query(scene: People, params: Json) -> bool:
    query = str(params.get("callback_query_id") or "")
    text = str(params.get("text") or "")
    if units(text) > LONGEST_ANSWER:
        raise bad("MESSAGE_TOO_LONG")
    pressed = scene.queries.pop(query, None)
    if pressed is None or scene.clock() - pressed > QUERY_LIVES:
        raise bad("query is too old and response timeout expired or query ID is invalid")
    scene.answers[query] = Answer(text, params.get("show_alert") is True)
    return True


WRITING: dict[str, Callable[[People, Json], object]] = {
    "sendmessage": send_message,
    "sendmessagedraft": send_message_draft,
    "editmessagetext": edit_message_text,
    "editmessagereplymarkup": edit_message_reply_markup,
    "deletemessage": delete_message,
    "deletemessages": delete_messages,
    "sendchataction": send_chat_action,
    "setmessagereaction": set_message_reaction,
    "answercallbackquery": answer_callback_query,
}
