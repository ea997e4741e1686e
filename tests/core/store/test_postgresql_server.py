"""The server that the tests start ends with them."""

import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.waiting import wait_until

START_SERVER = "from tests.postgresql import _server as s; print(s().pgdata, s().get_pid(), flush=True); input()"


@pytest.mark.slow
@pytest.mark.parametrize(
    "interruption", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name
)
async def test_server_stops_when_test_process_is_interrupted(interruption: signal.Signals) -> None:
    process = subprocess.Popen(
        (sys.executable, "-c", START_SERVER), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    with process:
        assert process.stdout is not None
        folder, pid = process.stdout.readline().decode().split()
        server = psutil.Process(int(pid))
        assert server.is_running()
        process.send_signal(interruption)

    def is_stopped() -> bool:
        return not Path(folder).exists() and (not server.is_running() or server.status() == psutil.STATUS_ZOMBIE)

    await wait_until(is_stopped, 30)
