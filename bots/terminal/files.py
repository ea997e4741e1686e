"""Reading the files that a person names."""

from pathlib import Path

from bots.downloads import file_too_large
from core.errors import DeliveryError, DeliveryFailure


def read_file(path: str, max_bytes: int) -> bytes:
    """The content of the file at `path`. Raises `DeliveryError`."""
    try:
        with Path(path).open("rb") as file:
            content = file.read(max_bytes + 1)
    except OSError as error:
        raise DeliveryError(f"{error.strerror}", DeliveryFailure.GONE) from error
    if len(content) > max_bytes:
        raise file_too_large()
    return content
