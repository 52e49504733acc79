"""What of the shell that submits reaches a job, and what a job can ask of its scheduler."""

import re

import pytest

from cerebellar_models.runs.submissions import submitted

SURROUNDINGS = {
    "SBATCH_TIMELIMIT": "1",
    "SBATCH_MEM_PER_NODE": "100M",
    "SBATCH_ACCOUNT": "wrong",
    "SBATCH_ARRAY_INX": "0-9",
    "SBATCH_EXPORT": "NONE",
    "SLURM_MEM_PER_CPU": "10",
    "SLURM_JOB_ID": "1",
    "SQUEUE_USERS": "nobody",
    "BSB_SKIP_CONNECTIVITY": "1",
    "OMPI_MCA_btl": "tcp",
    "TASK_OFFSET": "5",
    "PYTHONPATH": "/elsewhere",
    "LOADEDMODULES": "something",
    "BASH_FUNC_module%%": "() {  eval $(modulecmd bash $*)\n}",
    "BASH_FUNC_other%%": "() {  :\n}",
    "MODULEPATH": "/modules",
    "SCRATCH": "/scratch",
    "CEREBELLAR_MODELS_WATCHDOG_S": "60",
    "CEREBELLAR_MODELS_GRACE_S": "5",
    "CEREBELLAR_MODELS_CONFIGURATIONS": "/species, mine",
    "CEREBELLAR_MODELS_OTHER_IMAGE": "1",
    "LC_TIME": "C.UTF-8",
}
OURS = {name for name in SURROUNDINGS if name.startswith("CEREBELLAR_MODELS_")}


def test_what_of_a_shell_reaches_a_job_is_a_list(slurm, controller, new_run):
    run = new_run(environment={"CACHE": "$SCRATCH/cache"})
    done = slurm.submit(run, "compile", **SURROUNDINGS)
    assert done.returncode == 0, done.stderr
    (line,) = submitted(run)
    shown = slurm.bash(f"scontrol show job {line.job}", run).stdout
    assert "TimeLimit=02:00:00" in shown and "Account=(null)" in shown
    assert "MinMemoryNode=2000M" in shown and "ArrayJobId" not in shown
    # What the controller keeps for the job.
    (kept,) = controller.parent.glob(f"state/hash.*/job.{line.job}/environment")
    names = {
        entry.partition(b"=")[0].decode() for entry in re.split(rb"\0+", kept.read_bytes()) if b"=" in entry
    }
    names = {re.sub(r"^\W+", "", name) for name in names}
    passed = {
        "MODULEPATH",
        "SCRATCH",
        *OURS,
        "LC_TIME",
        "BASH_FUNC_module%%",
        "TASK_OFFSET",
    }
    assert names & set(SURROUNDINGS) - {"SLURM_JOB_ID"} == passed
    assert b"TASK_OFFSET=0\0" in kept.read_bytes()


def test_what_of_a_shell_reaches_qsub_is_a_list(pbs, new_run, tmp_path):
    """PBS_DPREFIX would make comments of all directives; the other is how its commands find the server."""
    pbs.before("qsub", f'env >{tmp_path}/seen; echo "$*" >{tmp_path}/asked; real "$@"')
    done = pbs.submit(
        new_run("pbs"), "compile", **SURROUNDINGS, PBS_DPREFIX="#X", QSUB_X="1", PBS_SERVER="login"
    )
    assert done.returncode == 0, done.stderr
    seen = {line.partition("=")[0] for line in (tmp_path / "seen").read_text().splitlines()}
    assert {"PBS_SERVER", *OURS} <= seen
    # It passes on what it is told by name.
    (given,) = re.findall(r"-v (\S+)", (tmp_path / "asked").read_text())
    assert set(given.split(",")) == {"TASK_OFFSET=0", *OURS}
    assert not seen & {
        "PBS_DPREFIX",
        "QSUB_X",
        "SBATCH_TIMELIMIT",
        "PYTHONPATH",
        "TASK_OFFSET",
        "BSB_SKIP_CONNECTIVITY",
    }


@pytest.mark.parametrize(
    ("job", "answer"),
    [("$array", 0), ("${array}_1", 0), ("${array}_0", 1), ("${array}_7", 1), ("$gone", 1), ("999999", 1)],
)
def test_a_job_script_can_ask_whether_another_job_lives(job, answer, slurm, new_run):
    run = new_run()
    text = (run / "jobs" / "compile.sh").read_text(encoding="utf-8")
    function = text[text.index("job_lives()") : text.index("\n}\n", text.index("job_lives()")) + 3]
    script = f"""set -euo pipefail
{function}
printf '#!/bin/sh\\n' >job
array=$(sbatch --parsable --array=0-1 job) gone=$(sbatch --parsable job)
scancel "$gone" "${{array}}_0"
status=0; job_lives "{job}" || status=$?; echo $status
status=0; SLURM_CONF=/nowhere PATH=/nowhere job_lives "$array" || status=$?; echo $status"""
    done = slurm.bash(script, run)
    assert done.stdout.split() == [str(answer), "2"], done.stderr
