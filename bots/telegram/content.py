"""Reads what a message contains besides plain text. Pure functions."""

from collections.abc import Callable
from typing import Any, TypeAlias

from telegram import Checklist, Contact, ExternalReplyInfo, Location, Message, MessageEntity, Poll, Venue

from bots.telegram.rich_reader import read_rich_message
from core.i18n.translation import gettext_noop
from core.port import Attachment

Content: TypeAlias = Message | ExternalReplyInfo

MAX_LINKS = 20

# The first field that is present counts, because a GIF is also a document.
KIND_BY_FIELD = {
    "animation": gettext_noop("GIF"),
    "audio": gettext_noop("audio file"),
    "document": gettext_noop("file"),
    "photo": gettext_noop("photo"),
    "sticker": gettext_noop("sticker"),
    "story": gettext_noop("story"),
    "video": gettext_noop("video"),
    "video_note": gettext_noop("video message"),
    "voice": gettext_noop("voice message"),
    "paid_media": gettext_noop("paid media"),
    "dice": gettext_noop("dice"),
    "game": gettext_noop("game"),
    "invoice": gettext_noop("invoice"),
    "giveaway": gettext_noop("giveaway"),
}
MOVING_PICTURES = ("animation", "sticker")
RECORDINGS = ("voice", "audio", "video_note")


def extract_attachments(content: Content) -> tuple[Attachment, ...]:
    for field, kind in KIND_BY_FIELD.items():
        file = getattr(content, field, None)
        if not file:
            continue
        if field == "photo":
            file = file[-1]  # the largest size
        name = getattr(file, "file_name", None) or getattr(file, "emoji", None)
        picture = _still_image(field, file)
        source = picture or file
        return (
            Attachment(
                kind,
                name or "",
                getattr(source, "file_size", None) or 0,
                getattr(source, "file_id", ""),
                is_document=field == "document",
                is_image=picture is not None,
                is_audio=field in RECORDINGS,
            ),
        )
    if "rich_message" in content.api_kwargs and not _rich_text(content):
        return (Attachment(gettext_noop("rich message")),)
    return ()


def _still_image(field: str, file: Any) -> Any:
    """The file that shows what people see; of a moving one, its thumbnail. None: there is none."""
    if field == "photo" or (field == "sticker" and not (file.is_animated or file.is_video)):
        return file
    return file.thumbnail if field in MOVING_PICTURES else None


def read_text(content: Content) -> str:
    """The text or caption, and what people see with it."""
    return "\n\n".join(filter(None, (_text(content), read_additions(content))))


def read_additions(content: Content) -> str:
    """A rich message, poll, checklist, contact or place as text, and the targets of links that are not shown."""
    # A venue is also a location.
    values = ((getattr(content, field, None), describe) for field, describe in DESCRIPTIONS.items())
    description = next((describe(value) for value, describe in values if value), "")
    return "\n\n".join(filter(None, (_rich_text(content), description, "\n".join(_hidden_links(content)))))


def _rich_text(content: Content) -> str:
    return read_rich_message(content.api_kwargs.get("rich_message")).strip()


def _describe_poll(poll: Poll) -> str:
    options = "\n".join(f"- {option.text} ({option.voter_count})" for option in poll.options)
    return f"Poll: {poll.question}\n{options}"


def _describe_checklist(checklist: Checklist) -> str:
    tasks = "\n".join(f"- [{'x' if task.completion_date else ' '}] {task.text}" for task in checklist.tasks)
    return f"Checklist: {checklist.title}\n{tasks}"


def _describe_contact(contact: Contact) -> str:
    name = " ".join(filter(None, (contact.first_name, contact.last_name)))
    return f"Contact: {name}, {contact.phone_number}"


def _describe_venue(venue: Venue) -> str:
    return f"Place: {venue.title}, {venue.address}\n{_describe_location(venue.location)}"


def _describe_location(location: Location) -> str:
    return f"Location: {location.latitude}, {location.longitude}"


DESCRIPTIONS: dict[str, Callable[[Any], str]] = {
    "poll": _describe_poll,
    "checklist": _describe_checklist,
    "contact": _describe_contact,
    "venue": _describe_venue,
    "location": _describe_location,
}


def _hidden_links(content: Content) -> list[str]:
    text = _text(content)
    entities = getattr(content, "entities", None) or getattr(content, "caption_entities", None) or ()
    urls = [entity.url for entity in entities if entity.type == MessageEntity.TEXT_LINK]
    if content.link_preview_options is not None:
        urls.append(content.link_preview_options.url)
    return [url for url in dict.fromkeys(urls) if url and url not in text][:MAX_LINKS]


def _text(content: Content) -> str:
    return getattr(content, "text", None) or getattr(content, "caption", None) or ""
