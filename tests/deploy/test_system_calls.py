"""The bot works under the filter of system calls in the systemd unit."""

import asyncio
import ctypes.util
import json
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from core.memory.worker import MAX_MEMORY_BYTES
from tests.core.memory.sample_files import make_pdf
from tests.deploy.systemd_unit import read_system_call_filter
from tests.end_to_end.harness import bot_texts, running_harness
from tests.tools import miss_tool

pytestmark = pytest.mark.slow

MENU = "Dinner: on Friday the canteen serves smoked eel with horseradish."
QUESTION = "repeat: What does the canteen serve on Friday?"
ANSWER = "What does the canteen serve on Friday?"


@pytest.fixture(scope="module")
def filtered_python() -> list[str]:
    """The command that starts Python under the unit's filter."""
    if platform.system() != "Linux" or ctypes.util.find_library("seccomp") is None:
        miss_tool("libseccomp")
    system_calls = read_system_call_filter()
    return [
        sys.executable,
        "-m",
        "tests.deploy.filtered_process",
        json.dumps([system_calls.error_number, system_calls.allowed]),
    ]


async def test_bot_answers_and_reads_files_under_filter(tmp_path: Path, filtered_python: list[str]) -> None:
    async with running_harness(tmp_path) as harness, harness.run_process(python=filtered_python):
        telegram = harness.telegram
        ann = telegram.create_user("Ann")
        chat = telegram.open_private_chat(ann)
        await telegram.send_message(ann, chat, "repeat: hello")
        await telegram.wait_for(lambda: "hello" in bot_texts(telegram.messages(chat)), 30)
        for name, content in {"menu.txt": MENU.encode(), "menu.pdf": make_pdf([MENU])}.items():
            await telegram.send_document(ann, chat, name, content, caption=QUESTION)
            expected = f"Searched {name}"
            await telegram.wait_for(lambda: any(expected in t for t in bot_texts(telegram.messages(chat))), 30)  # noqa: B023
        assert sum(ANSWER in text for text in bot_texts(telegram.messages(chat))) == 2


async def test_bot_reads_by_webhook_under_filter(
    tmp_path: Path, filtered_python: list[str], unused_tcp_port: int
) -> None:
    """A listener needs other system calls than a client."""
    async with running_harness(tmp_path) as harness:
        listen = f"127.0.0.1:{unused_tcp_port}"
        webhook = {"TELEGRAM_WEBHOOK_URL": f"http://{listen}/hook", "TELEGRAM_WEBHOOK_LISTEN": listen}
        async with harness.run_process(python=filtered_python, **webhook):
            telegram = harness.telegram
            ann = telegram.create_user("Ann")
            chat = telegram.open_private_chat(ann)
            await telegram.send_message(ann, chat, "repeat: hello")
            await telegram.wait_for(lambda: "hello" in bot_texts(telegram.messages(chat)), 30)


async def test_file_reader_limits_its_memory_under_filter(filtered_python: list[str]) -> None:
    """Without `setrlimit` a file could fill the memory of the whole service."""
    code = "import resource; from core.memory.worker import limit_memory; limit_memory(); "
    code += "print(resource.getrlimit(resource.RLIMIT_AS)[0])"
    completed = await asyncio.to_thread(
        subprocess.run, [*filtered_python, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert completed.returncode == 0, completed.stderr
    assert int(completed.stdout) == MAX_MEMORY_BYTES


async def test_filter_refuses_privileged_calls(filtered_python: list[str]) -> None:
    """The filter is in force, and a refused call does not kill the process."""
    code = "import os\ntry:\n    os.chroot('/')\nexcept PermissionError:\n    print('refused')"
    completed = await asyncio.to_thread(
        subprocess.run, [*filtered_python, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert completed.stdout.strip() == "refused"
