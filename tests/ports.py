"""Free ports for servers that cannot choose one themselves.

A port that the kernel chose could be given to another socket between its discovery and its use. These are below the
ports that Linux and macOS choose, and each worker of pytest-xdist has a block of its own.
"""

import itertools
import os
import socket
from contextlib import suppress

FIRST_PORT = 20_000
PORTS_PER_WORKER = 1000

_offsets = itertools.count(os.getpid())  # other runs of the tests on this machine begin elsewhere


def free_port() -> int:
    """A port that nothing uses. None comes twice before all others of the block did."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    for offset in itertools.islice(_offsets, PORTS_PER_WORKER):
        port = FIRST_PORT + worker * PORTS_PER_WORKER + offset % PORTS_PER_WORKER
        with socket.socket() as listener, suppress(OSError):
            listener.bind(("127.0.0.1", port))
            return port
    raise RuntimeError("every port of this worker's block is in use")
