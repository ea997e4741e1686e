"""The sticker that people on the page can send."""

import io
from functools import cache

from PIL import Image, ImageDraw

SIZE = 512
FACE, LINES = "#ffc83d", "#422b0d"


@cache
def draw_sticker() -> bytes:
    """A smiling face, as WebP."""
    image = Image.new("RGBA", (SIZE, SIZE))
    draw = ImageDraw.Draw(image)
    draw.ellipse((16, 16, SIZE - 16, SIZE - 16), fill=FACE)
    for left in (160, 296):
        draw.ellipse((left, 150, left + 56, 236), fill=LINES)
    draw.arc((128, 150, SIZE - 128, 400), 20, 160, fill=LINES, width=24)
    content = io.BytesIO()
    image.save(content, "WEBP")
    return content.getvalue()
