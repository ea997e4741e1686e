"""Texts of /export and /import, as Markdown."""

from core.i18n.translation import gettext, gettext_noop, ngettext
from core.texts.formatting import format_number

BYTES_PER_MEGABYTE = 1_000_000

EXPORTED = gettext_noop("Your conversation: one file to read, and one for /import.")
NOTHING_TO_EXPORT = gettext_noop("This conversation has no messages yet.")
NO_UPLOADS = gettext_noop("I can't send files here.")
EXPORTED_IN_PRIVATE = gettext_noop(
    "Everyone here would see the files, so I'm sending them to your private chat with me. If nothing arrives there, "
    "open it, press Start, and send /export here again."
)
EXPORT_TOO_LARGE = gettext_noop("This conversation is too long for a file. Start a new one with /new.")

IMPORT_USAGE = gettext_noop("Send the file from /export together with /import, or reply to it with /import.")
FILE_NOT_FETCHED = gettext_noop("I couldn't download the file. Try again later.")
NO_TRANSCRIPT = gettext_noop("This is not a file from /export. Send `conversation.json`.")
REPLACE_BUTTON = gettext_noop("Replace")
IMPORT_EXPIRED = gettext_noop("This import is no longer stored. Send the file again with /import.")


def exported_partly(number: int) -> str:
    """A file with more than `number` messages would be too large for /import."""
    return ngettext(
        "Your conversation: one file to read, and one for /import with the newest {count} message, because "
        "more would not fit.",
        "Your conversation: one file to read, and one for /import with the newest {count} messages, because "
        "more would not fit.",
        number,
    ).format(count=format_number(number))


def import_too_large(max_bytes: int) -> str:
    return gettext("The file may have at most {size} MB.").format(size=format_number(max_bytes // BYTES_PER_MEGABYTE))


def import_question(number: int) -> str:
    """Asks before the conversation is replaced."""
    return ngettext(
        "The file has {count} message. Replace this conversation with it?",
        "The file has {count} messages. Replace this conversation with them?",
        number,
    ).format(count=format_number(number))


def messages_imported(number: int) -> str:
    return ngettext(
        "{count} message imported. Continue from there.", "{count} messages imported. Continue from there.", number
    ).format(count=format_number(number))
