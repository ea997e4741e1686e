"""Texts about who may use the bot, as Markdown."""

from collections.abc import Sequence

from core.i18n.translation import gettext, gettext_noop, ngettext
from core.texts.formatting import code_span, format_number

ACCESS_REQUESTED = gettext_noop(
    "This bot is private. I've asked its operator to let you in, and I'll write to you here when they have. "
    "Until then, I won't answer."
)
ACCESS_GRANTED = gettext_noop("You can use this bot now.")
NO_REQUESTS = gettext_noop("Nobody is waiting for access.")
REQUEST_EXPIRED = gettext_noop("This request no longer exists: it has expired, or the person was banned.")
APPROVE_BUTTON = gettext_noop("Approve")
DECLINE_BUTTON = gettext_noop("Decline")

MAX_SHOWN_NAME_CHARS = 40


def pending_requests(entries: Sequence[tuple[str, str]], count: int) -> str:
    """`entries`: names and IDs of the first ones. Strangers choose their names, so they are shown as code."""
    if count == 1:
        ((name, subject),) = entries
        text = gettext("{person} wants to use this bot: {id}")
        return text.format(person=_person(name), id=code_span(subject))
    title = ngettext("{count} person wants to use this bot:", "{count} people want to use this bot:", count)
    lines = [f"{number}. {_person(name)}: {code_span(subject)}" for number, (name, subject) in enumerate(entries, 1)]
    blocks = [title.format(count=format_number(count)), "\n".join(lines)]
    if rest := count - len(entries):
        more = ngettext(
            "{count} more is waiting and will appear when you have decided.",
            "{count} more are waiting and will appear when you have decided.",
            rest,
        )
        blocks.append(more.format(count=format_number(rest)))
    return "\n\n".join(blocks)


def request_decided(name: str, *, is_approved: bool) -> str:
    text = gettext("Approved: {person} can use this bot now.") if is_approved else gettext("Declined: {person}.")
    return text.format(person=_person(name))


def request_already_decided(name: str, decided_by: str, *, is_approved: bool) -> str:
    text = (
        gettext("{operator} has already approved {person}.")
        if is_approved
        else gettext("{operator} has already declined {person}.")
    )
    return text.format(operator=_person(decided_by), person=_person(name))


def _person(name: str) -> str:
    return code_span(name[:MAX_SHOWN_NAME_CHARS]) or code_span("?")
