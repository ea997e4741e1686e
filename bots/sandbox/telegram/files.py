"""The files people have sent, and how a bot gets them."""

from collections import OrderedDict

from bots.sandbox.telegram.refusal import bad
from bots.sandbox.telegram.world import Json

__all__ = ["Files"]

LARGEST = 20 * 1024 * 1024  # bytes that a bot may download
MOST = 100  # kept


class Files:
    def __init__(self) -> None:
        self._known: OrderedDict[str, tuple[Json, str, bytes]] = OrderedDict()

    def keep(self, file: Json, name: str, content: bytes) -> Json:
        """`file` with its size; its content can be downloaded from now on."""
        file = file | {"file_size": len(content)}
        suffix = name.rpartition(".")[2] if "." in name else "bin"
        path = f"documents/{file['file_id'].replace('-', '_')}.{suffix}"
        self._known[file["file_id"]] = file, path, content
        if len(self._known) > MOST:
            self._known.popitem(last=False)
        return file

    def get(self, params: Json) -> Json:
        """The method getFile."""
        file, path, content = self._known.get(str(params.get("file_id")), ({}, "", b""))
        if not file:
            raise bad("invalid file_id")
        if len(content) > LARGEST:
            raise bad("file is too big")
        return file | {"file_path": path}

    def content(self, path: str) -> bytes | None:
        """What is downloaded from `path`."""
        return next((content for _, at, content in self._known.values() if at == path), None)
