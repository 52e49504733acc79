"""Schedulers to submit to: a real SLURM controller that starts nothing, and a PBS of shell scripts."""

import shutil
import socket
import subprocess
from pathlib import Path

JUDGE = Path(__file__).parent / "jobs" / "cluster" / "judge.sh"
# Jobs may be queued, and none is started.
NODES = """NodeName=n[1-2] State=CLOUD Sockets=1 CoresPerSocket=8 ThreadsPerCore=1 RealMemory=16000
PartitionName=normal Nodes=n[1-2] Default=YES MaxTime=24:00:00 State=DOWN
"""
# A PBS whose queue is the folder named by QUEUE: a file for each job that lives, holding its name.
FAKE_PBS = {
    "qsub": r"""name='' array=''
while (($# > 1)); do
  case $1 in
    -N) name=$2 ;;
    -J) array='[]' ;;
    -W) [ -e "$QUEUE/${2##*:}" ] || { echo "qsub: illegal -W value" >&2; exit 1; } ;;
  esac
  shift 2
done
[ -f "$1" ] || exit 1
exec 9>>"$QUEUE/.lock"; flock 9
number=$(($(cat "$QUEUE/.last" 2>/dev/null || echo 0) + 1))
echo $number >"$QUEUE/.last"; echo "$name" >"$QUEUE/$number$array.pbs"; echo "$number$array.pbs"
""",
    "qselect": r"""cd "$QUEUE"
name='.*'; while (($#)); do [ "$1" != -N ] || name=$2; shift; done
for job in *.pbs; do [ ! -e "$job" ] || ! grep -qx -- "$name" "$job" || echo "$job"; done
""",
    "qdel": r"""cd "$QUEUE"; for job; do rm -- "$job" || exit 1; done
""",
    "qstat": r"""cd "$QUEUE"; status=0
for job; do case $job in -*) continue ;; esac
  if [ -e "$job" ]; then printf 'Job Id: %s\n    Job_Name = %s\n    job_state = Q\n' "$job" "$(cat "$job")"
  else echo "qstat: Unknown Job Id $job" >&2; status=153; fi
done; exit $status
""",
}


class Site:
    """A scheduler, and what stands before its commands."""

    def __init__(self, scheduler: str, folder: Path, environment: dict[str, str]):
        self.scheduler, self.wrappers = scheduler, folder / "before"
        self.wrappers.mkdir(parents=True)
        self.environment = environment | {"PATH": f"{self.wrappers}:{environment['PATH']}"}
        self.submitter = {"slurm": "sbatch", "pbs": "qsub"}[scheduler]
        self.lister = {"slurm": "squeue", "pbs": "qselect"}[scheduler]

    def before(self, command: str, script: str) -> None:
        """Has this run in place of the command, which is ``real "$@"`` in it; MAIN is the process of jobs/submit.sh."""
        real = shutil.which(command, path=self.environment["PATH"].partition(":")[2])
        text = f'#!/bin/bash\nreal() {{ {real} "$@"; }}\n'
        text += f"MAIN=$(readlink jobs/submit.lock); MAIN=${{MAIN#* }}\n{script}\n"
        (self.wrappers / command).write_text(text, encoding="utf-8")
        (self.wrappers / command).chmod(0o755)

    def queue(self) -> dict[str, str]:
        """Names without what makes them unique, by job."""
        command = {
            "slurm": "squeue --noheader --format='%F %j'",
            "pbs": 'cd "$QUEUE"; grep -H . *.pbs | tr ":" " "',
        }
        done = self.bash(
            command[self.scheduler], self.wrappers, PATH=self.environment["PATH"].partition(":")[2]
        )
        return {job: name.partition("-")[0] for job, name in map(str.split, done.stdout.splitlines())}

    def bash(self, command: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            ["bash", "-c", command],
            cwd=cwd,
            env=self.environment | environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def submit(self, run: Path, *stages: str, **environment: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            ["bash", str(run / "jobs" / "submit.sh"), *stages],
            cwd="/",
            env=self.environment | environment,
            capture_output=True,
            text=True,
            check=False,
        )


def free_ports() -> int:
    """The first of two."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]
