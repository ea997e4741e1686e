"""The generated pages in docs/reference and parley.example.toml.

`python -m tests.project.reference` (or `make reference`) writes them; a test fails when one is out of
date. Each module here renders one page from the declarations in the product.
"""

from pathlib import Path

from tests.project.reference import (
    cli_page,
    commands_page,
    example_settings,
    log_events_page,
    metrics_page,
    settings_page,
)

__all__ = ["PAGES", "ROOT"]

ROOT = Path(__file__).parents[3]
REFERENCE = ROOT / "docs" / "reference"
PAGES = {
    REFERENCE / "settings.md": settings_page.render,
    REFERENCE / "commands.md": commands_page.render,
    REFERENCE / "cli.md": cli_page.render,
    REFERENCE / "log-events.md": log_events_page.render,
    REFERENCE / "metrics.md": metrics_page.render,
    ROOT / "parley.example.toml": example_settings.render,
}
"""By file, the function that renders its contents."""
