"""Finds the places where a small change makes the product behave differently.

A mutant replaces one piece of source text: a condition is negated, a boundary moves by one, an operator is swapped, a
call or a `return` is left out, a number or an enum member becomes another. Left alone are texts, log calls, annotations
and the figures that modules and classes declare (a limit of 2,000 or 2,001 characters is a decision, not logic).
"""

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

COMPARISONS: dict[type[ast.cmpop], str] = {
    ast.Lt: "<=",
    ast.LtE: "<",
    ast.Gt: ">=",
    ast.GtE: ">",
    ast.Eq: "!=",
    ast.NotEq: "==",
    ast.Is: "is not",
    ast.IsNot: "is",
    ast.In: "not in",
    ast.NotIn: "in",
}
OPERATORS: dict[type[ast.operator], str] = {
    ast.Add: "-",
    ast.Sub: "+",
    ast.Mult: "/",
    ast.Div: "*",
    ast.FloorDiv: "*",
    ast.Mod: "*",
    ast.BitOr: "&",
    ast.BitAnd: "|",
    ast.LShift: ">>",
    ast.RShift: "<<",
}
LARGE_NUMBER = 100
LOGGERS = ("log", "logger", "_log")
EnumMembers = Mapping[str, tuple[str, ...]]
"""The members of each enum, by the name of its class."""


@dataclass(frozen=True, slots=True)
class Mutant:
    path: str
    """Relative to the root of the project."""
    start: int
    """In bytes."""
    end: int
    replacement: str

    def apply(self, source: bytes) -> bytes:
        return source[: self.start] + self.replacement.encode() + source[self.end :]

    def line(self, source: bytes) -> int:
        return source[: self.start].count(b"\n") + 1


def enum_members(trees: Mapping[str, ast.Module]) -> EnumMembers:
    members: dict[str, tuple[str, ...]] = {}
    for tree in trees.values():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef) and any("Enum" in ast.unparse(base) for base in node.bases):
                assignments = (statement for statement in node.body if isinstance(statement, ast.Assign))
                members[node.name] = tuple(ast.unparse(assignment.targets[0]) for assignment in assignments)
    return members


def find_mutants(root: Path, paths: list[str]) -> list[Mutant]:
    sources = {path: (root / path).read_bytes() for path in paths}
    trees = {path: ast.parse(source) for path, source in sources.items()}
    members = enum_members(trees)
    found: list[Mutant] = []
    for path, tree in trees.items():
        finder = _Finder(path, sources[path], members)
        finder.visit(tree)
        found += finder.mutants
    return found


class _Finder(ast.NodeVisitor):
    def __init__(self, path: str, source: bytes, members: EnumMembers) -> None:
        self.mutants: list[Mutant] = []
        self._path = path
        self._source = source
        self._members = members
        self._line_starts = [0]
        for line in source.splitlines(keepends=True):
            self._line_starts.append(self._line_starts[-1] + len(line))
        self._function_depth = 0

    # Positions

    def _span(self, node: ast.expr | ast.stmt) -> tuple[int, int]:
        end_line, end_column = node.end_lineno or node.lineno, node.end_col_offset or node.col_offset
        return self._line_starts[node.lineno - 1] + node.col_offset, self._line_starts[end_line - 1] + end_column

    def _text(self, node: ast.expr) -> str:
        start, end = self._span(node)
        return self._source[start:end].decode()

    def _replace(self, node: ast.expr | ast.stmt, replacement: str) -> None:
        self.mutants.append(Mutant(self._path, *self._span(node), replacement))

    def _replace_between(self, left: ast.expr, right: ast.expr, replacement: str) -> None:
        """Replace the operator between two operands, but not their parentheses."""
        start, end = self._span(left)[1], self._span(right)[0]
        between = self._source[start:end].decode()
        operator = between.strip("() \n\t")
        if operator and "#" not in between:
            offset = start + between.encode().index(operator.encode())
            self.mutants.append(Mutant(self._path, offset, offset + len(operator.encode()), replacement))

    # Conditions

    def _negate(self, condition: ast.expr) -> None:
        if isinstance(condition, ast.UnaryOp) and isinstance(condition.op, ast.Not):
            self._replace(condition, f"({self._text(condition.operand)})")
        elif not isinstance(condition, ast.Compare) or len(condition.ops) > 1:  # a comparison has its own mutants
            self._replace(condition, f"(not ({self._text(condition)}))")

    def visit_If(self, node: ast.If) -> None:
        if ast.unparse(node.test) != "TYPE_CHECKING":
            self._negate(node.test)
            self.generic_visit(node)

    def visit_While(self, node: ast.While) -> None:
        if not isinstance(node.test, ast.Constant):
            self._negate(node.test)
        self.generic_visit(node)

    def visit_IfExp(self, node: ast.IfExp) -> None:
        self._negate(node.test)
        self.generic_visit(node)

    def visit_comprehension(self, node: ast.comprehension) -> None:
        for condition in node.ifs:
            self._negate(condition)
        self.generic_visit(node)

    def visit_Compare(self, node: ast.Compare) -> None:
        operands = [node.left, *node.comparators]
        for left, operator, right in zip(operands, node.ops, node.comparators, strict=False):
            self._replace_between(left, right, COMPARISONS[type(operator)])
        self.generic_visit(node)

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        replacement = "or" if isinstance(node.op, ast.And) else "and"
        for left, right in zip(node.values, node.values[1:], strict=False):
            self._replace_between(left, right, replacement)
        self.generic_visit(node)

    # Arithmetic and constants

    def visit_BinOp(self, node: ast.BinOp) -> None:
        is_text = isinstance(node.left, (ast.JoinedStr, ast.Constant)) and not self._is_number(node.left)
        if type(node.op) in OPERATORS and self._function_depth and not is_text:
            self._replace_between(node.left, node.right, OPERATORS[type(node.op)])
        self.generic_visit(node)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        if type(node.op) in OPERATORS:
            self._replace_between(node.target, node.value, f"{OPERATORS[type(node.op)]}=")
        self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        if not self._function_depth:
            return
        if isinstance(node.value, bool):
            self._replace(node, str(not node.value))
        elif self._is_number(node):
            # A large number is a unit or a limit: one more would be a matter of taste.
            value: Any = node.value
            self._replace(node, f"{value + 1 if value < LARGE_NUMBER else 2 * value}")

    @staticmethod
    def _is_number(node: ast.expr) -> bool:
        return isinstance(node, ast.Constant) and type(node.value) in (int, float)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        members = self._members.get(node.value.id, ()) if isinstance(node.value, ast.Name) else ()
        if node.attr in members and len(members) > 1:
            other = members[(members.index(node.attr) + 1) % len(members)]
            self._replace(node, f"{ast.unparse(node.value)}.{other}")
        self.generic_visit(node)

    # Statements

    def visit_Expr(self, node: ast.Expr) -> None:
        call = node.value.value if isinstance(node.value, ast.Await) else node.value
        if not isinstance(call, ast.Call):
            self.generic_visit(node)
        elif not (isinstance(call.func, ast.Attribute) and ast.unparse(call.func.value) in LOGGERS):
            if self._function_depth:
                self._replace(node, "pass")
            self.generic_visit(node)

    def visit_Return(self, node: ast.Return) -> None:
        if node.value is None:
            self._replace(node, "pass")
        elif not (isinstance(node.value, ast.Constant) and not node.value.value):  # None would mean the same
            self._replace(node.value, "None")
        self.generic_visit(node)

    def visit_Raise(self, node: ast.Raise) -> None:
        self._replace(node, "pass")

    def visit_Break(self, node: ast.Break) -> None:
        self._replace(node, "continue")

    def visit_Continue(self, node: ast.Continue) -> None:
        self._replace(node, "pass")

    # What is left alone

    def _visit_function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        self._function_depth += 1
        for default in (*node.args.defaults, *filter(None, node.args.kw_defaults)):
            self.visit(default)
        for statement in node.body:
            self.visit(statement)
        self._function_depth -= 1

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self._visit_function(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        self._visit_function(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self.visit(node.value)

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        """Positions inside of f-strings are unreliable before Python 3.12."""


def product_files(root: Path) -> Iterator[str]:
    for folder in ("core", "bots"):
        for path in sorted((root / folder).rglob("*.py")):
            name = path.relative_to(root).as_posix()
            if not name.startswith(("bots/sandbox/", "core/store/migrations/")):
                yield name
