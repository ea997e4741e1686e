"""A bot process sends the traces of its turns to a collector."""

import socket
from pathlib import Path

import pytest

from tests.end_to_end.harness import running_harness
from tests.end_to_end.private_chat import PrivateChat
from tests.end_to_end.trace_collector import running_collector


@pytest.mark.slow
async def test_traces_are_sent_before_the_process_ends(tmp_path: Path) -> None:
    async with running_harness(tmp_path) as harness, running_collector() as collector:
        async with harness.run_process(PARLEY_TRACES_URL=collector.url) as process:
            await PrivateChat(harness, "telegram").ask("repeat: hello", "hello")
        assert process.returncode == 0
    assert [span.name for span in collector.spans] == ["queue", "model", "part", "turn"]
    *steps, turn = collector.spans
    assert {span.parent_span_id for span in steps} == {turn.span_id}
    assert not turn.parent_span_id
    assert collector.instances == {f"{socket.gethostname()}:{process.pid}"}


@pytest.mark.slow
async def test_missing_collector_disturbs_nobody(tmp_path: Path) -> None:
    async with running_harness(tmp_path) as harness:
        async with harness.run_process(PARLEY_TRACES_URL="http://127.0.0.1:9/v1/traces") as process:
            await PrivateChat(harness, "telegram").ask("repeat: hello", "hello")
        assert process.returncode == 0
