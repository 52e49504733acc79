"""The table by which rules are known without BSB, beside what BSB knows them by."""

import importlib

import pytest
from bsb import AfterConnectivityHook, ConnectionStrategy

import cerebellar_models.connectome  # noqa: F401  registers the rules
from cerebellar_models.circuits.counting.rules import COUNTERS, MORE_CONTACTS

KNOWN = {**ConnectionStrategy._config_dynamic_classmap, **AfterConnectivityHook._config_dynamic_classmap}


@pytest.mark.parametrize("component", [*COUNTERS, MORE_CONTACTS], ids=lambda component: component.short)
def test_bsb_finds_the_same_class_by_both_names(component):
    module, _, name = component.path.rpartition(".")
    assert KNOWN[component.short] is getattr(importlib.import_module(module), name)


def test_every_rule_of_this_package_is_in_the_table():
    ours = {
        name for name, rule in KNOWN.items() if rule.__module__.startswith("cerebellar_models.connectome")
    }
    abstract = {name for name in ours if name.startswith("_")}
    assert ours - abstract == {
        component.short for component in (*COUNTERS, MORE_CONTACTS) if component.path.startswith("cerebellar")
    }
