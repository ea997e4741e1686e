"""Which parts of an answer are offered as files."""

import pytest

from core.delivery.artefacts import find_artefacts, may_have_artefacts


def code(lines: int, language: str = "python", fence: str = "```") -> str:
    body = "\n".join(f"line_{number} = {number}" for number in range(lines))
    return f"{fence}{language}\n{body}\n{fence}"


def table(rows: int) -> str:
    return "| a | b |\n|---|---|\n" + "\n".join(f"| {number} | **x, {number}** |" for number in range(rows))


def names(text: str) -> list[str]:
    return [file.name for file in find_artefacts(text)]


def test_only_long_code_is_offered() -> None:
    assert names(f"Here:\n\n{code(60)}\n\nDone.") == []
    (file,) = find_artefacts(f"Here:\n\n{code(61)}\n\nDone.")
    assert file.name == "code.py"
    assert file.content.decode().startswith("line_0 = 0\nline_1")
    assert file.content.decode().rstrip("\n").endswith("line_60 = 60")


def test_several_are_numbered_in_their_order() -> None:
    text = "\n\n".join((code(70, "C++"), table(5), code(2, "csv"), code(70, ""), code(70, "../../etc/passwd")))
    assert names(text) == ["code-1.cpp", "table-2.csv", "table-3.csv", "code-4.txt", "code-5.txt"]


def test_table_becomes_csv() -> None:
    assert names(table(4)) == []
    (file,) = find_artefacts(table(5))
    assert file.content.decode("utf-8-sig").splitlines()[:2] == ["a,b", '0,"x, 0"']


def test_formulas_stay_text() -> None:
    rows = "\n".join(["| =HYPERLINK(1) | -5 |"] * 5)
    (file,) = find_artefacts(f"| a | b |\n|---|---|\n{rows}")
    assert file.content.decode("utf-8-sig").splitlines()[1] == "'=HYPERLINK(1),-5"


def test_code_in_lists_and_quotes_is_found() -> None:
    indented = "\n".join(f"   {line}" for line in code(70).splitlines())
    quoted = "\n".join(f"> {line}" for line in code(70, "js").splitlines())
    assert names(f"1. First\n\n{indented}\n\nThen\n\n{quoted}") == ["code-1.py", "code-2.js"]


@pytest.mark.parametrize("text", ["", "words", "a | b\n" * 100, "`" * 5000, "|\n" * 5000, "words\n" * 500])
def test_text_without_artefacts(text: str) -> None:
    assert names(text) == []


@pytest.mark.parametrize("prefix", ["", "> ", "- ", "1. ", "> - "])
@pytest.mark.parametrize("rows", [4, 5])
def test_long_table_is_found_in_lists_and_quotes(prefix: str, rows: int) -> None:
    indent = "".join(char if char == ">" else " " for char in prefix)
    lines = [f"{prefix if not number else indent}{line}" for number, line in enumerate(table(rows).splitlines())]
    assert names("\n".join(lines)) == ["table.csv"] * (rows == 5)
    assert may_have_artefacts("\r\n".join(lines)) is (rows == 5)


def test_short_tables_are_not_parsed_for_artefacts() -> None:
    assert not may_have_artefacts(f"{table(3)}\n\nand\n\n{table(3)}\n\n- a | b\n- c | d\n" * 9)
