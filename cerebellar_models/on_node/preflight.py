"""Whether a launcher and the MPI of an image, or of a Python, know each other, found out before a rank starts MPI.

With a launcher of another kind, every process is a world of its own and does the whole work. The launcher of one
series of Open MPI may start another or may not. Both show in what the launcher puts into the environment and in the
name of the MPI library, which may be asked for before MPI is started.

Without an image, the launcher may also have a Python load its own MPI in place of the one that NEST was built with
(Open MPI 5 puts its libraries first); MPI then starts, and only NEST fails, late.

``python -m cerebellar_models.on_node.preflight N``, started on all ranks, exits with 1 and says what to change.
"""

import argparse
import ctypes
import importlib.util
import os
import re
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from cerebellar_models import streams
from cerebellar_models.mpi_series import HOW_TO_START, OPEN_MPI, name_of, series_mismatch

_SPEAK_FIRST_S = 3.0


def mismatch(
    environment: Mapping[str, str],
    ranks: int,
    library: str,
    folder_exists: Callable[[str], bool] = lambda path: Path(path).is_dir(),
) -> str | None:
    """Why MPI would not connect ``ranks`` ranks, and what to change; None if nothing speaks against it.

    :param environment: of one rank, as the launcher left it.
    :param library: what the MPI library of the rank says it is.
    """
    if ranks == 1 or not OPEN_MPI.search(library):
        return None  # nothing to connect, or a library of which this module knows nothing
    if "PMIX_NAMESPACE" not in environment:
        return f"{_without_pmix(environment)}: each of the {ranks} ranks would be alone"
    servers = [name for name in environment if re.match(r"PMIX_SERVER_URI[2-9]", name)]
    if not servers:
        return f"the launcher's PMIx is of series 1, which {name_of(library)} does not speak: {HOW_TO_START}"
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


def mismatch_on_host(environment: Mapping[str, str], library: str) -> str | None:
    """Why a launcher cannot start the MPI of the host's own Python, and what to change; None if nothing says so.

    Any PMI may do here, for which the host's MPI was built: whether the ranks are as many as asked for shows later.
    """
    version, own = environment.get("OMPI_VERSION", ""), OPEN_MPI.search(library)
    launcher = OPEN_MPI.search(f"Open MPI {version}")
    if launcher is None or own is None or int(launcher[1]) <= int(own[1]):
        return None
    return (
        f"the launcher is {name_of(launcher[0])}, this Python loads {name_of(library)}, which that cannot start: "
        f"put the mpirun of Open MPI {own[1]} first on PATH (its module), or install mpi4py and NEST for Open MPI "
        f"{launcher[1]}"
    )


def nest_failure(environment: Mapping[str, str]) -> str | None:
    """Why NEST does not load beside the MPI that this process has loaded; None if it does, or there is no NEST.

    NEST itself is not started.
    """
    spec = importlib.util.find_spec("nest")
    folders = spec.submodule_search_locations if spec is not None else None
    kernels = [kernel for folder in folders or () for kernel in Path(folder).glob("nestkernel_api*.so")]
    try:
        for kernel in kernels:
            ctypes.CDLL(str(kernel), mode=os.RTLD_NOW | os.RTLD_GLOBAL)
    except OSError as error:
        version = environment.get("OMPI_VERSION")
        launcher = f"the launcher, Open MPI {version}," if version else "the launcher"
        return (
            f"NEST does not load: {error}. Here it finds {' and '.join(_loaded_mpi()) or 'no MPI'}, "
            f"which {launcher} may have put first: put the mpirun that NEST was built with first on PATH (its module)"
        )
    return None


def _loaded_mpi() -> list[str]:
    """Files of the MPI libraries that are in this process."""
    lines = Path("/proc/self/maps").read_text(encoding="utf-8", errors="replace").splitlines()
    return sorted({line.split(maxsplit=5)[5] for line in lines if re.search(r"/libmpi(ch|_\w+)?\.so", line)})


def _without_pmix(environment: Mapping[str, str]) -> str:
    if "SLURM_STEP_ID" in environment or "SLURM_STEPID" in environment:
        kind = environment.get("SLURM_MPI_TYPE")
        given = f" (--mpi={kind})" if kind else ""
        return (
            f"srun{given} speaks no PMIx here: give it --mpi=pmix; srun --mpi=list shows what this SLURM has"
        )
    if any(name in environment for name in ("PMI_FD", "PMI_PORT", "PMI_RANK", "PALS_RANKID")):
        return f"the launcher is that of MPICH, Intel MPI or Cray, not Open MPI's: {HOW_TO_START}"
    return (
        "no launcher with PMIx has started this, or its environment did not reach the image (--cleanenv?): "
        f"{HOW_TO_START}"
    )


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


def _reason(given: argparse.Namespace) -> str | None:
    try:
        found = library()
    except (ImportError, RuntimeError) as error:
        said = " ".join(str(error).split())
        return f"mpi4py does not load: {said}: load the module of the MPI it was built with, or install it with one"
    reason = (
        mismatch_on_host(os.environ, found) if given.on_host else mismatch(os.environ, given.ranks, found)
    )
    return reason or (nest_failure(os.environ) if given.stage == "simulate" else None)


def main() -> int:
    """0 if nothing speaks against as many ranks as the first argument says, otherwise 1."""
    parser = argparse.ArgumentParser(prog="cerebellar_models.on_node.preflight")
    parser.add_argument("ranks", type=int)
    parser.add_argument("--on-host", action="store_true", help="this Python is in no image")
    parser.add_argument("--stage", help="what comes next: simulate needs NEST")
    reason = _reason(parser.parse_args())
    if reason is None:
        return 0
    if is_first_rank(os.environ):
        print(reason, flush=True)  # the other stream is for launchers and engines
    else:  # a launcher ends all ranks when one fails: let that be the one that says why
        time.sleep(_SPEAK_FIRST_S)
    return 1


if __name__ == "__main__":
    streams.prepare()
    sys.exit(main())
