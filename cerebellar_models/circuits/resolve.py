"""From choices by name to the configuration they lead to: catalogue, choices and composition in one step."""

import inspect
from typing import Any

from cerebellar_models.circuits.catalogue import load_species, morphology_manifest
from cerebellar_models.circuits.choices import CircuitChoices, choose
from cerebellar_models.circuits.compose import compose
from cerebellar_models.tree import Tree

# What can be chosen, by the names flags, choices files and the form share: the parameters of `choose`.
CHOICES = tuple(inspect.signature(choose).parameters)


def resolve(species: str, **chosen: Any) -> tuple[CircuitChoices, Tree]:
    """The choices, checked and completed, and the configuration they lead to.

    :param chosen: as :func:`choices.choose` takes them.
    :raises UserError: an unknown name, a number that makes no sense, or a circuit too small for its rules.
    """
    offered = load_species(species)
    choices = choose(offered, **chosen)
    return choices, compose(offered, choices, morphology_manifest())
