"""Removes a person from log files."""

import re
from pathlib import Path

from core.errors import ConfigurationError

GZIP_MAGIC = b"\x1f\x8b"


def check_log_file(path: Path) -> None:
    """Raise `ConfigurationError` unless lines of the file can be overwritten."""
    try:
        with path.open("r+b") as file:
            is_compressed = file.read(len(GZIP_MAGIC)) == GZIP_MAGIC
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be changed: {error.strerror}") from error
    if is_compressed:
        raise ConfigurationError(f"{path} is compressed. Unpack it first.")


def blank_lines(path: Path, subject: str) -> int:
    """Overwrite each line that contains the person's ID with spaces. Returns how many lines there were.

    The file keeps its size, so that a process can go on writing to its end. Raises `ConfigurationError`.
    """
    user = subject.split(":", 2)[2]
    names_person = re.compile(rf"(?<!\d){re.escape(user)}(?!\d)".encode())
    count = 0
    try:
        with path.open("r+b") as file:
            position = 0
            while line := file.readline():
                if names_person.search(line):
                    file.seek(position)
                    file.write(b" " * len(line.rstrip(b"\r\n")))
                    file.seek(position + len(line))
                    count += 1
                position += len(line)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be changed: {error.strerror}") from error
    return count
