"""Translates what a message replies to, or what it forwards, to `Quote`s. Pure functions."""

from dataclasses import replace

from telegram import (
    Message,
    MessageOrigin,
    MessageOriginChannel,
    MessageOriginChat,
    MessageOriginHiddenUser,
    MessageOriginUser,
    TextQuote,
    User,
)

from bots.telegram.content import Content, extract_attachments, read_text
from bots.telegram.rich_reader import read_rich_text
from core.port import Attachment, Quote, QuoteKind


def translate_quotes(message: Message, me: User) -> tuple[Quote, ...]:
    """What the message replies to. Of a message in another chat, Telegram gives only the quoted part and the kind."""
    original, external, quote = replied_message(message), message.external_reply, message.quote
    if original is not None:
        excerpt = _read_excerpt(quote) if quote is not None and quote.is_manual else ""
        author, message_id, is_own = _author(original), str(original.message_id), original.from_user == me
        content: Content = original
    elif external is not None:
        excerpt = _read_excerpt(quote) if quote is not None else ""
        author, message_id, is_own = _origin_name(external.origin), None, False
        content = external
    else:
        return ()
    text = excerpt.strip() or _read_quoted(content)
    return (Quote(QuoteKind.REPLY, text, author, message_id, is_own=is_own, is_excerpt=bool(excerpt.strip())),)


def quote_forward(message: Message, origin: MessageOrigin) -> tuple[Quote, ...]:
    written = read_text(message)
    # The model gets documents and pictures themselves.
    is_readable = all(file.is_document or file.is_image for file in extract_attachments(message))
    text = written if written and is_readable else _read_quoted(message)
    author, message_id = _origin_name(origin), str(message.message_id)
    return (Quote(QuoteKind.FORWARD, text, author, message_id, is_placeholder=not written),) if text else ()


def replied_message(message: Message) -> Message | None:
    """Ignores that every message in a topic replies to the message that opened the topic."""
    original = message.reply_to_message
    if original is None or original.forum_topic_created is not None:
        return None
    if message.is_topic_message and original.message_id == message.message_thread_id:
        return None
    return original


def replied_files(message: Message) -> tuple[Attachment, ...]:
    """The document, picture or recording of the message that this one replies to, unless a bot sent it."""
    original = replied_message(message)
    content: Content | None = original or message.external_reply
    if content is None or (original is not None and original.from_user is not None and original.from_user.is_bot):
        return ()
    media_type = (content.document and content.document.mime_type) or ""
    if media_type.startswith("video/"):
        return ()
    files = extract_attachments(content)
    return tuple(replace(file, is_quoted=True) for file in files if file.is_document or file.is_image or file.is_audio)


def _read_quoted(content: Content) -> str:
    """The text, after what cannot be read: `[photo] Our garden`."""
    marks = [f"[{' '.join(filter(None, (file.kind, file.name)))}]" for file in extract_attachments(content)]
    return " ".join(filter(None, (*marks, read_text(content))))


def _read_excerpt(quote: TextQuote) -> str:
    """Of a rich message, several texts can be selected."""
    texts = quote.api_kwargs.get("rich_texts")
    return quote.text or "\n".join(map(read_rich_text, texts if isinstance(texts, list) else ()))


def _author(message: Message) -> str:
    if message.forward_origin is not None:
        return _origin_name(message.forward_origin)
    if message.sender_chat is not None:
        return message.sender_chat.title or ""
    return message.from_user.full_name if message.from_user is not None else ""


def _origin_name(origin: MessageOrigin) -> str:
    match origin:
        case MessageOriginUser():
            return origin.sender_user.full_name
        case MessageOriginHiddenUser():
            return origin.sender_user_name
        case MessageOriginChat():
            return origin.sender_chat.title or ""
        case MessageOriginChannel():
            return origin.chat.title or ""
        case _:
            return ""
