"""docs/architecture.md names every room there is, and none that is not."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

from cerebellar_models import __version__

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "cerebellar_models"
TEXT = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
ROOMS = {
    path.stem
    for path in PACKAGE.iterdir()
    if (path.suffix == ".py" and path.name != "__init__.py") or (path / "__init__.py").exists()
}
SECTION = TEXT.partition("## The rooms of the package")[2].partition("\n## ")[0]


def test_the_table_has_every_room_and_no_other():
    named = {name.rstrip("/") for name in re.findall(r"^\| `([\w/]+)` \|", SECTION, re.MULTILINE)}
    inner = {name for name in named if "/" in name}
    assert named - inner == ROOMS
    assert [name for name in inner if not (PACKAGE / name / "__init__.py").exists()] == []


def test_the_order_is_that_which_is_held():
    drawn = SECTION.partition("```\n")[2].partition("```")[0].splitlines()
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    (held,) = (contract["layers"] for contract in contracts["contracts"] if contract["type"] == "layers")
    assert drawn == held
    assert {name for layer in held for name in layer.split(" | ")} == ROOMS


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`([\w./]+/[\w.]+\.(?:py|j2))`", TEXT))))
def test_a_file_that_is_named_is_there(name):
    assert any((folder / name).exists() for folder in (ROOT, PACKAGE))


NAMED = sorted(set(re.findall(rf"`((?:{'|'.join(sorted(ROOMS))})(?:\.\w+)+)`", TEXT)))


def test_functions_are_named():
    assert len(NAMED) > 10


@pytest.mark.parametrize("name", NAMED)
def test_what_is_named_is_there(name):
    """``room.module``, and a function or a class of it."""
    module, rest = PACKAGE, name.split(".")
    while rest and (module / rest[0]).is_dir():
        module /= rest.pop(0)
    if rest and module.joinpath(rest[0]).with_suffix(".py").exists():
        module = module / f"{rest.pop(0)}.py"
    else:
        module /= "__init__.py"
    source = module.read_text(encoding="utf-8")
    missing = [word for word in rest if not re.search(rf"^ *(def|class) {word}\b", source, re.MULTILINE)]
    assert missing == []


def test_the_version_is_told_the_same_wherever_it_is_told():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert __version__ == project["version"] == citation["version"]
