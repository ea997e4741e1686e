"""Private files that everyone on the machine can read are reported."""

from pathlib import Path

import pytest

from core.diagnosis.files import check_all_private, check_privacy
from core.diagnosis.finding import Finding, Severity, as_sentence, error, ok, unavailable, warning


def create(path: Path, mode: int) -> Path:
    path.touch()
    path.chmod(mode)
    return path


def readable(path: Path) -> Finding:
    text = f"Every user of this machine can read conversations in {path}."
    return Finding("database.file", Severity.WARNING, text, f"chmod o= {path}")


@pytest.mark.parametrize("mode", [0o604, 0o602, 0o666])
def test_file_open_to_everyone_is_reported(tmp_path: Path, mode: int) -> None:
    path = create(tmp_path / "a", mode)
    assert check_privacy("database.file", path, "conversations") == [readable(path)]


@pytest.mark.parametrize("mode", [0o600, 0o660, 0o601])
def test_private_file_is_no_finding(tmp_path: Path, mode: int) -> None:
    assert check_privacy("database.file", create(tmp_path / "a", mode), "conversations") == []


def test_missing_file_is_no_finding(tmp_path: Path) -> None:
    assert check_privacy("database.file", tmp_path / "a", "conversations") == []


def test_each_open_file_is_reported(tmp_path: Path) -> None:
    paths = [create(tmp_path / name, mode) for name, mode in (("a", 0o604), ("b", 0o600), ("c", 0o604))]
    findings = check_all_private("database.file", paths, "conversations")
    assert findings == [readable(paths[0]), readable(paths[2])]


@pytest.mark.parametrize(("text", "sentence"), [("No", "No."), ("No.", "No."), ("No!", "No!"), ("No?", "No?")])
def test_text_is_a_sentence(text: str, sentence: str) -> None:
    assert as_sentence(text) == sentence


def test_findings_have_a_severity() -> None:
    assert ok("a.b", "Fine") == Finding("a.b", Severity.OK, "Fine", "")
    assert warning("a.b", "Odd", "Do this.") == Finding("a.b", Severity.WARNING, "Odd.", "Do this.")
    assert unavailable("a.b", "Away", "Do this.") == Finding("a.b", Severity.UNAVAILABLE, "Away.", "Do this.")
    assert error("a.b", "Wrong", "Do this.") == Finding("a.b", Severity.ERROR, "Wrong.", "Do this.")
