"""Commands for the data of people, when something is wrong."""

from pathlib import Path

import pytest

from tests.bots.cli.conftest import Parley


@pytest.mark.parametrize("command", ["export", "forget"])
def test_person_is_looked_for_only_in_an_existing_database(parley: Parley, tmp_path: Path, command: str) -> None:
    result = parley(command, "telegram:person:5")
    assert (result.exit_code, result.stdout) == (78, "")
    assert "There is no database" in result.stderr
    assert not list(tmp_path.iterdir())


def test_nothing_is_erased_if_a_log_file_cannot_be_changed(parley: Parley, tmp_path: Path) -> None:
    parley("allow", "telegram:person:5")
    result = parley("forget", "telegram:person:5", "--log", str(tmp_path / "missing.log"))
    assert (result.exit_code, result.stdout) == (78, "")
    assert "member" in parley("access", "list").stdout
