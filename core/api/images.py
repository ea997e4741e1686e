"""Pictures in requests. A model gets their bytes as a data URL, never an address."""

import math
from dataclasses import dataclass
from typing import Any

PATCH_SIDE = 28
"""Pixels. Models with vision count about one token for each square of this size."""


@dataclass(frozen=True, slots=True)
class MessageImage:
    data_url: str
    width: int
    """In pixels, like `height`."""
    height: int

    @property
    def tokens(self) -> int:
        """Estimated."""
        return math.ceil(self.width / PATCH_SIDE) * math.ceil(self.height / PATCH_SIDE)

    def to_payload(self) -> dict[str, Any]:
        return {"type": "image_url", "image_url": {"url": self.data_url}}
