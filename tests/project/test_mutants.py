"""The mutants of `make mutants`: each changes the meaning of the product's code, and only that."""

import ast
from pathlib import Path

from tests.mutation.mutants import find_mutants, product_files

SAMPLE = '''
LIMIT = 10
"""Characters."""


async def run(text: str, kind: Kind, count: int = 3) -> bool:
    log.info("sample.started", count=5)
    if not text or len(text) >= LIMIT:
        raise ValueError("too long")
    await send(text)
    for word in text.split():
        if kind is Kind.OPEN:
            continue
        count += 2
    return count * 2 == LIMIT
'''
ENUM = """
class Kind(StrEnum):
    OPEN = "open"
    CLOSED = "closed"
"""


def test_each_kind_of_logic_has_mutants(tmp_path: Path) -> None:
    (tmp_path / "sample.py").write_text(SAMPLE)
    (tmp_path / "kind.py").write_text(ENUM)
    source = SAMPLE.encode()
    mutants = find_mutants(tmp_path, ["kind.py", "sample.py"])
    lines = SAMPLE.splitlines()
    changed = {
        changed_line.strip()
        for mutant in mutants
        for line, changed_line in zip(lines, mutant.apply(source).decode().splitlines(), strict=True)
        if line != changed_line
    }
    assert changed == {
        "async def run(text: str, kind: Kind, count: int = 4) -> bool:",
        "if (not (not text or len(text) >= LIMIT)):",
        "if not text and len(text) >= LIMIT:",
        "if not text or len(text) > LIMIT:",
        "pass",
        "if kind is not Kind.OPEN:",
        "if kind is Kind.CLOSED:",
        "count -= 2",
        "count += 3",
        "return None",
        "return count / 2 == LIMIT",
        "return count * 3 == LIMIT",
        "return count * 2 != LIMIT",
    }
    assert {mutant.path for mutant in mutants} == {"sample.py"}


def test_mutants_of_the_product_compile_and_differ() -> None:
    root = Path(__file__).parents[2]
    path = "core/delivery/outbox.py"
    assert path in product_files(root)
    source = (root / path).read_bytes()
    mutants = find_mutants(root, [path])
    assert len(mutants) > 50
    original = ast.dump(ast.parse(source))
    assert all(ast.dump(ast.parse(mutant.apply(source))) != original for mutant in mutants)
