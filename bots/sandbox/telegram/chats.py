"""The methods about chats, their members and topics, and the bot itself."""

import re
from collections.abc import Callable

from bots.sandbox.telegram.members import member, status_of
from bots.sandbox.telegram.people import People
from bots.sandbox.telegram.places import place, thread_of
from bots.sandbox.telegram.refusal import bad
from bots.sandbox.telegram.world import Json

__all__ = ["CHATS", "Commands"]

LONGEST_NAME = 128
NAME = re.compile(r"[a-z0-9_]{1,32}")
LANGUAGE = re.compile(r"[a-z]{2}")
MOST_COMMANDS = 100
LONGEST_DESCRIPTION = 256
WIDE_SCOPES = frozenset(
    {"default", "all_private_chats", "all_group_chats", "all_chat_administrators"}
)
NARROW_SCOPES = frozenset({"chat", "chat_administrators", "chat_member"})


def get_me(scene: People, _params: Json) -> Json:
    bot = scene.bot
    return {
        **bot.json(),
        "can_join_groups": bot.can_join_groups,
        "can_read_all_group_messages": not scene.privacy,
        "supports_guest_queries": bot.supports_guest_queries,
        "supports_inline_queries": False,
        "can_connect_to_business": False,
        "has_main_web_app": False,
        "has_topics_enabled": bot.has_topics_enabled,
        "allows_users_to_create_topics": bot.allows_users_to_create_topics,
    }


def get_chat(scene: People, params: Json) -> Json:
    chat = place(scene, params, writing=False)
    gifts = ("unlimited_gifts", "limited_gifts", "unique_gifts", "premium_subscription")
    return {
        **chat.json(),
        "accent_color_id": 0,
        "max_reaction_count": 11,
        "accepted_gift_types": dict.fromkeys((*gifts, "gifts_from_channels"), False),
    }


def get_chat_member(scene: People, params: Json) -> Json:
    chat = place(scene, params, writing=False)
    number = params.get("user_id") or 0
    if number <= 0:
        raise bad("invalid user_id specified")
    user = scene.known.get(number)
    if user is None:
        raise bad("user not found")
    return member(user, status_of(chat, user))


def get_chat_administrators(scene: People, params: Json) -> list[Json]:
    chat = place(scene, params, writing=False)
    if chat.private:
        raise bad("there are no administrators in the private chat")
    everybody = [*chat.members, scene.bot]
    shown = [member(user, status_of(chat, user)) for user in everybody]
    return [one for one in shown if one["status"] in {"creator", "administrator"}]


def create_forum_topic(scene: People, params: Json) -> Json:
    name = str(params.get("name") or "").strip()
    chat = place(scene, params)
    if not (chat.forum or (chat.private and scene.bot.has_topics_enabled)):
        raise bad("the chat is not a forum")
    if chat.forum and chat.status != "administrator":
        raise bad("not enough rights to create a topic")
    if not name:
        raise bad("title must be non-empty")
    name = name[:LONGEST_NAME]
    thread = scene.topic(chat, name, by=scene.bot)
    return {"message_thread_id": thread, "name": name, "icon_color": 0x6FB9F0}


def edit_forum_topic(scene: People, params: Json) -> bool:
    chat = place(scene, params)
    thread = thread_of(chat, params)
    if thread is None:
        raise bad("message thread not found")
    if chat.forum and chat.status != "administrator":
        raise bad("not enough rights to edit the topic")
    name = str(params.get("name") or "").strip()[:LONGEST_NAME]
    if name == chat.topics[thread] or not (name or "icon_custom_emoji_id" in params):
        raise bad("TOPIC_NOT_MODIFIED")
    if name:
        chat.topics[thread] = name
        scene.append(
            chat, scene.bot, "", thread=thread, extra={"forum_topic_edited": {"name": name}}
        )
    return True


def nothing_to_do(_scene: People, _params: Json) -> bool:
    return True


class Commands:
    """The bot's commands in the clients' menus, by scope and language."""

    def __init__(self) -> None:
        self.known: dict[tuple[str, str], list[Json]] = {}

    def set(self, _scene: People, params: Json) -> bool:
        key = _scope(params)
        given = params.get("commands") or []
        if not isinstance(given, list):
            raise bad("expected an Array of BotCommand")
        if len(given) > MOST_COMMANDS:
            raise bad("BOT_COMMANDS_TOO_MUCH")
        commands = []
        for command in given:
            if not isinstance(command, dict):
                raise bad("can't parse BotCommand: expected an Object")
            name, description = command.get("command"), command.get("description")
            for field, value in (("command", name), ("description", description)):
                if not isinstance(value, str):
                    raise bad(f'can\'t parse BotCommand: Field "{field}" must be of type String')
            name, description = str(name).removeprefix("/"), str(description)
            if not NAME.fullmatch(name):
                raise bad("BOT_COMMAND_INVALID")
            if not 1 <= len(description.strip()) <= LONGEST_DESCRIPTION:
                raise bad("BOT_COMMAND_DESCRIPTION_INVALID")
            commands.append({"command": name, "description": description})
        self.known[key] = commands
        return True

    def get(self, _scene: People, params: Json) -> list[Json]:
        return self.known.get(_scope(params), [])

    def delete(self, _scene: People, params: Json) -> bool:
        self.known.pop(_scope(params), None)
        return True


def _scope(params: Json) -> tuple[str, str]:
    scope = params.get("scope") or {"type": "default"}
    language = str(params.get("language_code") or "")
    if not isinstance(scope, dict):
        raise bad("can't parse BotCommandScope: BotCommandScope must be an Object")
    kind = scope.get("type")
    if kind not in WIDE_SCOPES | NARROW_SCOPES:
        raise bad("can't parse BotCommandScope: Unsupported type specified")
    if language and not LANGUAGE.fullmatch(language):
        raise bad("invalid language code specified")
    if kind in WIDE_SCOPES:
        return str(kind), language
    if scope.get("chat_id") in (None, ""):
        raise bad("can't parse BotCommandScope: Empty chat_id specified")
    if kind == "chat_member" and not scope.get("user_id"):
        raise bad("can't parse BotCommandScope: Invalid user_id specified")
    return f"{kind} {scope['chat_id']} {scope.get('user_id', '')}".strip(), language


def get_file(scene: People, params: Json) -> Json:
    return scene.files.get(params)


CHATS: dict[str, Callable[[People, Json], object]] = {
    "getme": get_me,
    "getfile": get_file,
    "getchat": get_chat,
    "getchatmember": get_chat_member,
    "getchatadministrators": get_chat_administrators,
    "createforumtopic": create_forum_topic,
    "editforumtopic": edit_forum_topic,
    "logout": nothing_to_do,
    "close": nothing_to_do,
}
