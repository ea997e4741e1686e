"""Events as they are kept."""

import msgspec

from core.port import Incoming

__all__ = ["pack", "unpack"]


def pack(incoming: Incoming) -> str:
    return msgspec.json.encode(incoming).decode()


def unpack(kept: str) -> Incoming | None:
    """None: it is damaged, or of a newer version, which another process may have."""
    try:
        return msgspec.json.decode(kept, type=Incoming)
    except (msgspec.DecodeError, ValueError):
        return None
