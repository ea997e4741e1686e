"""Prepares pictures for models: decodes, turns upright, scales down, and encodes without any metadata.

Run as a program, this module reads one picture from standard input; its argument is the longest side in pixels. See
`core.memory.worker`.
"""

import base64
import sys
from io import BytesIO
from typing import TYPE_CHECKING

import msgspec

from core.errors import DocumentError, DocumentFailure
from core.memory import worker
from core.memory.file_document import check_file_size

if TYPE_CHECKING:
    from PIL.Image import Image

FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "AVIF")
HEIF = "HEIF"
SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a", b"II*\0", b"MM\0*")
BRANDS = (b"avif", b"avis", b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1")
"""The brands of AVIF and HEIC, which follow `ftyp`."""
MAX_BRAND_BYTES = 128
MAX_PIXELS = 60_000_000
"""The largest picture that is scaled down."""
MAX_ASPECT_RATIO = 100
MAX_ENCODED_BYTES = 3_000_000
QUALITIES = (85, 70, 50)
"""Qualities of JPEG, tried in order until the result is small enough."""
MEDIA_TYPE = "image/jpeg"


class ImageRead(msgspec.Struct, frozen=True, tag=True):
    base64: str
    """The content as JPEG."""
    width: int
    height: int


def is_image(content: bytes) -> bool:
    """Whether the content begins like that of a picture."""
    is_webp = content.startswith(b"RIFF") and content[8:12] == b"WEBP"
    # "BM" alone also begins texts; the size of the header follows the offset of the pixels.
    is_bmp = content.startswith(b"BM") and content[14:18] in (b"\x28\0\0\0", b"\x6c\0\0\0", b"\x7c\0\0\0")
    return is_webp or is_bmp or content.startswith(SIGNATURES) or _has_image_brand(content)


def _has_image_brand(content: bytes) -> bool:
    """Whether it is AVIF or HEIC: videos begin in the same way, and name other brands."""
    if content[4:8] != b"ftyp":
        return False
    end = min(int.from_bytes(content[:4], "big"), MAX_BRAND_BYTES)
    return any(content[start : start + 4] in BRANDS for start in (8, *range(16, end, 4)))


def prepare(content: bytes, max_side: int) -> ImageRead:
    """The picture, or the first frame of an animation, as a JPEG of at most `max_side` pixels a side.

    Raises `DocumentError`.
    """
    check_file_size(len(content))
    if not is_image(content):
        raise DocumentError("The content is not a picture", DocumentFailure.UNKNOWN)
    from PIL import Image, UnidentifiedImageError

    Image.MAX_IMAGE_PIXELS = None  # checked here, without a warning
    formats = (*FORMATS, *_register_heif()) if _has_image_brand(content) else FORMATS
    try:
        with Image.open(BytesIO(content), formats=formats) as image:
            _check_size(image.size)
            image.draft("RGB", (max_side, max_side))  # a JPEG is decoded at a smaller size
            return _encode(_flatten(image, max_side))
    except (DocumentError, MemoryError):
        raise
    except UnidentifiedImageError as error:
        # Not every system has the libraries for these.
        failure = DocumentFailure.UNKNOWN if _has_image_brand(content) else DocumentFailure.BROKEN
        raise DocumentError("The picture has another format", failure) from error
    except Exception as error:  # Pillow raises any exception for a broken picture
        raise DocumentError("The picture is broken", DocumentFailure.BROKEN) from error


def _register_heif() -> tuple[str, ...]:
    """The name of the format, if the library is there."""
    try:
        from pi_heif import register_heif_opener
    except ImportError:  # where there is no wheel for it
        return ()
    register_heif_opener()
    return (HEIF,)


def _check_size(size: tuple[int, int]) -> None:
    width, height = size
    if not width or not height:
        raise DocumentError("The picture has no pixels", DocumentFailure.BROKEN)
    if width * height > MAX_PIXELS or max(size) > MAX_ASPECT_RATIO * min(size):
        raise DocumentError(f"The picture has {width:,} x {height:,} pixels", DocumentFailure.TOO_LARGE)


def _flatten(image: "Image", max_side: int) -> "Image":
    """An upright copy on white, without anything but pixels."""
    from PIL import Image, ImageOps

    upright = ImageOps.exif_transpose(image)
    if upright.mode.startswith("I;16"):
        upright = upright.point(lambda value: value / 256).convert("L")  # converted at once, it would be white
    if upright.mode != "RGB":
        upright = upright.convert("RGBA")
    upright.thumbnail((max_side, max_side))
    plain = Image.new("RGB", upright.size, "white")
    plain.paste(upright, mask=upright if upright.mode == "RGBA" else None)
    return plain


def _encode(image: "Image") -> ImageRead:
    encoded = b""
    for quality in QUALITIES:
        buffer = BytesIO()
        image.save(buffer, "JPEG", quality=quality)
        encoded = buffer.getvalue()
        if len(encoded) <= MAX_ENCODED_BYTES:
            break
    return ImageRead(base64.b64encode(encoded).decode(), *image.size)


if __name__ == "__main__":
    worker.run(lambda content, _send: prepare(content, int(sys.argv[1])))
