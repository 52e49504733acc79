"""Reads configurations with BSB in a process of its own, which imports whatever they name. Builds and runs nothing.

Run as a script, this file is that process. It reads simulations too where their BSB package is installed, but asks
NEST for no model, since that would build the module of ours.
"""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cerebellar_models.builders import compile_mode
from cerebellar_models.installation import IMPORTED_FROM

# What the surroundings would change in a configuration, or take this process for.
_HIDDEN = ("BSB_", "OMPI_", "PMI_", "PMIX_", "SLURM_")


@dataclass(frozen=True)
class Text:
    """Content of a configuration, and the path that it has or is to have: from there its references start."""

    content: str
    path: Path


@dataclass(frozen=True)
class Reading:
    """What BSB makes of a configuration."""

    error: str = ""
    """in one line; empty if it can be read"""
    tree: dict[str, Any] = field(default_factory=dict)
    """with the parts of other files in their places"""
    unread: tuple[str, ...] = ()
    """simulations whose BSB package is not installed"""


def read_with_bsb(texts: list[Text], *, whole: bool) -> list[Reading]:
    """Each text as BSB reads it from the present working directory.

    :param whole: read it as a configuration, rather than only follow its references.
    """
    with tempfile.TemporaryDirectory() as scratch:
        job, answer = Path(scratch, "job"), Path(scratch, "answer")
        files = [{"content": text.content, "path": str(text.path.absolute())} for text in texts]
        job.write_text(json.dumps({"files": files, "whole": whole}), encoding="utf-8")
        environment = {name: text for name, text in os.environ.items() if not name.startswith(_HIDDEN)}
        # This package before one of the same name in the working directory, which an older checkout has.
        paths = [str(IMPORTED_FROM), environment.get("PYTHONPATH", "")]
        ended = subprocess.run(
            [sys.executable, __file__, str(job), str(answer)],
            env=environment | {"PYTHONPATH": os.pathsep.join(filter(None, paths)), "PYTHONUTF8": "1"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
        if not answer.exists():
            told = ended.stderr.decode("utf-8", "replace").strip().splitlines() or [
                f"status {ended.returncode}"
            ]
            return [Reading(error=told[-1])] * len(texts)
        readings = json.loads(answer.read_text(encoding="utf-8"))
    return [Reading(one["error"], one["tree"], tuple(one["unread"])) for one in readings]


def _read_all(job: dict[str, Any]) -> list[dict[str, Any]]:
    from bsb.config import parse_configuration_content_to_dict

    unread = _read_what_is_installed() if job["whole"] else set()
    readings = []
    for file in job["files"]:
        kind = "json" if file["path"].endswith(".json") else "yaml"
        error, tree = "", {}
        try:
            tree, _, _ = parse_configuration_content_to_dict(file["content"], kind, file["path"])
            tree = json.loads(json.dumps(tree, default=str))
            if job["whole"]:
                _load(tree)
        except Exception as fault:  # whatever BSB or a component raises
            error = _one_line(fault)
        backends = {name: node.get("simulator") for name, node in _simulations(tree).items()}
        left_out = sorted(name for name, backend in backends.items() if backend in unread)
        readings.append({"error": error, "tree": tree, "unread": left_out})
    return readings


def _load(tree: dict[str, Any]) -> None:
    from bsb.config import Configuration

    # A tree that BSB may keep and change.
    Configuration(json.loads(json.dumps(tree)))


def _simulations(tree: Any) -> dict[str, dict[str, Any]]:
    simulations = tree.get("simulations") if isinstance(tree, dict) else None
    nodes = simulations.items() if isinstance(simulations, dict) else ()
    return {name: node for name, node in nodes if isinstance(node, dict)}


def _read_what_is_installed() -> set[Any]:
    """Has BSB read simulations with the packages that can be imported; returns a set that gathers the others."""
    from bsb import plugins
    from bsb.simulation.simulation import Simulation

    from cerebellar_models.bsb_plugin.bsb_mends import UnreadSimulation

    compile_mode.ACTIVE = True
    missing: set[Any] = set()
    with contextlib.suppress(
        Exception
    ):  # no bsb-nest, or one whose NEST does not start: discover leaves it out too
        from bsb_nest import _kernel_proxy

        _kernel_proxy.get_nest_kernel_proxy = lambda: None
    found = {
        name: backend.Simulation
        for name, backend in plugins.discover("simulation_backends").items()
        if hasattr(backend, "Simulation")
    }

    class _Installed(dict[str, Any]):
        def __contains__(self, name: object) -> bool:
            return True

        def __missing__(self, name: str) -> type:
            missing.add(name)
            return UnreadSimulation

    Simulation.__plugins__ = staticmethod(lambda: _Installed(found))
    return missing


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) < 400 else text[:400] + " …"


if __name__ == "__main__":
    # The folder of this script, whose modules are no one's.
    del sys.path[0]
    Path(sys.argv[2]).write_text(
        json.dumps(_read_all(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))), encoding="utf-8"
    )
