"""What a pairing code looks like (`core.turns.access_control`)."""

from core.commands.models import LINK_PREFIX

CODE_ALPHABET = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
CODE_LENGTH = 10
"""50 bits."""


def normalise_code(text: str) -> str:
    """People may write it in lower case, and with or without the hyphen."""
    return "".join(char for char in text.upper() if char in CODE_ALPHABET)


def is_pairing_code(text: str) -> bool:
    """Whether it may be one, as opposed to what a link to the bot contains."""
    return len(normalise_code(text)) == CODE_LENGTH and not text.startswith(LINK_PREFIX)
