"""Pictures for tests."""

from io import BytesIO
from typing import Any

from PIL import Image


def make_image(width: int = 64, height: int = 48, file_format: str = "PNG", **options: Any) -> bytes:
    """A picture with a gradient, in which the left upper corner is dark."""
    image = Image.linear_gradient("L").resize((width, height)).convert("RGB")
    buffer = BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()
