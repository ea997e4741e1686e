"""Translates a line of input to `Incoming`."""

import shlex
from pathlib import Path

from core.port import Attachment, EventKind, Incoming, Place, Sender


def translate(line: str, key: str, place: Place, sender: Sender) -> Incoming:
    """A prompt, a command, or a file with a prompt. Raises `ValueError` with a text for the person."""
    if not line.startswith("/"):
        return Incoming(EventKind.PROMPT, key, place, sender, line)
    command, _, argument = line[1:].partition(" ")
    command = command.lower()
    if command != "file":
        return Incoming(EventKind.COMMAND, key, place, sender, argument, command=command)
    path, *prompt = shlex.split(argument) or [""]
    if not path:
        raise ValueError("Which file? Usage: /file PATH [TEXT]")
    return Incoming(EventKind.PROMPT, key, place, sender, " ".join(prompt), attachments=(_attachment(path),))


def _attachment(path: str) -> Attachment:
    try:
        file = Path(path).expanduser().resolve()
        if file.is_file():
            return Attachment("file", file.name, file.stat().st_size, str(file), is_document=True)
    except (OSError, RuntimeError) as error:
        raise ValueError(str(error)) from error
    raise ValueError(f"There is no file {path}")
