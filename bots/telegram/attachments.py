"""The attachments of a message."""

from telegram import Message

from core.port import Attachment

# The first field that is present counts, because a GIF is also a document, and a venue also a location.
KIND_BY_FIELD = {
    "animation": "GIF",
    "audio": "audio file",
    "document": "file",
    "photo": "photo",
    "sticker": "sticker",
    "story": "story",
    "video": "video",
    "video_note": "video message",
    "voice": "voice message",
    "paid_media": "paid media",
    "checklist": "checklist",
    "contact": "contact",
    "dice": "dice",
    "game": "game",
    "poll": "poll",
    "venue": "place",
    "location": "location",
    "invoice": "invoice",
    "giveaway": "giveaway",
}


def extract_attachments(message: Message) -> tuple[Attachment, ...]:
    for field, kind in KIND_BY_FIELD.items():
        content = getattr(message, field, None)
        if not content:
            continue
        if field == "photo":
            content = content[-1]  # the largest size
        name = getattr(content, "file_name", None) or getattr(content, "emoji", None)
        return (
            Attachment(
                kind,
                name or "",
                getattr(content, "file_size", None) or 0,
                getattr(content, "file_id", ""),
                is_document=field == "document",
            ),
        )
    if "rich_message" in message.api_kwargs:
        return (Attachment("rich message"),)
    return ()
