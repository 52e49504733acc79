"""A program in place of Python where BSB is to be started: it says where it is, and waits or fails when told to."""

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from clusters import Cluster, is_active, log_of

PROBE = """#!/bin/bash
case " $* " in
  *" -m bsb "*) ;;
  *) exec '{python}' "$@" ;;
esac
cores=$(sed -n 's/^Cpus_allowed_list:\\t//p' /proc/self/status)
echo "probe: $(hostname) rank=$OMPI_COMM_WORLD_RANK cores=$cores seed=$CEREBELLAR_MODELS_SEED tmp=$TMPDIR"
touch "$TMPDIR/touched"
[ ! -e {here}/fail ] || exit 1
while [ -e {here}/wait ]; do sleep 0.2; done
"""
SAID = re.compile(r"^probe: (\S+) rank=(\d) cores=(\S+) seed=(\d*) tmp=(\S+)$", re.MULTILINE)


def write_probe(folder: Path, python: str) -> str:
    """Its path in ``folder``; everything else than BSB goes to ``python``."""
    script = folder / "python"
    script.write_text(PROBE.format(python=python, here=folder))
    script.chmod(0o755)
    return str(script)


@contextmanager
def waiting(probe: str) -> Iterator[None]:
    """While this lasts, probes wait; whatever happens, they do not until their walltime."""
    told = Path(probe).with_name("wait")
    told.touch()
    try:
        yield
    finally:
        told.unlink()


def waiting_on_all_ranks(cluster: Cluster, run: Path, tasks: Iterable[str], ranks: int = 4) -> None:
    """Until the probes of these tasks have said where they are."""

    def said(told: dict[str, dict]) -> bool:
        return all(len(SAID.findall(log_of(run, task))) == ranks for task in tasks)

    cluster.until(run, lambda told: said(told) or not any(map(is_active, told.values())))
    logs = "\n".join(log_of(run, task)[-3000:] for task in tasks)
    assert said({}), logs


def probes(run: Path, task: str) -> list[Path]:
    """Processes that are ranks of this task."""
    wanted = str(run / f".{task}.partial").encode()
    return [
        path
        for path in Path("/proc").glob("[0-9]*/cmdline")
        if b"mpirun" not in (words := _read(path)) and words.startswith(b"/bin/bash\0") and wanted in words
    ]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # it has ended
        return b""
