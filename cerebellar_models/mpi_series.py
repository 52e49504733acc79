"""Which launcher of MPI starts the ranks of which library, by what both say they are."""

import re

OPEN_MPI = re.compile(r"Open MPI\)? v?(\d+)\.(\d+)(?:\.(\d+))?")
HOW_TO_START = "start the ranks with Open MPI's mpirun, or with srun --mpi=pmix"
_HYDRA = re.compile(r"HYDRA|MPICH|Intel\(R\) MPI|PALS")


def series_mismatch(outside: str, inside: str) -> str | None:
    """Why the launcher ``outside`` cannot start the MPI ``inside``, by what both say with ``mpirun --version``.

    Of Open MPI, 5 does not start 4 (its ranks fail in MPI_Init), while 4 starts 5: seen with 5.0.11 and 4.1.4.
    """
    other, own = OPEN_MPI.search(outside), OPEN_MPI.search(inside)
    if own is None:
        return None
    if other is None:
        if _HYDRA.search(outside):
            return f"{_hydra(own)}: each rank would be alone; {HOW_TO_START}"
        return None
    if int(other[1]) > int(own[1]):
        return (
            f"the launcher is {name_of(outside)}, the image has {name_of(inside)}, which that cannot start: load a "
            f"module of Open MPI {own[1]} on the host, or build the image with OPENMPI=<source of Open MPI {other[1]}>"
        )
    if int(other[1]) < 4:
        return (
            f"the launcher is {name_of(outside)}, whose PMIx {name_of(inside)} of the image may not speak: "
            f"load a module of Open MPI {own[1]} on the host"
        )
    return None


def _hydra(own: re.Match[str]) -> str:
    return f"the launcher is that of MPICH or Intel MPI, and the image has {own[0].replace(')', '')}"


def name_of(text: str) -> str:
    found = OPEN_MPI.search(text)
    return f"Open MPI {'.'.join(part for part in found.groups() if part)}" if found else text
