"""Ports for servers that cannot be told to choose one themselves."""

import socket

__all__ = ["free_port"]


def free_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port: int = held.getsockname()[1]
        return port
