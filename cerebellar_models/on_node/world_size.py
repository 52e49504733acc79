"""Started on all ranks before work: ``python -m cerebellar_models.on_node.world_size N`` fails if they are not N.

With the wrong kind of PMI a launcher starts N programs of one rank each, all of which would do the whole work.
"""

import faulthandler
import platform
import signal
import sys

from cerebellar_models import streams


def main() -> int:
    """0 if MPI counts as many ranks as the first argument says, otherwise 1."""
    faulthandler.register(signal.SIGUSR2, all_threads=True)  # starting MPI is where a wrong launcher hangs
    from mpi4py.MPI import COMM_WORLD

    wanted, found = int(sys.argv[1]), COMM_WORLD.Get_size()
    nodes = COMM_WORLD.gather(platform.node())
    if nodes is None:  # not the first rank
        return int(found != wanted)
    if found != wanted:
        print(
            f"MPI started {found} rank{'s' if found > 1 else ''}, not {wanted}: the launcher and the MPI of this "
            "Python do not know each other; choose another --mpi for srun (see srun --mpi=list) or another launcher",
            file=sys.stderr,
        )
        return 1
    print(f"{found} ranks on {len(set(nodes))} nodes")
    return 0


if __name__ == "__main__":
    streams.prepare()
    sys.exit(main())
