"""Texts of /privacy, as Markdown."""

from core.i18n.translation import gettext, gettext_noop, ngettext
from core.settings import Settings
from core.texts.formatting import code_span, format_number

EXPORT_BUTTON = gettext_noop("Export my data")
DELETE_BUTTON = gettext_noop("Delete my data")
CONFIRM_BUTTON = gettext_noop("Delete everything")
BACK_BUTTON = gettext_noop("Back")
NOT_IN_GROUPS = gettext_noop("To export or delete your data, send /privacy in a private chat with me.")
CONFIRMATION = gettext_noop(
    "Delete everything that I store about you? This includes your conversations in groups: your questions, the answers "
    "to them, and your notes and files. It cannot be undone."
)
ERASED = gettext_noop(
    "I have deleted your data. The last traces disappear within a day. You can still use me, and the messages in "
    "our chats stay there until you delete them."
)
EXPORTED = gettext_noop("This file contains everything that I store about you.")
EXPORT_TOO_LARGE = gettext_noop("Your data is too large for a file here. Ask my operator for it.")


def privacy_page(settings: Settings, service: str) -> str:
    """What is stored, and for how long. `service`: the host name of the model service."""
    lines = [
        gettext("your questions, and the answers to them, {period}").format(period=_period(settings.history_days)),
        gettext("your notes and files, {period}").format(period=_period(settings.memory_days)),
        gettext("your settings and your own API key, which is encrypted, {period}").format(period=_period(0)),
        gettext("which messages you sent when and where, without their texts, {period}").format(
            period=_period(settings.button_days)
        ),
        gettext("how many tokens you used, {period}").format(period=_period(settings.usage_days)),
    ]
    blocks = [gettext("**What I store about you**"), "\n".join(f"- {line}" for line in lines)]
    if settings.inactive_days:
        blocks.append(
            ngettext(
                "A conversation without new messages is deleted after {count} day.",
                "A conversation without new messages is deleted after {count} days.",
                settings.inactive_days,
            ).format(count=format_number(settings.inactive_days))
        )
    blocks.append(gettext("I don't store pictures or recordings."))
    blocks.append(
        gettext(
            "My log may contain the ID of your account, but no messages and no names. My operator decides how long the "
            "log is kept, even after you delete your data."
        )
    )
    blocks.append(
        gettext("Your questions go to the model service {service}, which has rules of its own.").format(
            service=code_span(service)
        )
    )
    return "\n\n".join(blocks)


def _period(days: int) -> str:
    """`days` 0: without a limit."""
    if not days:
        return gettext("until you delete them")
    return ngettext("for {count} day", "for {count} days", days).format(count=format_number(days))
