"""Answers on a platform with a second, richer kind of messages, and what follows when it rejects one."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bots.discord.dialect import DiscordDialect
from bots.sandbox.model import ModelStandIn
from bots.sandbox.model.script import scripted_answer
from core.delivery.splitter import Splitter
from core.errors import RichRejectedError
from core.markdown.document import Document
from core.port import Capabilities, Dialect, Part, Place, PreviewMode, RichMode
from core.texts import answers as texts
from tests.core.turns.fake_adapter import TYPING, UNLIMITED, FakeAdapter, running_engine

ANSWER = "".join(f"Sentence {number} of the answer. " for number in range(40)).strip()
PLAIN = DiscordDialect(200)
PLAIN_PARTS = [part.text for part in Splitter(PLAIN).update(ANSWER)]
EDITING = Capabilities(UNLIMITED, preview_mode=PreviewMode.EDIT, preview_interval=0.02)
DRAFT = Capabilities(UNLIMITED, preview_mode=PreviewMode.DRAFT, preview_interval=0.02)


@dataclass
class RichDialect:
    """Like the plain one, with much more room."""

    limit: int = 5_000
    plain: DiscordDialect = field(default_factory=lambda: DiscordDialect(5_000))

    def render(self, document: Document) -> Part:
        return Part(self.plain.render(document).text, {"rich": True})

    def size(self, part: Part) -> int:
        return len(part.text)

    def render_thinking(self, status: str) -> Part:
        return Part(f"<{status}>", {"rich": True})


class RichAdapter(FakeAdapter):
    """`accepts_rich`: False for a platform that rejects each rich message."""

    def __init__(self, capabilities: Capabilities = TYPING, *, accepts_rich: bool = True) -> None:
        super().__init__(capabilities)
        self.dialect = PLAIN  # type: ignore[assignment]  # another dialect with a small limit
        self.accepts_rich = accepts_rich
        self.rich_attempts = 0
        self.modes: set[RichMode | None] = set()

    def answer_dialect(self, mode: RichMode | None) -> Dialect:
        self.modes.add(mode)
        return RichDialect()

    def _show(self, message_id: str, part: Part) -> None:
        self._check(part)
        super()._show(message_id, part)

    async def show_draft(self, place: Place, draft_id: int, part: Part) -> None:
        self._check(part)
        await super().show_draft(place, draft_id, part)

    def _check(self, part: Part) -> None:
        self.rich_attempts += "rich" in part.native
        if "rich" in part.native and not self.accepts_rich:
            raise RichRejectedError("unknown")


@pytest.fixture
def model(model: ModelStandIn) -> ModelStandIn:
    model.tokens_per_second = 100_000
    model.answer = lambda _body: ANSWER
    return model


@pytest.mark.parametrize("capabilities", [TYPING, EDITING, DRAFT])
async def test_accepted_answer_is_one_message(tmp_path: Path, model: ModelStandIn, capabilities: Capabilities) -> None:
    adapter = RichAdapter(capabilities)
    async with running_engine(tmp_path, model, adapter):
        await adapter.say("hello")
        await adapter.wait_for_states("done")
        assert adapter.texts == [ANSWER]


@pytest.mark.parametrize("capabilities", [TYPING, EDITING, DRAFT])
async def test_rejected_answer_is_split_again_and_shown_once(
    tmp_path: Path, model: ModelStandIn, capabilities: Capabilities
) -> None:
    model.tokens_per_second = 500
    adapter = RichAdapter(capabilities, accepts_rich=False)
    async with running_engine(tmp_path, model, adapter):
        await adapter.say("hello")
        await adapter.wait_for_states("done")
        assert adapter.texts == PLAIN_PARTS
        assert adapter.rich_attempts <= 3, "the first preview, and the final message"
        if capabilities is DRAFT:
            assert adapter.drafts, "the previews went on in the plain form"


async def test_commands_are_answered_in_the_plain_form(tmp_path: Path, model: ModelStandIn) -> None:
    adapter = RichAdapter()
    async with running_engine(tmp_path, model, adapter):
        await adapter.say("/help")
        await adapter.wait_for_states("done")
        assert adapter.rich_attempts == 0


async def test_preference_of_the_chat_reaches_the_adapter(tmp_path: Path, model: ModelStandIn) -> None:
    adapter = RichAdapter()
    async with running_engine(tmp_path, model, adapter):
        await adapter.say("hello")
        await adapter.wait_for_states("done")
        assert adapter.modes == {None}
        assert "always" in await adapter.ask("/settings rich Always")
        adapter.modes.clear()
        await adapter.say("hello")
        await adapter.wait_for_states("done", "done", "done")
        assert adapter.modes == {RichMode.ALWAYS}


async def test_platform_without_rich_messages_has_no_such_setting(tmp_path: Path, model: ModelStandIn) -> None:
    adapter = FakeAdapter()
    async with running_engine(tmp_path, model, adapter):
        assert "rich" not in (await adapter.ask("/settings")).casefold()
        assert "unknown setting" in (await adapter.ask("/settings rich off")).casefold()


async def test_status_of_a_model_that_reasons_is_shown_as_such(tmp_path: Path, model: ModelStandIn) -> None:
    model.tokens_per_second = 200
    model.answer = scripted_answer
    adapter = RichAdapter(DRAFT)
    async with running_engine(tmp_path, model, adapter):
        await adapter.say("think")
        await adapter.wait_until(lambda: f"<{texts.THINKING}>" in adapter.drafts)
