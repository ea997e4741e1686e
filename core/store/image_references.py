"""The pictures of a question as they are stored: where the platform keeps them, not their bytes."""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec


@dataclass(frozen=True, slots=True)
class ImageReference:
    kind: str
    """As in `core.port.Attachment`."""
    name: str
    """The file name or the sticker's; without brackets and control characters. May be empty."""
    file_id: str
    """The platform's. It may expire."""

    @property
    def mark(self) -> str:
        """Stands for the picture in a text: `[photo garden.png]`."""
        return f"[{' '.join(filter(None, (self.kind, self.name)))}]"


def with_marks(text: str, images: Sequence[ImageReference]) -> str:
    """The text of a question, for a model that does not get these pictures with it."""
    marks = " ".join(image.mark for image in images)
    return text if marks in text else f"{text}\n\n{marks}".strip()


def encode_references(images: Sequence[ImageReference]) -> str | None:
    return msgspec.json.encode(images).decode() if images else None


def decode_references(encoded: str | None) -> tuple[ImageReference, ...]:
    return msgspec.json.decode(encoded, type=tuple[ImageReference, ...]) if encoded else ()
