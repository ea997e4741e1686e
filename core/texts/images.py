"""Texts about pictures. All are plain."""

from core.errors import DeliveryFailure, DocumentError, DocumentFailure
from core.i18n.translation import gettext, gettext_noop, ngettext
from core.memory.file_document import MAX_FILE_BYTES
from core.memory.images import MAX_PIXELS
from core.texts.formatting import format_number, isolate, join_sentences
from core.texts.memory import CONNECTION_FAILED, FETCH_FAILURE_TEXTS, document_failed

OPENING = gettext_noop("Opening the picture…")
NO_VISION = gettext_noop("No model here can see pictures, so I answered only the text.")
FAILURE_TEXTS = {
    DocumentFailure.TOO_LARGE: gettext_noop(
        "{name} is too large. I can open pictures of up to {megabytes} MB and {megapixels} megapixels."
    ),
    DocumentFailure.BROKEN: gettext_noop("{name} is damaged; I couldn't open it."),
    DocumentFailure.UNKNOWN: gettext_noop("{name} is not a picture I can open. Send a JPEG, PNG, WebP or GIF."),
    DocumentFailure.SLOW: gettext_noop("{name} took too long to open. Send a smaller version."),
}


def image_failed(name: str, error: DocumentError) -> str:
    """`name` is empty for a picture without one."""
    reason = FAILURE_TEXTS.get(error.failure)
    if reason is None:
        return document_failed(name or gettext("The picture"), error)
    return gettext(reason).format(
        name=isolate(name) or gettext("The picture"),
        megabytes=MAX_FILE_BYTES >> 20,
        megapixels=MAX_PIXELS // 1_000_000,
    )


def image_not_fetched(failure: DeliveryFailure, turn_id: int) -> str:
    text = gettext("I couldn't download the picture.")
    return join_sentences(text, gettext(FETCH_FAILURE_TEXTS.get(failure, CONNECTION_FAILED))) + f" [{turn_id}]"


def vision_offered(model: str, vision_model: str) -> str:
    return gettext("{model} can't see pictures, but {vision_model} can.").format(model=model, vision_model=vision_model)


def quoted_image_not_seen(model: str, vision_model: str) -> str:
    """Under an answer to a reply to a picture."""
    return gettext("{model} can't see the picture that you replied to, but {vision_model} can.").format(
        model=model, vision_model=vision_model
    )


def ask_model_button(model: str) -> str:
    return gettext("Ask {model}").format(model=model)


def image_limit_reached(max_images: int) -> str:
    return ngettext(
        "I looked at only the first {count} picture.", "I looked at only the first {count} pictures.", max_images
    ).format(count=format_number(max_images))
