"""The tables that give each test its tier name what there is."""

import re
from pathlib import Path

import pytest
import tiers

TESTS = Path(__file__).parent
SOURCES = {path: path.read_text(encoding="utf-8") for path in TESTS.rglob("*.py")}


@pytest.mark.parametrize("name", tiers.FILES)
def test_a_file_of_the_table_is_there(name):
    file, _, test = name.partition("::")
    assert (TESTS / file).exists()
    assert not test or f"\ndef {test}(" in SOURCES[TESTS / file]


@pytest.mark.parametrize("name", tiers.FIXTURES)
def test_a_fixture_of_the_table_is_there(name):
    definition = re.compile(rf"@pytest\.fixture.*\ndef {name}\(")
    assert any(definition.search(text) for text in SOURCES.values())


def test_all_tiers_and_marks_are_registered(pytestconfig):
    registered = {line.partition(":")[0].partition("(")[0] for line in pytestconfig.getini("markers")}
    assert {*tiers.TIERS, *tiers.MARKS, "long"} <= registered


def test_make_knows_the_parts_of_the_long_tests():
    makefile = (TESTS.parent / "Makefile").read_text(encoding="utf-8")
    assert re.findall(r"^LONG_PARTS := (.*)$", makefile, re.MULTILINE) == [" ".join(tiers.PARTS)]


def test_this_test_is_of_the_first_tier(request):
    assert request.node.get_closest_marker("unit") is not None
