import errno
import os
import socket

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey

from bots.discord.errors import describe_connection_error

ADDRESS = ConnectionKey("discord.test", 443, True, True, None, None, None)


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (OSError(errno.EPERM, "Connect call failed ('10.0.0.1', 443)"), os.strerror(errno.EPERM)),
        (OSError(errno.ECONNREFUSED, "Connect call failed ('10.0.0.1', 443)"), os.strerror(errno.ECONNREFUSED)),
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "Name or service not known"),
    ],
)
def test_cause_of_failed_connection_is_named(error: OSError, cause: str) -> None:
    described = describe_connection_error(aiohttp.ClientConnectorError(ADDRESS, error))
    assert described == f"cannot connect to discord.test:443: {cause}"
