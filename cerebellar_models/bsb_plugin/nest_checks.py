"""Asks NEST about everything a simulation sets, before the network is built: one node of each model answers for all.

What is right is told by the models themselves; nothing here repeats their tables.
"""

import difflib
import math
import re
from collections.abc import Iterator
from typing import Any

from bsb_nest.distributions import NestRandomDistribution

from cerebellar_models.builders import nest_module

# By these NEST says that a setting is wrong; anything else may be right in the network that is yet to be built.
_REFUSALS = {
    "BadProperty",
    "BadDelay",
    "BadParameter",
    "TypeMismatch",
    "UnaccessedDictionaryEntry",
    "UnknownReceptorType",
    "IncompatibleReceptorType",
}


def refusal(adapter: Any, simulation: Any) -> str | None:
    """What is wrong with a simulation: key, value and what would be right; None if nothing is found.

    Leaves NEST with some nodes.
    """
    import nest

    found = next(_numbers_without_sense(simulation), None)
    if found is None:
        nest.resolution = simulation.resolution
        adapter.load_modules(simulation)
        nodes = {model: nest.Create(model.model) for model in simulation.cell_models.values()}
        found = next(_refused_constants(nodes), None) or next(_refused_synapses(simulation, nodes), None)
        found = found or next(_refused_receptors(simulation, nodes), None)
    return None if found is None else f"simulations.{simulation.name}.{found}"


def _numbers_without_sense(simulation: Any) -> Iterator[str]:
    step = simulation.resolution
    for key in ("resolution", "duration"):
        value = getattr(simulation, key)
        if not (math.isfinite(value) and value > 0):
            yield f"{key}: {value} is no time of more than 0 ms"
            return
    if not math.isclose(round(simulation.duration / step) * step, simulation.duration):
        yield f"duration: {simulation.duration} ms is no multiple of the resolution, {step} ms"
    for where, values in _links(simulation):
        for key, value in values.items():
            if _is_number(value) and not math.isfinite(value):
                yield f"{where}.{key}: {value} is no finite number"
            if key == "delay" and _is_number(value) and value < step * (1 - 1e-9):
                yield f"{where}.delay: {value} ms is less than the resolution, {step} ms"


def _links(simulation: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Where the numbers of each synapse and each device's links stand, and these numbers."""
    for name, model in simulation.connection_models.items():
        for number, synapse in enumerate(model.synapses):
            yield f"connection_models.{name}.synapses.{number}", _constants(synapse)
    for name, device in simulation.devices.items():
        yield f"devices.{name}", {"weight": device.weight, "delay": device.delay}


def _refused_constants(nodes: dict[Any, Any]) -> Iterator[str]:
    import nest

    for model, node in nodes.items():
        constants = _constants(model)
        if _error(node.set, constants) is None:
            continue
        # Which of them it is: the first that is refused alone, or none, if they are wrong only together.
        for name, value in constants.items():
            if error := _error(nest.Create(model.model).set, {name: value}):
                part = "constants" if name in model.constants else "parameters"
                yield f"cell_models.{model.name}.{part}.{name}: {_reason(error, node, name, value)}"
        if error := _error(node.set, constants):
            yield f"cell_models.{model.name}: {_reason(error)}"


def _refused_synapses(simulation: Any, nodes: dict[Any, Any]) -> Iterator[str]:
    import nest

    for name, model in simulation.connection_models.items():
        connections = simulation.scaffold.get_connectivity_set(model.tag or name)
        ends = [simulation.get_model_of(kind) for kind in (connections.pre_type, connections.post_type)]
        if None in ends:
            continue
        for number, synapse in enumerate(model.synapses):
            where = f"connection_models.{name}.synapses.{number}"
            constants = _constants(synapse)
            weight: Any = constants.get("weight")
            if ends[1].model in nest_module.models() and _is_number(weight) and weight < 0:
                yield f"{where}.weight: {weight}: {ends[1].model} needs conductances, of 0 nS or more"
            if "gap_junction" in synapse.model:  # needs its counterpart
                continue
            plain = {key: value for key, value in constants.items() if not isinstance(value, list)}
            spec = {"synapse_model": synapse.model, **plain}
            pre, post = (nodes[end] for end in ends)
            if error := _error(nest.Connect, pre, post, "one_to_one", spec):
                yield f"{where}: {_reason(error)}"


def _refused_receptors(simulation: Any, nodes: dict[Any, Any]) -> Iterator[str]:
    import nest

    for name, device in simulation.devices.items():
        for model in getattr(device.targetting, "cell_models", None) or ():
            if device.receptor_type > 0 and model.model in nest_module.models():
                spec = {"receptor_type": device.receptor_type}
                if error := _error(
                    nest.Connect, nest.Create("parrot_neuron"), nodes[model], "one_to_one", spec
                ):
                    yield f"devices.{name}.receptor_type: {_reason(error)}"


def _constants(node: Any) -> dict[str, Any]:
    """Its parameters that are the same for all cells or connections."""
    parameters = node.all_parameters.items()
    kinds = ("Constant", NestRandomDistribution.__name__)
    return {name: value.compute() for name, value in parameters if type(value).__name__ in kinds}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float)


def _error(call: Any, *arguments: Any) -> Exception | None:
    try:
        call(*arguments)
    except Exception as error:
        return error if type(error).__name__ in _REFUSALS else None
    return None


def _reason(error: Exception, node: Any = None, name: str = "", value: Any = "") -> str:
    text = " ".join(re.sub(r"^Setting status of a '\w+' with node ID \d+: ", "", str(error)).split())
    if type(error).__name__ == "UnaccessedDictionaryEntry" and node is not None:
        near = difflib.get_close_matches(name, node.get(), n=1)
        return f"{node.model} has no such parameter" + (f"; did you mean {near[0]}?" if near else "")
    return f"{value}: {text.rstrip('.')}" if name else text.rstrip(".")
