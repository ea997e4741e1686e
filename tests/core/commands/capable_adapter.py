"""An adapter in memory that can do what commands need: files, private chats and threads."""

from core.port import Attachment, EventKind, File, Incoming, Part, Place, Sender
from tests.core.turns.fake_adapter import TYPING, UploadingAdapter

CONVERSATION_FILE = Attachment("file", "conversation.json", 500, "1", is_document=True)


class CapableAdapter(UploadingAdapter):
    """`fetched` is the content of every file that people send; `threads` are the titles of created threads."""

    def __init__(self, *, max_bytes: int = 10_000_000) -> None:
        super().__init__(TYPING, max_bytes=max_bytes)
        self.fetched = b""
        self.reads_own_threads = False
        self.threads: list[str] = []
        self.parts: list[Part] = []
        self.names: dict[str, File] = {}
        """The sent files by name."""

    def _show(self, message_id: str, part: Part) -> None:
        self.parts.append(part)
        if part.file is not None:
            self.names[part.file.name] = part.file
        super()._show(message_id, part)

    async def fetch(self, attachment: Attachment, max_bytes: int) -> bytes:
        await self._call("fetch")
        return self.fetched

    async def open_private_chat(self, user: str) -> Place:
        await self._call("open_private_chat")
        return Place(self.platform, self.account, user, is_private=True)

    async def create_thread(
        self, place: Place, title: str, *, interaction_token: str | None = None, is_repeated: bool = False
    ) -> str:
        await self._call("create_thread")
        self.threads.append(title)
        return "https://example.org/thread"

    async def command(
        self,
        command: str,
        argument: str = "",
        *,
        attachments: tuple[Attachment, ...] = (),
        thread: str | None = None,
        server: str | None = None,
        may_create_threads: bool = True,
    ) -> str:
        """Send a command, in a channel if there is a server, and return the next message."""
        count = len(self.parts)
        place = Place(self.platform, self.account, "5", thread, is_private=server is None, server=server)
        sender = Sender(self.platform, "5", "Ann", may_create_threads=may_create_threads)
        key = f"e{next(self._numbers)}"
        incoming = Incoming(
            EventKind.COMMAND, key, place, sender, argument, command=command, attachments=attachments, message_id="77"
        )
        await self.inbox(incoming)
        await self.wait_until(lambda: len(self.parts) > count)
        return self.parts[-1].text

    async def answer_to_press(self, action: str) -> str:
        """Press a button in the private chat, and return the next message or version of one."""
        count = len(self.parts)
        await self.press(action, list(self.messages)[-1])
        await self.wait_until(lambda: len(self.parts) > count)
        return self.parts[-1].text

    @property
    def actions(self) -> dict[str, str]:
        """The actions of the buttons and menu items of the last message, by label."""
        part = self.parts[-1]
        menu = {item.label: item.action for item in part.menu}
        return {button.label: button.action for button in part.buttons} | menu
