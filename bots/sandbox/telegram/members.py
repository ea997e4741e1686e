"""ChatMember objects."""

from bots.sandbox.stand_in import Json
from bots.sandbox.telegram.state import Chat, MemberStatus, User

ADMINISTRATOR_RIGHTS = (
    "can_manage_chat",
    "can_delete_messages",
    "can_manage_video_chats",
    "can_restrict_members",
    "can_promote_members",
    "can_change_info",
    "can_invite_users",
    "can_post_stories",
    "can_edit_stories",
    "can_delete_stories",
    "can_send_welcome_messages",
    "can_manage_topics",
)


def chat_member(user: User, status: MemberStatus) -> Json:
    payload: Json = {"user": user.json(), "status": status}
    match status:
        case MemberStatus.ADMINISTRATOR:
            payload |= {"can_be_edited": False, "is_anonymous": False}
            payload |= dict.fromkeys(ADMINISTRATOR_RIGHTS, True)
        case MemberStatus.CREATOR:
            payload["is_anonymous"] = False
        case MemberStatus.KICKED:
            payload["until_date"] = 0
    return payload


def member_status(chat: Chat, user: User) -> MemberStatus:
    """The first member of a group is its owner."""
    if user.is_bot:
        return chat.bot_status
    if user not in chat.members:
        return MemberStatus.LEFT
    is_owner = not chat.is_private and user is chat.members[0]
    return MemberStatus.CREATOR if is_owner else MemberStatus.MEMBER
