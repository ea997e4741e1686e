"""Write the generated files, and fail if a log event has no meaning or a meaning has no event."""

import sys

from tests.project.reference import PAGES, ROOT
from tests.project.reference.log_events_page import find_problems

for path, render in PAGES.items():
    text = render()
    path.parent.mkdir(exist_ok=True)
    if not path.exists() or path.read_text() != text:
        path.write_text(text)
        print(f"wrote {path.relative_to(ROOT)}")  # noqa: T201 (a command)
if problems := find_problems():
    sys.exit("\n".join(problems))
