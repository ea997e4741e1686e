"""/context: what fills the model's context window, and what no longer fits."""

import re
from pathlib import Path

from bots.sandbox.model import ModelStandIn
from core.commands.context import BAR_WIDTH_CHARS
from core.store.history import ConversationSummary, save_summary
from tests.core.store.many_rows import insert_messages
from tests.core.turns.fake_adapter import FakeAdapter, running_engine

SUMMARY = "Ann counts. " * 20
SMALL_MODEL = "nvidia/AceMath-7B-Instruct"
SMALL_WINDOW = 4000
NO_SUMMARISER = {"*": 1, SMALL_MODEL: 0}
"""No other model has quota left."""


async def shares(chat: FakeAdapter) -> dict[str, int]:
    """The lines below the bar: tokens by label."""
    lines = re.findall(r"^. ([a-z ]+(?: \(\d+\))?) +([\d,]+)$", await chat.ask("/context"), re.MULTILINE)
    return {label.strip(): int(tokens.replace(",", "")) for label, tokens in lines}


def bar(reply: str) -> str:
    (line,) = re.findall(r"^[▓▒█░·]{2,}$", reply, re.MULTILINE)
    return str(line)


async def fill_window(chat: FakeAdapter, model: ModelStandIn) -> None:
    """Ask until old messages no longer fit the small model's window."""
    model.answer = lambda _body: "Noted. " * 40
    await chat.ask(f"/model {SMALL_MODEL}")
    for number in range(8):
        await chat.ask(f"{number}: {'some more words to fill the window ' * 40}")


async def test_new_conversation_is_empty(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model, system_prompt="", contexts={"microsoft/phi-4": 16_000}) as chat:
        await chat.ask("/model phi-4")
        reply = await chat.ask("/context")
        assert reply.startswith("**phi-4** has a context window of 16,000 tokens:")
        assert "no longer fit" not in reply
        assert await shares(chat) == {"reserved for answer": 4000, "free": 12_000}
        assert bar(reply) == "░" * (BAR_WIDTH_CHARS - BAR_WIDTH_CHARS // 4) + "·" * (BAR_WIDTH_CHARS // 4)


async def test_shares_fill_the_window(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model, system_prompt="Be kind to everyone.") as chat:
        await chat.ask(f"/model {SMALL_MODEL}")
        await chat.ask(f"repeat: {'several words ' * 100}")
        found = await shares(chat)
        assert list(found) == ["instructions", "messages (2)", "reserved for answer", "free"]
        assert 3 < found["instructions"] < 12
        assert 300 < found["messages (2)"] < 700
        assert found["reserved for answer"] == SMALL_WINDOW // 4
        assert sum(found.values()) == SMALL_WINDOW
        shown = bar(await chat.ask("/context"))
        assert len(shown) == BAR_WIDTH_CHARS
        assert re.fullmatch("▓█{2,4}░+·{6}", shown), "what is small is visible"


async def test_maximum_length_of_an_answer_is_reserved(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model) as chat:
        await chat.ask(f"/model {SMALL_MODEL}")
        await chat.ask("/settings length 300")
        assert (await shares(chat))["reserved for answer"] == 300


async def test_summary_is_shown_only_where_it_is_sent(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model, quotas=NO_SUMMARISER) as chat:
        await fill_window(chat, model)
        await chat.store.write(save_summary, 1, ConversationSummary(2, SUMMARY), "m", 0)
        reply, found = await chat.ask("/context"), await shares(chat)
        assert re.search(r"\d+ older messages no longer fit; a summary replaces them\. Nothing is deleted\.$", reply)
        assert 30 < found["summary"] < 100
        assert sum(found.values()) <= SMALL_WINDOW
        await chat.ask("/model ReaderLM")
        reply, found = await chat.ask("/context"), await shares(chat)
        assert "no longer fit" not in reply
        assert "summary" not in found, "the large window takes all messages"
        assert "messages (16)" in found
        assert sum(found.values()) == 512_000


async def test_summary_that_does_not_exist_yet_is_announced(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model, quotas=NO_SUMMARISER) as chat:
        await fill_window(chat, model)
        reply = await chat.ask("/context")
        assert "older messages no longer fit; a summary will replace them" in reply
        shown = re.search(r"messages \((\d+)\)", reply)
        left_out = re.search(r"(\d+) older messages", reply)
        assert shown is not None
        assert left_out is not None
        assert int(shown[1]) + int(left_out[1]) == 16


async def test_all_messages_that_do_not_fit_are_counted(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model, quotas=NO_SUMMARISER) as chat:
        await chat.ask(f"/model {SMALL_MODEL}")
        await chat.ask("hi")
        await chat.store.write(insert_messages, 1, 1000)
        reply = await chat.ask("/context")
        shown, left_out = re.search(r"messages \((\d+)\)", reply), re.search(r"(\d+) older messages", reply)
        assert shown is not None
        assert left_out is not None
        assert int(shown[1]) + int(left_out[1]) == 1002


async def test_instructions_that_exceed_the_window_are_reported(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model) as chat:
        await chat.ask(f"/model {SMALL_MODEL}")
        await chat.ask(f"/system {'word ' * 3900}")
        reply = await chat.ask("/context")
        assert re.match(r"The instructions alone are about [34],\d{3} tokens long; AceMath-7B-Instruct has room", reply)


async def test_notes_and_files_are_counted(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model) as chat:
        await chat.ask("/remember My dog is called Rex.")
        assert (await chat.ask("/context")).endswith(
            "Not counted: 1 note. The model sees what is relevant to a question. See /memory."
        )
        await chat.ask("/memory off")
        assert "beside" not in await chat.ask("/context")
