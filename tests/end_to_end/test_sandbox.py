"""The sandbox as a newcomer uses it."""

import asyncio
import contextlib
import os
import signal
import sys
from pathlib import Path

LINES = """repeat: privately on Telegram
/model phi-4 me
:group
/model
repeat: in a group
:discord
repeat: in a server
/ask repeat: by command
/ask
:dm
repeat: privately on Discord
:nonsense
:help
:quit
"""


FAILURES = """:system
:alternate
:reject stream_options
repeat: before
:quota llama-3.3
repeat: another answers
:gone no-such-model
:gone phi-4
:file {file} who keeps the lighthouse?
:file {file}.none what is in it?
:discord
:file {file} who keeps it?
:press Retry
:group
:window falcon x
:window falcon 600
/model falcon
long 2000
repeat: what is too long for it
:quit
"""


STOPPING = """long 200000 &
repeat: this waits &
/stop
:file
/models
:press >
:quit
"""


QUOTING = """:telegram
my first question
:edit repeat: my second question
:reply what does this say?
:forward the harbour opens at nine | when does it open?
:group
:forward the ferry leaves at ten
:reply when does it leave?
:discord
repeat: the tower is closed
:reply is it open?
:dm
:forward the bridge is new | how old is it?
/persona
:quit
"""


QUITTING = """long 200000 &
:group
:file {file} what is in it? &
:discord
long 200000 &
:quit
"""


async def start_sandbox(folder: Path | None = None, **variables: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "bots.cli",
        "sandbox",
        "--terminal",
        "--speed",
        "1000",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, "COLUMNS": "400", "PYTHONPATH": str(Path(__file__).parents[2]), **variables},
        cwd=folder,
        start_new_session=True,
    )


async def run_sandbox(lines: str, folder: Path | None = None) -> str:
    process = await start_sandbox(folder)
    async with asyncio.timeout(90):
        out, _ = await process.communicate(lines.encode())
    output = out.decode()
    assert "Traceback" not in output
    assert process.returncode == 0
    return output


async def test_typed_message_is_answered_on_each_platform() -> None:
    output = await run_sandbox(LINES)
    for expected in (
        "privately on Telegram",
        "in a group",
        "in a server",
        "by command",
        "privately on Discord",
    ):
        assert expected in output
    assert "Unknown command. Did you mean :help?" in output
    assert ":window MODEL TOKENS" in output
    assert "Model: phi-4 (chosen for all your chats)" in output, "both chats belong to the same person"
    assert "/ask needs prompt: your question" in output


async def test_service_failures_and_files_can_be_tried(tmp_path: Path) -> None:
    file = tmp_path / "light house.txt"
    file.write_text("The keeper of the lighthouse is called Hedda Brandt.\n")
    output = await run_sandbox(FAILURES.format(file=str(file).replace(" ", "\\ ")))
    assert "Llama-3.3-70B-Instruct has no quota left today" in output
    assert "How many tokens?" in output
    assert "Older messages no longer fit this model's context window" in output
    assert "matches no model, or several" in output
    assert "no longer offers microsoft/phi-4" in output
    assert output.count("Hedda Brandt") >= 2
    assert output.count("Sources: [1] light house.txt, line 1") >= 2
    assert f"{file}.none: No such file" in output


async def test_stop_and_page_buttons_work() -> None:
    output = await run_sandbox(STOPPING)
    assert "Section 1" in output
    assert "Stopped. 1 waiting message dropped." in output
    assert "this waits" not in output
    assert "Which file? Usage: :file PATH [TEXT]" in output
    assert "[◀]  [2/3]  [▶]" in output


async def test_quotes_edits_and_settings_file_work(tmp_path: Path) -> None:
    (tmp_path / "parley.toml").write_text('[personas]\nlibrarian = "You know every book."\n')
    output = await run_sandbox(QUOTING, tmp_path)
    assert "my second question" in output
    for question in (
        "what does this say?",
        "when does it open?",
        "when does it leave?",
        "is it open?",
        "how old is it?",
    ):
        assert f"You wrote: “{question}”" in output
    assert output.count("In groups the bot reads it when you :reply to it.") == 1
    assert "librarian" in output
    assert "pirate" not in output


async def test_settings_of_a_deployment_are_not_used(tmp_path: Path) -> None:
    """The ports and services of the real bot, which may run beside the sandbox."""
    connections: list[asyncio.StreamWriter] = []
    service = await asyncio.start_server(lambda _, writer: connections.append(writer), "127.0.0.1", 0)
    host = f"127.0.0.1:{service.sockets[0].getsockname()[1]}"
    (tmp_path / "parley.toml").write_text(
        f"""
        monitoring_listen = "{host}"
        traces_url = "http://{host}/v1/traces"
        speech_url = "http://{host}/v1/"
        telegram_webhook_url = "https://bot.example.org/webhook"
        telegram_webhook_listen = "{host}"
        [personas]
        librarian = "You know \\"every\\" book. 📚"
        """
    )
    async with service:
        output = await run_sandbox("repeat: it runs\n/persona\n:quit\n", tmp_path)
    assert "it runs" in output
    assert "librarian" in output
    assert connections == []


async def test_quit_ends_answers_and_files(tmp_path: Path) -> None:
    file = tmp_path / "words.txt"
    file.write_text("words and more words in here. " * 40_000)
    await run_sandbox(QUITTING.format(file=file))


async def test_stop_signal_leaves_nothing_behind(tmp_path: Path) -> None:
    process = await start_sandbox(TMPDIR=str(tmp_path))
    assert process.stdout is not None
    try:
        async with asyncio.timeout(90):
            await process.stdout.readuntil(b"Parley's sandbox")
            assert list(tmp_path.iterdir()), "the database"
            process.send_signal(signal.SIGTERM)
            output = await process.stdout.read()  # until the bot's process has ended, too
            await process.wait()
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    assert b"Traceback" not in output
    assert process.returncode == 0
    assert list(tmp_path.iterdir()) == []
