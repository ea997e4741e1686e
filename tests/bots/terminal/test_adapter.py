"""`parley chat` as a person uses it, with lines from a pipe or typed at a terminal."""

import asyncio
import contextlib
import os
import pty
import re
import signal
import sys
import termios
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bots.sandbox.model import ModelStandIn
from bots.sandbox.model.refusals import refuse
from core.texts.answers import TOO_FAST
from tests.sqlite import sqlite_url

LINES = """/file
/file {folder}/none.txt what is it?
/file "{folder}/light house.txt
/file {folder}/light\\ house.txt who keeps it?
repeat: and now without
/
/quit
"""


ROWS, COLUMNS = 24, 80
TERMINAL_OUTPUT = re.compile(r"\x1b\[\??([\d;]*)([A-Za-z])|([\r\n])|([^\x1b\r\n]+)")

pytestmark = pytest.mark.slow


def environment(folder: Path, model: ModelStandIn) -> dict[str, str]:
    return {
        **os.environ,
        "TERM": "xterm",
        "DATABASE_URL": sqlite_url(folder),
        "IOINTELLIGENCE_API_KEY": model.api_key,
        "IOINTELLIGENCE_BASE_URL": model.base_url,
    }


@pytest.fixture
async def model() -> AsyncIterator[ModelStandIn]:
    service = ModelStandIn(tokens_per_second=5000)
    await service.start()
    yield service
    await service.close()


async def start_chat(
    folder: Path, model: ModelStandIn, *options: str, stdin: int = asyncio.subprocess.PIPE
) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "bots.cli",
        "chat",
        *options,
        stdin=stdin,
        stdout=asyncio.subprocess.PIPE if stdin == asyncio.subprocess.PIPE else stdin,
        stderr=asyncio.subprocess.STDOUT,
        env={**environment(folder, model), **({"COLUMNS": "400"} if stdin == asyncio.subprocess.PIPE else {})},
    )


async def run_chat(folder: Path, model: ModelStandIn, lines: str, *options: str, exit_code: int = 0) -> str:
    """What `parley chat` prints for `lines`."""
    process = await start_chat(folder, model, *options)
    async with asyncio.timeout(60):
        stdout, _ = await process.communicate(lines.encode())
    output = stdout.decode()
    assert "Traceback" not in output
    assert process.returncode == exit_code
    return output


async def test_file_can_be_sent(tmp_path: Path, model: ModelStandIn) -> None:
    file = tmp_path / "light house.txt"
    file.write_text("The keeper of the lighthouse is called Hedda Brandt.\n")
    output = await run_chat(tmp_path, model, LINES.format(folder=tmp_path))
    assert "Which file? Usage: /file PATH [TEXT]" in output
    assert f"There is no file {tmp_path}/none.txt" in output
    assert "No closing quotation" in output
    assert "“The keeper of the lighthouse is called Hedda Brandt.” [1]" in output
    assert "Sources: [1] light house.txt, line 1" in output
    assert "and now without" in output
    assert "Unknown command. See /help." in output


async def test_piped_lines_are_not_rate_limited(tmp_path: Path, model: ModelStandIn) -> None:
    lines = [f"/{number}" for number in range(45)]
    output = await run_chat(tmp_path, model, "\n".join([*lines, "/quit", ""]))
    assert output.count("Unknown command.") == 45
    assert TOO_FAST not in output


@pytest.mark.parametrize("command", ["/quit", "/exit", ":quit", ":q"])
async def test_quit_ends_the_chat(tmp_path: Path, model: ModelStandIn, command: str) -> None:
    output = await run_chat(tmp_path, model, f"{command}\nrepeat: not asked\n")
    assert "not asked" not in output
    assert "Traceback" not in output
    assert not model.requests


async def test_menu_is_a_list_with_the_current_model_marked(tmp_path: Path, model: ModelStandIn) -> None:
    lines = [line.strip() for line in (await run_chat(tmp_path, model, "/model\n/quit\n")).splitlines()]
    listed = [line for line in lines if line.startswith("•")]
    assert len(listed) > 3
    assert [line for line in listed if "✓" in line] == [line for line in listed if "Llama-3.3-70B" in line]


async def test_model_named_at_start_answers(tmp_path: Path, model: ModelStandIn) -> None:
    await run_chat(tmp_path, model, "repeat: hi\n", "--model", "phi-4")
    assert [request.body["model"] for request in model.requests] == ["microsoft/phi-4"]


async def test_unknown_model_is_wrong_usage(tmp_path: Path, model: ModelStandIn) -> None:
    output = await run_chat(tmp_path, model, "", "--model", "NOSUCH", exit_code=2)
    assert "'NOSUCH' matches no model, or several" in output
    assert "--model" in output


async def test_exit_code_says_whether_piped_question_was_answered(tmp_path: Path, model: ModelStandIn) -> None:
    assert "No question was answered" not in await run_chat(tmp_path, model, "repeat: hi\n")
    model.fault_hook = refuse("internal")
    for line in ("repeat: hi", "/ask repeat: hi", "/new repeat: hi"):
        assert "No question was answered" in await run_chat(tmp_path, model, f"{line}\n", exit_code=69)
    assert "No question was answered" not in await run_chat(tmp_path, model, "/usage\n")


async def interrupt(process: asyncio.subprocess.Process) -> str:
    """Press Ctrl+C, which must end the process. Returns what it still prints."""
    process.send_signal(signal.SIGINT)
    assert process.stdout is not None
    async with asyncio.timeout(20):
        output = await process.stdout.read()
        assert await process.wait() == 130
    return output.decode()


@pytest.mark.parametrize("lines", ["", "repeat: an answer\n"], ids=["first prompt", "after an answer"])
async def test_ctrl_c_at_prompt_prints_one_line(tmp_path: Path, model: ModelStandIn, lines: str) -> None:
    process = await start_chat(tmp_path, model)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(lines.encode())
    async with asyncio.timeout(60):
        for _ in range(1 + bool(lines)):
            await process.stdout.readuntil(b"> ")
    assert (await interrupt(process)).strip() == "parley: interrupted"


class Screen:
    """A terminal in which `parley chat` runs."""

    def __init__(self, process: asyncio.subprocess.Process, file: int) -> None:
        self.process = process
        self.file = file
        self.text = ""
        self._has_text = asyncio.Event()
        asyncio.get_running_loop().add_reader(file, self._read)

    def _read(self) -> None:
        with contextlib.suppress(OSError):  # the process has ended
            if data := os.read(self.file, 65536):
                self.text += data.decode(errors="replace")
                self._has_text.set()
                return
        asyncio.get_running_loop().remove_reader(self.file)

    async def wait_for(self, text: str) -> None:
        async with asyncio.timeout(60):
            while text not in self.text:
                await self.next_output()

    async def next_output(self) -> None:
        self._has_text.clear()
        await self._has_text.wait()

    def lines(self) -> list[str]:
        """What a person sees when they scroll up."""
        lines, row, column = [""], 0, 0
        for count, command, control, text in TERMINAL_OUTPUT.findall(self.text):
            if command == "A":
                row = max(row - int(count or 1), len(lines) - ROWS, 0)  # never above the screen
            elif command == "K":
                lines[row] = ""
            elif control == "\r":
                column = 0
            elif control == "\n":
                row += 1
                lines += [""] * (row == len(lines))
            lines[row] = lines[row][:column].ljust(column) + text + lines[row][column + len(text) :]
            column += len(text)
        return lines

    async def type(self, text: str) -> None:
        await asyncio.to_thread(os.write, self.file, text.encode())  # waits for the reader


@pytest.fixture
async def screen(tmp_path: Path, model: ModelStandIn) -> AsyncIterator[Screen]:
    master, slave = pty.openpty()
    termios.tcsetwinsize(master, (ROWS, COLUMNS))
    process = await start_chat(tmp_path, model, stdin=slave)
    yield (screen := Screen(process, master))
    if process.returncode is None:
        process.kill()
        await process.wait()
    asyncio.get_running_loop().remove_reader(screen.file)
    os.close(master)
    os.close(slave)


async def test_long_line_arrives_whole(screen: Screen, model: ModelStandIn) -> None:
    await screen.wait_for("> ")
    text = "repeat: " + "word " * 1500 + "the end"
    await screen.type(text + "\n")
    await model.wait_for(lambda: model.requests, 30)
    assert model.requests[-1].body["messages"][-1]["content"] == text


async def test_ctrl_c_at_terminal_leaves_it_usable(screen: Screen) -> None:
    mode = termios.tcgetattr(screen.file)
    await screen.wait_for("> ")
    await screen.type("half a line")
    await screen.wait_for("half a line")
    screen.process.send_signal(signal.SIGINT)
    async with asyncio.timeout(20):
        assert await screen.process.wait() == 130
    assert termios.tcgetattr(screen.file) == mode
    assert screen.text.splitlines()[-1].strip() == "parley: interrupted"


async def test_long_answer_is_in_the_scrollback_once(screen: Screen, model: ModelStandIn) -> None:
    model.tokens_per_second = 1500  # it grows for some seconds
    await screen.wait_for("> ")
    await screen.type("long 9000\n")
    await screen.wait_for("long 9000")
    answer_start = len(screen.text)
    async with asyncio.timeout(60):
        while not re.search(r"\n\S*> ", screen.text[answer_start:]):
            await screen.next_output()
    lines = [line.strip() for line in screen.lines()]
    sections = [line for line in lines if re.fullmatch(r"Section \d+", line)]
    code = [line for line in lines if re.fullmatch(r"line_\d+_\d+ = .*", line)]
    assert len(sections) > 3
    assert len(sections) == len(set(sections))
    assert len(code) == len(set(code))
    assert not any(line.startswith("Thinking") for line in lines)


async def test_ctrl_c_stops_answer(screen: Screen, model: ModelStandIn) -> None:
    model.tokens_per_second = 20
    await screen.wait_for("> ")
    await screen.type("long 9000\n")
    await screen.wait_for("Paragraph 1")
    screen.process.send_signal(signal.SIGINT)
    await screen.wait_for("Stopped")
    await screen.type("/quit\n")
    async with asyncio.timeout(20):
        assert await screen.process.wait() == 0
    assert screen.lines().count("Section 1") <= 1
