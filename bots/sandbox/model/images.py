"""Pictures in a request: checks them as the service does, and describes what is in them."""

import base64
import binascii
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from PIL import Image

from bots.sandbox.model.validation import ApiError
from core.api.catalogue import Model

VISION_MODEL = Model("Qwen/Qwen2.5-VL-32B-Instruct", 32_000, has_vision=True, daily_quota=500_000)
DATA_URL_PATTERN = re.compile(r"data:(image/(?:jpeg|png|webp|gif));base64,([A-Za-z0-9+/=]+)")
MAX_IMAGES = 10
MAX_SIDE = 4096
MAX_BYTES = 20_000_000
PATCH_SIDE = 28


@dataclass(frozen=True, slots=True)
class SeenImage:
    media_type: str
    width: int
    height: int
    size: int
    """In bytes."""

    @property
    def tokens(self) -> int:
        return math.ceil(self.width / PATCH_SIDE) * math.ceil(self.height / PATCH_SIDE)

    def __str__(self) -> str:
        return f"{self.media_type} {self.width}x{self.height}"


def see_images(messages: Sequence[Mapping[str, Any]], model: Model) -> list[SeenImage]:
    """The pictures in a request for `model`. Raises `ApiError` for what the service refuses."""
    urls = list(_image_urls(messages))
    if urls and not model.has_vision:
        raise ApiError(400, f"{model.id} is not a multimodal model")
    if len(urls) > MAX_IMAGES:
        raise ApiError(400, f"At most {MAX_IMAGES} image(s) may be provided in one prompt.")
    return [_see(url) for url in urls]


def _image_urls(messages: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for message in messages:
        content = message.get("content")
        for part in content if isinstance(content, list) else ():
            if part.get("type") == "image_url":
                yield str(part["image_url"]["url"])


def _see(url: str) -> SeenImage:
    match = DATA_URL_PATTERN.fullmatch(url)
    if match is None:
        raise ApiError(400, "The sandbox fetches no addresses: send the image as a data URL")
    try:
        content = base64.b64decode(match[2], validate=True)
        with Image.open(BytesIO(content)) as image:
            image.load()
            size, media_type = image.size, Image.MIME[image.format or ""]
    except (OSError, KeyError, ValueError, binascii.Error):
        raise ApiError(400, "Failed to load image: cannot identify image file") from None
    if media_type != match[1]:
        raise ApiError(400, f"The image is {media_type}, not {match[1]}")
    if len(content) > MAX_BYTES or max(size) > MAX_SIDE:
        raise ApiError(400, f"Images can have at most {MAX_BYTES} bytes and {MAX_SIDE} pixels a side")
    return SeenImage(media_type, *size, len(content))
