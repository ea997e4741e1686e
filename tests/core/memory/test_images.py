"""Pictures are prepared for models: small, upright, without metadata, and whatever their names say."""

import asyncio
import base64
import struct
import zlib
from io import BytesIO

import pytest
from PIL import Image

from core.errors import DocumentError, DocumentFailure
from core.memory.file_document import MAX_FILE_BYTES
from core.memory.file_reader import FileReader
from core.memory.image_reader import MAX_CACHED_BYTES, ImageReader
from core.memory.images import ImageRead, is_image, prepare
from tests.images import make_image

FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "AVIF")
HEIC = base64.b64decode(
    "AAAAHGZ0eXBoZWljAAAAAG1pZjFoZWljbWlhZgAAAX1tZXRhAAAAAAAAACFoZGxyAAAAAAAAAABwaWN0AAAAAAAAAAAAAAAAAAAAACJpbG9jAA"
    "AAAERAAAEAAQAAAAABoQABAAAAAAAAABsAAAAjaWluZgAAAAAAAQAAABVpbmZlAgAAAAABAABodmMxAAAAAA5waXRtAAAAAAABAAAA/WlwcnAA"
    "AADdaXBjbwAAAHZodmNDAQNwAAAAkAAAAAAAHvAA/P34+AAADwNgAAEAGEABDAH//wNwAAADAJAAAAMAAAMAHroCQGEAAQAqQgEBA3AAAAMAkA"
    "AAAwAAAwAeoCCBBZbq5Ka5uAhoMCAAAAMDIAAAAwAhYgABAAZEAcFzwIkAAAATY29scm5jbHgAAQANAAaAAAAAFGlzcGUAAAAAAAAAQAAAAEAA"
    "AAAoY2xhcAAAAEAAAAABAAAAMAAAAAEAAAAAAAAAAv////AAAAACAAAAEHBpeGkAAAAAAwgICAAAABhpcG1hAAAAAAAAAAEAAQWBAgMFhAAAAC"
    "NtZGF0AAAAFygBrxmA70mlvtPe3J/9JoL/Sa1pj5uA"
)
"""An orange picture of 64 x 48 pixels."""
ORIENTATION, GPS = 0x0112, 0x8825


def decode(read: ImageRead) -> Image.Image:
    return Image.open(BytesIO(base64.b64decode(read.base64)))


def failure_of(content: bytes) -> DocumentFailure:
    with pytest.raises(DocumentError) as caught:
        prepare(content, 1000)
    return caught.value.failure


def png_of_size(width: int, height: int) -> bytes:
    """A PNG file of some bytes that claims to have so many pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(3_000_000), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


@pytest.mark.parametrize("file_format", FORMATS)
def test_every_format_becomes_small_jpeg(file_format: str) -> None:
    content = make_image(900, 600, file_format)
    assert is_image(content)
    read = prepare(content, 300)
    image = decode(read)
    assert (image.format, image.size, (read.width, read.height)) == ("JPEG", (300, 200), (300, 200))


def test_photo_of_a_phone_is_opened() -> None:
    """HEIC, where the library for it is installed."""
    pytest.importorskip("pi_heif")
    assert is_image(HEIC)
    image = decode(prepare(HEIC, 300))
    red, green, blue = image.getpixel((30, 20))  # type: ignore[misc]
    assert image.size == (64, 48)
    assert red > green > blue


def test_scan_with_16_bits_is_not_white() -> None:
    buffer = BytesIO()
    Image.new("I;16", (20, 20), 0x8000).save(buffer, "TIFF")
    pixel = decode(prepare(buffer.getvalue(), 300)).getpixel((10, 10))
    assert pixel == (128, 128, 128)


def test_small_picture_keeps_its_size() -> None:
    assert decode(prepare(make_image(40, 30), 300)).size == (40, 30)


def test_metadata_is_stripped() -> None:
    exif = Image.Exif()
    exif[GPS] = {1: "N", 2: (52.0, 31.0, 0.0)}
    exif[0x010F] = "Secret camera"
    content = make_image(60, 40, "JPEG", exif=exif, comment=b"Secret words", icc_profile=b"Secret profile" * 20)
    assert b"Secret" in content
    read = prepare(content, 300)
    assert b"Secret" not in base64.b64decode(read.base64)
    assert not decode(read).getexif()


def test_picture_is_turned_upright() -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 6  # turned by 90 degrees
    assert decode(prepare(make_image(60, 40, "JPEG", exif=exif), 300)).size == (40, 60)


def test_transparent_becomes_white() -> None:
    buffer = BytesIO()
    Image.new("RGBA", (20, 20), (255, 0, 0, 0)).save(buffer, "WEBP", lossless=True)
    pixel = decode(prepare(buffer.getvalue(), 300)).getpixel((10, 10))
    assert pixel == (255, 255, 255)


def test_first_frame_of_animation_is_shown() -> None:
    frames = [Image.new("RGB", (30, 30), colour) for colour in ("blue", "red", "green")]
    buffer = BytesIO()
    frames[0].save(buffer, "GIF", save_all=True, append_images=frames[1:])
    red, green, blue = decode(prepare(buffer.getvalue(), 300)).getpixel((15, 15))  # type: ignore[misc]
    assert blue > 200 > red + green


@pytest.mark.parametrize("size", [(60_000, 60_000), (9_000, 9_000), (50_000, 100)])
def test_bomb_is_refused_before_it_is_decoded(size: tuple[int, int]) -> None:
    assert failure_of(png_of_size(*size)) is DocumentFailure.TOO_LARGE


def test_what_cannot_be_opened_has_reason() -> None:
    assert failure_of(make_image()[:60]) is DocumentFailure.BROKEN
    assert failure_of(png_of_size(0, 5)) is DocumentFailure.BROKEN
    assert failure_of(b"<svg xmlns='http://www.w3.org/2000/svg'/>") is DocumentFailure.UNKNOWN
    assert failure_of(b"\0\0\0\x18ftypheic" + bytes(40)) is DocumentFailure.UNKNOWN
    assert failure_of(b"\xff\xd8\xff" + bytes(MAX_FILE_BYTES)) is DocumentFailure.TOO_LARGE


@pytest.mark.parametrize(
    "text",
    [
        b"BMW and other cars are expensive, they say.",
        b"GIF is a format",
        b"RIFF of a guitar",
        b"MM is a unit",
        b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom",
    ],
)
def test_text_or_video_is_no_picture(text: bytes) -> None:
    assert not is_image(text)


@pytest.mark.slow
async def test_picture_is_read_in_own_process_and_remembered() -> None:
    images = ImageReader(FileReader(), 300)
    image = await images.read("a", make_image(900, 600), person="ann")
    assert (image.width, image.height, image.tokens) == (300, 200, 11 * 8)
    assert image.data_url.startswith("data:image/jpeg;base64,")

    async def fetch() -> bytes:
        downloads.append("b")
        return make_image(600, 600)

    downloads: list[str] = []
    assert await images.load("a", fetch, person="ann") is image
    first, second = await asyncio.gather(*(images.load("b", fetch, person="ann") for _ in range(2)))
    assert first is second
    assert downloads == ["b"]
    with pytest.raises(DocumentError) as caught:
        await images.read("b", b"text", person="ann")
    assert caught.value.failure is DocumentFailure.UNKNOWN


class InstantReader(FileReader):
    """Prepares pictures of a quarter of the cache."""

    async def read_image(self, content: bytes, max_side: int, *, person: str = "") -> ImageRead:
        return ImageRead("x" * (MAX_CACHED_BYTES // 4 - 100), max_side, max_side)


async def test_pictures_that_were_used_longest_ago_are_forgotten() -> None:
    images, downloads = ImageReader(InstantReader(), 300), list[str]()

    async def load(key: str) -> None:
        async def fetch() -> bytes:
            downloads.append(key)
            return b""

        await images.load(key, fetch, person="ann")

    for key in "abcdabcd":
        await load(key)
    assert downloads == list("abcd"), "there is room for four"
    await images.read("a", b"", person="ann")  # a new version takes the place of the old one
    for key in "abcd":
        await load(key)
    assert downloads == list("abcd")
    await load("b")
    await load("e")
    downloads.clear()
    for key in "bcdea":
        await load(key)
    assert downloads == ["a"]
