from pathlib import Path

import pytest

from core.http_session import open_session


async def test_sessions_share_the_trusted_certificates_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sessions = [open_session(f"https://{host}.example", max_connections=1) for host in ("one", "two")]
    folder = tmp_path / "certificates"
    folder.mkdir()
    monkeypatch.setenv("SSL_CERT_DIR", str(folder))
    sessions.append(open_session("https://three.example", max_connections=1))
    # A closed session has no connector.
    first, second, other = (session.connector._ssl for session in sessions)  # type: ignore[union-attr]
    for session in sessions:
        await session.close()
    assert first is second
    assert other is not first
