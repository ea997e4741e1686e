"""Lines about a person disappear from a log file to which a process still writes."""

import gzip
from pathlib import Path

import pytest

from core.errors import ConfigurationError
from core.log_files import blank_lines, check_log_file


def test_only_lines_with_the_id_are_blanked(tmp_path: Path) -> None:
    path = tmp_path / "parley.log"
    lines = ['{"subjects": ["telegram:person:42"]}\n', '{"turn": 142}\n', '{"turn": 7}\n', "person 42"]
    path.write_text("".join(lines))
    with path.open("a") as running:
        assert blank_lines(path, "telegram:person:42") == 2
        running.write("\nwritten later\n")
    assert path.read_text() == f"{' ' * 36}\n{lines[1]}{lines[2]}{' ' * 9}\nwritten later\n"


def test_compressed_and_missing_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "parley.log.1.gz"
    path.write_bytes(gzip.compress(b"telegram:person:42"))
    with pytest.raises(ConfigurationError, match="is compressed"):
        check_log_file(path)
    with pytest.raises(ConfigurationError, match="cannot be changed"):
        check_log_file(tmp_path / "missing")
