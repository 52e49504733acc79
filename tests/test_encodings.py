"""All text the package reads and writes, and all it hears from programs, has its encoding named: UTF-8."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = sorted(
    [*ROOT.glob("cerebellar_models/**/*.py"), *ROOT.glob("containers/*.py"), *ROOT.glob("benchmarks/*.py")]
)
_STARTS = ("run", "Popen", "check_output", "call", "check_call")


def unnamed(source: str) -> Iterator[ast.Call]:
    """Calls that read or write text and leave the encoding to the locale."""
    for node in ast.walk(ast.parse(source)):
        if (
            isinstance(node, ast.Call)
            and _is_of_text(node)
            and "encoding" not in {key.arg for key in node.keywords}
        ):
            yield node


def _is_of_text(call: ast.Call) -> bool:
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    given = {key.arg: key.value for key in call.keywords}
    if name in _STARTS:
        return "text" in given or "universal_newlines" in given or "errors" in given
    if name == "read_text" and isinstance(call.func, ast.Name):
        return False  # our own, of files.py
    if name == "write_text" and isinstance(call.func, ast.Name):
        return False
    if name in ("read_text", "write_text"):
        return len(call.args) < (1 if name == "read_text" else 2)
    if name != "open":
        return False
    mode = given.get("mode") or next(iter(call.args[isinstance(call.func, ast.Name) :]), None)
    if mode is None:
        return not call.args or isinstance(call.func, ast.Name)
    return isinstance(mode, ast.Constant) and isinstance(mode.value, str) and "b" not in mode.value


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_every_text_has_its_encoding(file):
    lines = [
        f"{file}:{call.lineno}: {ast.unparse(call)[:80]}"
        for call in unnamed(file.read_text(encoding="utf-8"))
    ]
    assert lines == []


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("path.read_text()", 1),
        ("path.read_text(encoding='utf-8')", 0),
        ("path.write_text('a')", 1),
        ("open('a')", 1),
        ("open('a', 'rb')", 0),
        ("path.open('w')", 1),
        ("path.open()", 1),
        ("path.open('wb')", 0),
        ("folder.open(configuration, about)", 0),
        ("subprocess.run(command, text=True)", 1),
        ("subprocess.run(command, encoding='utf-8')", 0),
        ("subprocess.run(command)", 0),
    ],
)
def test_what_counts(source, found):
    assert len(list(unnamed(source))) == found
