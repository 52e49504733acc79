"""What a device of a simulation does, by the names that BSB and NEST have for it. Pure."""

from cerebellar_models.tree import Tree


def is_recorder(device: Tree) -> bool:
    """Whether it only records: it is no stimulus."""
    model = str(device.get("nest_model") or device.get("device"))
    return model.endswith(("recorder", "meter", "detector"))


def leaves_recording(device: Tree) -> bool:
    """Whether BSB writes what it recorded: of NEST's recorders that it knows as ``external`` it keeps nothing."""
    return device.get("device") in ("spike_recorder", "multimeter")


def takes_spikes(device: Tree) -> bool:
    """Whether it takes the spikes of its targets, for BSB to write."""
    return device.get("device") == "spike_recorder"
