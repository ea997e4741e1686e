"""Every text that people read is marked for translation, and translated where it is shown."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.project.catalogues import TRANSLATED, find_defects

ROOT = Path(__file__).parents[2]
TEXTS = sorted((ROOT / "core/texts").glob("*.py"))
PRODUCT = sorted([*(ROOT / "core").rglob("*.py"), *(ROOT / "bots").rglob("*.py")])
MARKS = ("gettext", "gettext_noop", "ngettext")
SHOWN_LATER = {
    "core/commands/key.py": "`_refuse` translates the reason",
    "bots/discord/forms.py": "`_refuse` translates the reason",
    "bots/terminal/adapter.py": "the terminal speaks English",
}
"""Files that use a marked constant without `gettext`, with the reason."""


def parents_of(tree: ast.AST) -> dict[ast.AST, ast.AST]:
    return {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}


def ancestors(node: ast.AST, parents: dict[ast.AST, ast.AST]) -> Iterator[ast.AST]:
    while node in parents:
        node = parents[node]
        yield node


def is_mark(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in MARKS


def is_words(text: str) -> bool:
    """Whether people would read it as words: not a symbol, a code or a part of the layout."""
    return any(char.isalpha() for char in text) and (" " in text.strip() or text[:1].isupper())


def unmarked_literals(path: Path) -> Iterator[str]:
    tree = ast.parse(path.read_text())
    parents = parents_of(tree)
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Constant) and isinstance(node.value, str) and is_words(node.value)):
            continue
        is_docstring = isinstance(parents[node], ast.Expr)
        is_format_spec = any(isinstance(above, ast.FormattedValue) for above in ancestors(node, parents))
        if not is_docstring and not is_format_spec and not any(map(is_mark, ancestors(node, parents))):
            yield f"{path.relative_to(ROOT)}:{node.lineno}: {node.value!r}"


def marked_constants(path: Path) -> set[str]:
    """The constants of a module that hold marked texts."""
    names = set()
    for node in ast.parse(path.read_text()).body:
        target = (
            node.targets[0]
            if isinstance(node, ast.Assign)
            else node.target
            if isinstance(node, ast.AnnAssign)
            else None
        )
        if isinstance(target, ast.Name) and any(map(is_mark, ast.walk(node))):
            names.add(target.id)
    return names


def untranslated_uses(path: Path, constants: set[str]) -> Iterator[str]:
    tree = ast.parse(path.read_text())
    parents = parents_of(tree)
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    modules = {alias.asname or alias.name for node in imports if node.module == "core.texts" for alias in node.names}
    own_names = constants if path in TEXTS else set()
    names = own_names | {
        alias.name for node in imports if (node.module or "").startswith("core.texts.") for alias in node.names
    }
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(value=ast.Name(id=module), attr=name, ctx=ast.Load()) if module in modules:
                pass
            case ast.Name(id=name, ctx=ast.Load()) if name in names:
                pass
            case _:
                continue
        if name in constants and not any(translates(above) for above in ancestors(node, parents)):
            yield f"{path.relative_to(ROOT)}:{node.lineno}: {name}"


def translates(node: ast.AST) -> bool:
    """A call of `gettext`, or in `core/texts` a function that calls it."""
    if isinstance(node, ast.FunctionDef):
        return any(isinstance(part, ast.Name) and part.id in MARKS for part in ast.walk(node))
    return is_mark(node)


def test_every_text_is_marked() -> None:
    """Pass it to `gettext`, or `gettext_noop` for a constant; `ngettext` knows plurals. Names are placeholders."""
    offenders = [literal for path in TEXTS for literal in unmarked_literals(path)]
    assert not offenders, "not marked for translation:\n" + "\n".join(offenders)


def test_every_marked_constant_is_translated_where_it_is_shown() -> None:
    constants = set().union(*map(marked_constants, TEXTS))
    offenders = [
        use
        for path in PRODUCT
        if path.relative_to(ROOT).as_posix() not in SHOWN_LATER
        for use in untranslated_uses(path, constants)
    ]
    assert not offenders, "shown in English to everybody:\n" + "\n".join(offenders)


@pytest.mark.parametrize("language", TRANSLATED)
def test_translations_keep_placeholders_marks_and_limits(language: str) -> None:
    """`python -m tests.project.catalogues --check` also lists what is not translated."""
    defects = list(map(str, find_defects(language)))
    assert not defects, "\n".join(defects)
