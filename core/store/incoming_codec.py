"""Events as they are kept."""

import msgspec

from core.port import Incoming

__all__ = ["decode_incoming", "encode_incoming"]


def encode_incoming(incoming: Incoming) -> str:
    return msgspec.json.encode(incoming).decode()


def decode_incoming(encoded: str) -> Incoming | None:
    """None: it is damaged, or of a newer version, which another process may have."""
    try:
        return msgspec.json.decode(encoded, type=Incoming)
    except (msgspec.DecodeError, ValueError):
        return None
