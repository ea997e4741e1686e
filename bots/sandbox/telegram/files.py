"""The files that users and the bot have sent, for download."""

from dataclasses import dataclass

from bots.sandbox.stand_in import Json
from bots.sandbox.telegram.errors import bad_request
from core.bounded_dict import BoundedDict

MAX_DOWNLOAD_BYTES = 20 * 1024 * 1024
MAX_UPLOAD_BYTES = 50_000_000
MAX_FILES = 100


@dataclass(frozen=True, slots=True)
class UploadedFile:
    """A parameter of a multipart request."""

    name: str
    content: bytes
    media_type: str


class FileStore:
    def __init__(self) -> None:
        self._files: BoundedDict[str, tuple[Json, str, bytes]] = BoundedDict(MAX_FILES)

    def add(self, file: Json, name: str, content: bytes) -> Json:
        """Store a file for download. Returns its object, with the size."""
        file = file | {"file_size": len(content)}
        suffix = name.rpartition(".")[2] if "." in name else "bin"
        path = f"documents/{file['file_id'].replace('-', '_')}.{suffix}"
        self._files[file["file_id"]] = file, path, content
        return file

    def get_file(self, params: Json) -> Json:
        """The method getFile."""
        file, path, content = self._files.get(str(params.get("file_id")), ({}, "", b""))
        if not file:
            raise bad_request("invalid file_id")
        if len(content) > MAX_DOWNLOAD_BYTES:
            raise bad_request("file is too big")
        return file | {"file_path": path}

    def content_by_id(self, file_id: str) -> bytes:
        return self._files[file_id][2]

    def path_by_id(self, file_id: str) -> str:
        return self._files[file_id][1]

    def clear(self) -> None:
        """Telegram no longer has any file."""
        self._files.clear()

    def content(self, path: str) -> bytes | None:
        return next((content for _, file_path, content in self._files.values() if file_path == path), None)
