"""The names under which the core knows Telegram and its people."""

from telegram import User

from core.port import Sender

PLATFORM = "telegram"


def sender_of(user: User) -> Sender:
    return Sender(PLATFORM, str(user.id), user.full_name, language=user.language_code)
