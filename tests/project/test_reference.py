"""The generated reference is complete and up to date."""

from pathlib import Path

import pytest

from tests.project.reference import PAGES, ROOT
from tests.project.reference.log_events_page import find_problems


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_reference_is_up_to_date(path: Path) -> None:
    text = path.read_text() if path.exists() else ""
    message = f"{path.relative_to(ROOT)} is out of date: run `make reference` and commit the result"
    assert text == PAGES[path](), message


def test_every_log_event_has_a_name_and_a_meaning() -> None:
    assert find_problems() == []
