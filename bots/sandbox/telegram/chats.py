"""Methods about chats, their members and topics, files, and the bot itself."""

from collections.abc import Callable

from bots.sandbox.stand_in import Json
from bots.sandbox.telegram.client import ClientBackend
from bots.sandbox.telegram.errors import bad_request
from bots.sandbox.telegram.members import chat_member, member_status
from bots.sandbox.telegram.targets import target_chat, target_thread

MAX_TOPIC_NAME_CHARS = 128


def get_me(backend: ClientBackend, _params: Json) -> Json:
    bot = backend.bot
    return {
        **bot.json(),
        "can_join_groups": True,
        "can_read_all_group_messages": not backend.privacy_mode,
        "supports_guest_queries": False,
        "supports_inline_queries": False,
        "can_connect_to_business": False,
        "has_main_web_app": False,
        "has_topics_enabled": True,
        "allows_users_to_create_topics": True,
    }


def get_chat(backend: ClientBackend, params: Json) -> Json:
    chat = target_chat(backend, params, for_writing=False)
    gifts = ("unlimited_gifts", "limited_gifts", "unique_gifts", "premium_subscription")
    return {
        **chat.json(),
        "accent_color_id": 0,
        "max_reaction_count": 11,
        "accepted_gift_types": dict.fromkeys((*gifts, "gifts_from_channels"), False),
    }


def get_chat_member(backend: ClientBackend, params: Json) -> Json:
    chat = target_chat(backend, params, for_writing=False)
    user_id = params.get("user_id") or 0
    if user_id <= 0:
        raise bad_request("invalid user_id specified")
    user = backend.users.get(user_id)
    if user is None:
        raise bad_request("user not found")
    return chat_member(user, member_status(chat, user))


def create_forum_topic(backend: ClientBackend, params: Json) -> Json:
    name = str(params.get("name") or "").strip()
    chat = target_chat(backend, params)
    if not (chat.is_forum or chat.is_private):
        raise bad_request("the chat is not a forum")
    if chat.is_forum and not chat.bot_is_administrator:
        raise bad_request("not enough rights to create a topic")
    if not name:
        raise bad_request("title must be non-empty")
    name = name[:MAX_TOPIC_NAME_CHARS]
    thread = backend.create_topic(chat, name, created_by=backend.bot)
    return {"message_thread_id": thread, "name": name, "icon_color": 0x6FB9F0}


def edit_forum_topic(backend: ClientBackend, params: Json) -> bool:
    chat = target_chat(backend, params)
    thread_id = target_thread(chat, params)
    if thread_id is None:
        raise bad_request("message thread not found")
    if chat.is_forum and not chat.bot_is_administrator:
        raise bad_request("not enough rights to edit the topic")
    name = str(params.get("name") or "").strip()[:MAX_TOPIC_NAME_CHARS]
    if name == chat.topics[thread_id] or not (name or "icon_custom_emoji_id" in params):
        raise bad_request("TOPIC_NOT_MODIFIED")
    if name:
        chat.topics[thread_id] = name
        fields = {"forum_topic_edited": {"name": name}}
        backend.add_message(chat, backend.bot, "", thread_id=thread_id, extra_fields=fields)
    return True


def no_op(_backend: ClientBackend, _params: Json) -> bool:
    return True


def get_file(backend: ClientBackend, params: Json) -> Json:
    return backend.files.get_file(params)


CHAT_METHODS: dict[str, Callable[[ClientBackend, Json], object]] = {
    "getme": get_me,
    "getfile": get_file,
    "getchat": get_chat,
    "getchatmember": get_chat_member,
    "createforumtopic": create_forum_topic,
    "editforumtopic": edit_forum_topic,
    "logout": no_op,
    "close": no_op,
}
