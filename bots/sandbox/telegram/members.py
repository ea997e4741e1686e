"""What Telegram says of a member of a chat."""

from bots.sandbox.telegram.world import Bot, Chat, Json, Person

__all__ = ["member", "status_of"]

RIGHTS = (
    "can_manage_chat", "can_delete_messages", "can_manage_video_chats", "can_restrict_members",
    "can_promote_members", "can_change_info", "can_invite_users", "can_post_stories",
    "can_edit_stories", "can_delete_stories", "can_send_welcome_messages", "can_manage_topics",
)  # fmt: skip


def member(user: Person, status: str) -> Json:
    """A ChatMember object."""
    shown: Json = {"user": user.json(), "status": status}
    match status:
        case "administrator":
            shown |= {"can_be_edited": False, "is_anonymous": False}
            shown |= dict.fromkeys(RIGHTS, True)
        case "creator":
            shown["is_anonymous"] = False
        case "kicked":
            shown["until_date"] = 0
    return shown


def status_of(chat: Chat, user: Person) -> str:
    """The first of a group's members is its owner; a bot's status is the chat's own."""
    if isinstance(user, Bot):
        return chat.status
    if user not in chat.members:
        return "left"
    return "creator" if not chat.private and user is chat.members[0] else "member"
