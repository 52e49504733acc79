"""The committed files are what ``derive.py`` makes of the wheel, and it refuses what it does not expect."""

import importlib.util
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from morphology_bundle import CELLS, FOLDER
from support import missing

SCRIPT = FOLDER / "derive.py"


@pytest.fixture(scope="module")
def derive():
    spec = importlib.util.spec_from_file_location("morphologies_derive", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    # Dataclasses look their module up by name.
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


@pytest.fixture(scope="module")
def wheel(derive, tmp_path_factory) -> Path:
    if given := os.environ.get("DBBS_MODELS_WHEEL"):
        return Path(given)
    try:
        return derive.fetch_wheel(tmp_path_factory.mktemp("wheel"))
    except SystemExit as failure:
        missing(f"the wheel cannot be had: {failure}")


def test_same_wheel_gives_the_committed_bytes(derive, wheel):
    texts = derive.derive(wheel)
    assert set(texts) == {f"{name}.swc" for name in CELLS} | {"manifest.yaml"}
    for name, text in texts.items():
        assert text.encode() == (FOLDER / name).read_bytes(), name


def test_another_wheel_is_refused_and_nothing_written(derive, tmp_path, monkeypatch):
    other = tmp_path / "other.whl"
    other.write_bytes(b"not it")
    monkeypatch.setattr(sys, "argv", ["derive.py", "--wheel", str(other), "--output", str(tmp_path)])
    with pytest.raises(SystemExit, match=r"^derive.py: other.whl has the SHA-256 "):
        derive.main()
    assert list(tmp_path.iterdir()) == [other]


SOMA = "1 1 0 0 0 3 -1\n2 1 0 0 5 3 1\n"


def derived(derive, text: str):
    return derive.drop_duplicates(derive.hang_on_soma_end(derive.read_swc(SOMA + text)))


def test_duplicate_at_a_branch_point_goes(derive):
    tree = derived(derive, "3 3 0 0 9 1 2\n4 3 0 0 9 .5 3\n5 3 0 0 12 .5 4\n6 7 0 0 9 .5 3\n7 7 3 0 9 .5 6\n")
    assert tree.points[:, 2].tolist() == [0, 5, 9, 12, 9]
    assert tree.parents.tolist() == [-1, 0, 1, 2, 2]
    assert tree.tags.tolist() == [1, 1, 3, 3, 7]


def test_duplicate_that_starts_a_label_moves_along(derive):
    tree = derived(derive, "3 6 0 0 9 1 2\n4 7 0 0 9 .5 3\n5 7 0 0 12 .5 4\n")
    np.testing.assert_allclose(tree.points[:, 2], [0, 5, 9, 9 + derive.STEP, 12])
    assert tree.radii.tolist() == [3, 3, 1, 0.5, 0.5]


def test_neurite_that_starts_at_the_soma_centre_keeps_its_first_point(derive):
    tree = derived(derive, "3 3 0 0 0 1 1\n4 3 0 0 -7 1 3\n")
    assert tree.points[:, 2].tolist() == [0, 5, 0, -7]
    assert tree.parents.tolist() == [-1, 0, 1, 2]


def test_chain_and_end_of_duplicates_go(derive):
    tree = derived(derive, "3 3 0 0 9 1 2\n4 3 0 0 9 1 3\n5 3 0 0 9 1 4\n6 3 0 0 12 1 5\n7 3 0 0 12 1 6\n")
    assert tree.points[:, 2].tolist() == [0, 5, 9, 12]
    assert tree.parents.tolist() == [-1, 0, 1, 2]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("1 1 0 0 0 3 -1\n2 3 0 0 5 3 -1\n", "not one tree"),
        ("1 1 4 0 0 3 -1\n", "soma sample at the origin"),
        ("1 3 0 0 0 3 -1\n", "soma sample at the origin"),
        ("1 1 0 0 0 3 -1\n2 1 0 0 5 3 1\n3 1 0 5 0 3 1\n", "unbranched"),
    ],
)
def test_unexpected_sources_are_refused(derive, text, complaint):
    with pytest.raises(SystemExit, match=complaint):
        derive.hang_on_soma_end(derive.read_swc(text))


def test_swapped_axes_are_refused(derive):
    cell = CELLS["PurkinjeCell"]
    text = (FOLDER / cell["file"]).read_text()
    tree = derive.read_swc(text)
    swapped = derive.Tree(tree.tags, tree.points[:, [1, 0, 2]], tree.radii, tree.parents)
    turned = derive.render_swc("PurkinjeCell", swapped, cell["tags"])
    with pytest.raises(SystemExit, match="dendrites ends at x"):
        derive.check("PurkinjeCell", turned, turned, cell["tags"])
