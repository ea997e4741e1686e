"""The generated pages in docs/reference and parley.example.toml.

`python -m tests.project.reference` (or `make reference`) writes them; a test fails when one is out of
date. Each module here renders one page from the declarations in the product.
"""

from pathlib import Path

from tests.project.reference import cli_page, commands_page, example_settings, log_events_page, settings_page

__all__ = ["ROOT", "render_all"]

ROOT = Path(__file__).parents[3]


def render_all() -> dict[Path, str]:
    """The generated files, with their contents."""
    reference = ROOT / "docs" / "reference"
    return {
        reference / "settings.md": settings_page.render(),
        reference / "commands.md": commands_page.render(),
        reference / "cli.md": cli_page.render(),
        reference / "log-events.md": log_events_page.render(),
        ROOT / "parley.example.toml": example_settings.render(),
    }
