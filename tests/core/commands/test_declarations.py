"""How the commands' arguments are written."""

import pytest

from core.commands.declarations import COMMANDS, MAX_PLACEHOLDER_CHOICES, Argument, Command, find_command, is_ephemeral


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


def test_only_answers_of_models_are_for_everybody() -> None:
    """What changes for others is announced besides."""

    def public(*, has_question: bool) -> set[str]:
        return {each.name for each in COMMANDS if not is_ephemeral(each, has_question=has_question)}

    assert public(has_question=True) == {"ask", "compare", "new", "retry"}
    assert public(has_question=False) == {"ask", "compare", "retry"}
