"""Whether a launcher and the MPI of an image know each other, found out before a rank starts MPI.

With a launcher of another kind, every process is a world of its own and does the whole work. The launcher of one
series of Open MPI may start another or may not. Both show in what the launcher puts into the environment and in the
name of the MPI library, which may be asked for before MPI is started.

``python -m cerebellar_models.deploy.preflight N``, started on all ranks, exits with 1 and says what to change.
"""

import os
import re
import sys
import time
from collections.abc import Mapping
from pathlib import Path

_OPEN_MPI = re.compile(r"Open MPI\)? v?(\d+)\.(\d+)(?:\.(\d+))?")
_HYDRA = re.compile(r"HYDRA|MPICH|Intel\(R\) MPI|PALS")
_START = "start the ranks with Open MPI's mpirun, or with srun --mpi=pmix"

_SPEAK_FIRST_S = 3.0


def mismatch(
    environment: Mapping[str, str], ranks: int, library: str, folder_exists=lambda path: Path(path).is_dir()
) -> str | None:
    """Why MPI would not connect ``ranks`` ranks, and what to change; None if nothing speaks against it.

    :param environment: of one rank, as the launcher left it.
    :param library: what the MPI library of the rank says it is.
    """
    if ranks == 1 or not _OPEN_MPI.search(library):
        return None  # nothing to connect, or a library of which this module knows nothing
    if "PMIX_NAMESPACE" not in environment:
        return f"{_without_pmix(environment)}: each of the {ranks} ranks would be alone"
    servers = [name for name in environment if re.match(r"PMIX_SERVER_URI[2-9]", name)]
    if not servers:
        return f"the launcher's PMIx is of series 1, which {_name(library)} does not speak: {_START}"
    if reason := series_mismatch(f"Open MPI {environment.get('OMPI_VERSION', '')}", library):
        return reason
    folder = environment.get("PMIX_SERVER_TMPDIR")
    if folder and not folder_exists(folder):
        return (
            f"the launcher's folder {folder} is not in the image: bind it with --bind, "
            "or leave --contain and --no-mount tmp out"
        )
    started = environment.get("OMPI_COMM_WORLD_SIZE") or environment.get("SLURM_STEP_NUM_TASKS")
    if started is not None and started != str(ranks):
        return (
            f"the launcher started {started} ranks, not {ranks}: give it -np {ranks} (srun: --ntasks={ranks})"
        )
    return None


def series_mismatch(outside: str, inside: str) -> str | None:
    """Why the launcher ``outside`` cannot start the MPI ``inside``, by what both say with ``mpirun --version``.

    Of Open MPI, 5 does not start 4 (its ranks fail in MPI_Init), while 4 starts 5: seen with 5.0.11 and 4.1.4.
    """
    other, own = _OPEN_MPI.search(outside), _OPEN_MPI.search(inside)
    if own is None:
        return None
    if other is None:
        if _HYDRA.search(outside):
            return f"{_hydra(own)}: each rank would be alone; {_START}"
        return None
    if int(other[1]) > int(own[1]):
        return (
            f"the launcher is {_name(outside)}, the image has {_name(inside)}, which that cannot start: load a "
            f"module of Open MPI {own[1]} on the host, or build the image with OPENMPI=<source of Open MPI {other[1]}>"
        )
    if int(other[1]) < 4:
        return (
            f"the launcher is {_name(outside)}, whose PMIx {_name(inside)} of the image may not speak: "
            f"load a module of Open MPI {own[1]} on the host"
        )
    return None


def _without_pmix(environment: Mapping[str, str]) -> str:
    if "SLURM_STEP_ID" in environment or "SLURM_STEPID" in environment:
        kind = environment.get("SLURM_MPI_TYPE")
        given = f" (--mpi={kind})" if kind else ""
        return (
            f"srun{given} speaks no PMIx here: give it --mpi=pmix; srun --mpi=list shows what this SLURM has"
        )
    if any(name in environment for name in ("PMI_FD", "PMI_PORT", "PMI_RANK", "PALS_RANKID")):
        return f"the launcher is that of MPICH, Intel MPI or Cray, not Open MPI's: {_START}"
    return f"no launcher with PMIx has started this, or its environment did not reach the image (--cleanenv?): {_START}"


def _hydra(own: re.Match[str]) -> str:
    return f"the launcher is that of MPICH or Intel MPI, and the image has {own[0].replace(')', '')}"


def _name(text: str) -> str:
    found = _OPEN_MPI.search(text)
    return f"Open MPI {'.'.join(part for part in found.groups() if part)}" if found else text


def library() -> str:
    """What the MPI library of this Python says it is; MPI is not started."""
    import mpi4py

    mpi4py.rc.initialize = False
    from mpi4py import MPI

    return MPI.Get_library_version()


def is_first_rank(environment: Mapping[str, str]) -> bool:
    """As far as a launcher tells; without one, every rank says what is wrong."""
    names = ("PMIX_RANK", "OMPI_COMM_WORLD_RANK", "SLURM_PROCID", "PMI_RANK", "PALS_RANKID")
    return next((environment[name] for name in names if name in environment), "0") == "0"


def main() -> int:
    """0 if nothing speaks against as many ranks as the first argument says, otherwise 1."""
    reason = mismatch(os.environ, int(sys.argv[1]), library())
    if reason is None:
        return 0
    if is_first_rank(os.environ):
        print(reason, flush=True)  # the other stream is for launchers and engines
    else:  # a launcher ends all ranks when one fails: let that be the one that says why
        time.sleep(_SPEAK_FIRST_S)
    return 1


if __name__ == "__main__":
    sys.exit(main())
