"""How the commands' arguments are written."""

import pytest

from core.commands.declarations import MAX_PLACEHOLDER_CHOICES, Argument, Command, find_command


@pytest.mark.parametrize(
    ("argument", "placeholder"),
    [
        (Argument("text", "", is_required=True), "TEXT"),
        (Argument("name", ""), "[NAME]"),
        (Argument("value", "", choices=("on", "off")), "[on|off]"),
        (Argument("value", "", is_required=True, choices=("on",)), "on"),
        (Argument("value", "", choices=tuple("abcdefg")), "[a|b|c|d|e|f|g]"),
        (Argument("value", "", choices=tuple("abcdefgh")), "[VALUE]"),
    ],
)
def test_placeholder_shows_choices_unless_they_are_many(argument: Argument, placeholder: str) -> None:
    assert argument.placeholder == placeholder
    assert len("abcdefg") == MAX_PLACEHOLDER_CHOICES


def test_usage_is_all_placeholders() -> None:
    command = Command("sample", "A sample", (Argument("name", "", is_required=True), Argument("value", "")))
    assert command.usage == "NAME [VALUE]"
    assert Command("sample", "A sample").usage == ""


def test_usage_names_several_files_once() -> None:
    files = [Argument(name, "", is_file=True) for name in ("file", "file2", "file3")]
    assert Command("sample", "A sample", (Argument("text", ""), *files)).usage == "[TEXT] [FILE]"


def test_command_is_found_by_its_name() -> None:
    command = find_command("models")
    assert command is not None
    assert command.name == "models"
    assert find_command("Models") is None


def test_commands_for_everybody_are_visible_to_everybody() -> None:
    """What only the sender sees is a matter of the sender: an answer, or the instructions for all, is not."""
    public = {
        name
        for name in ("ask", "retry", "system", "persona", "model", "usage", "key", "help")
        if not is_ephemeral(name)
    }
    assert public == {"ask", "retry", "system", "persona"}


def is_ephemeral(name: str) -> bool:
    command = find_command(name)
    assert command is not None
    return command.ephemeral
