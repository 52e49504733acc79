"""What each stage leaves in a run folder, and how it gets its final name: only when it is whole.

The same for a run on this machine and in a job, where something under its final name is what makes a stage done.
"""

import shutil
from pathlib import Path

from cerebellar_models.analysis.read import read_activity, read_configuration
from cerebellar_models.circuits.compose import CIRCUIT_FILE
from cerebellar_models.deploy.run_folder import RunFolder
from cerebellar_models.errors import RunError

# Kinds of device that leave a recording.
_RECORDERS = ("spike_recorder", "multimeter")


def stored_simulation(folder: RunFolder, name: str) -> dict:
    """Simulation ``name`` as the compiled circuit holds it.

    :raises RunError: the circuit is not whole, or has no such simulation.
    """
    try:
        return read_configuration(folder.circuit)["simulations"][name]
    except RunError as error:
        raise RunError(f"{error}; delete it to compile it again") from error
    except KeyError:
        raise RunError(
            f"{folder.circuit}: has no simulation '{name}'; delete it to compile it again"
        ) from None


def keep_circuit(folder: RunFolder, scratch: Path) -> None:
    """Moves the circuit that was compiled in ``scratch`` to its place.

    :raises RunError: there is none, or it is cut short.
    """
    compiled = scratch / CIRCUIT_FILE
    if not compiled.exists():
        raise RunError(f"the compilation left no {CIRCUIT_FILE} (see {folder.logs / 'compile.log'})")
    read_configuration(compiled)
    compiled.replace(folder.circuit)


def keep_results(folder: RunFolder, scratch: Path, simulation: str, name: str, log: Path) -> None:
    """Moves the recordings of a simulation from ``scratch`` to ``results/<name>``.

    BSB ends well even if it could not write a recording. How long the recordings are is not looked at: that the
    simulation reached its end is what its exit status says.

    :raises RunError: the files cannot be read, or a recorder of the simulation left nothing.
    """
    devices = stored_simulation(folder, simulation)["devices"]
    wanted = {key for key, device in devices.items() if device["device"] in _RECORDERS}
    files = sorted(scratch.glob("*.nio"))
    found = set()
    if files:
        activity = read_activity(files)
        found = {each.recorder for each in activity.recordings} | {each.recorder for each in activity.traces}
    if not files or wanted - found:
        missing = ", ".join(sorted(wanted - found)) or "any device"
        raise RunError(f"the simulation left no recording of {missing} (see {log})")
    folder.results.mkdir(exist_ok=True)
    scratch.rename(folder.results / name)


def emptied(folder: Path, create: bool = True) -> Path:
    """The folder, with nothing in it."""
    shutil.rmtree(folder, ignore_errors=True)
    if create:
        folder.mkdir()
    return folder
