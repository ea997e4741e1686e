"""Shared by the programs that read files. Each reads one file from standard input and writes its messages to standard
output, one JSON object a line. A malicious file that hangs a parser or fills the memory harms only such a process.
"""

import contextlib
import sys
from collections.abc import Callable

import msgspec

from core.errors import DocumentError, DocumentFailure
from core.memory.file_document import MAX_FILE_BYTES

MAX_MEMORY_BYTES = 1 << 30
Send = Callable[[msgspec.Struct], None]
"""Writes a message."""


class ReadFailed(msgspec.Struct, frozen=True, tag=True):
    failure: DocumentFailure
    message: str


def run(read: Callable[[bytes, Send], msgspec.Struct]) -> None:
    """Write what `read` returns for the content of the file, or its `DocumentError`."""
    limit_memory()
    encode = msgspec.json.Encoder().encode
    output = sys.stdout.buffer

    def send(message: msgspec.Struct) -> None:
        output.write(encode(message) + b"\n")
        output.flush()

    try:
        send(read(sys.stdin.buffer.read(MAX_FILE_BYTES + 1), send))
    except DocumentError as error:
        send(ReadFailed(error.failure, str(error)))
    except MemoryError:
        send(ReadFailed(DocumentFailure.SLOW, "Reading takes too much memory"))


def limit_memory() -> None:
    with contextlib.suppress(ImportError, ValueError, OSError):  # systems without such limits
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY_BYTES, MAX_MEMORY_BYTES))
