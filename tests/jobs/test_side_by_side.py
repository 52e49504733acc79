"""Short simulations that share a node: one job whose script starts itself once for each of them."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from plans import options, plan, simulations, site

from cerebellar_models.jobs.render import render
from cerebellar_models.runs.job_plan import JobPlan

# Writes down what it is asked for. A simulation of the seed FAILS fails, one of the seed STAYS does not end by itself.
PYTHON = """#!/bin/bash
printf '%s\\n' "$*" >>"$ASKED"
[[ $* == *"bsb simulate"* ]] || exit 0
printf '%s\\n' "$CEREBELLAR_MODELS_SEED $SLURM_EXACT $SLURM_MEM_PER_NODE" >>"$ASKED.with"
if [ "$CEREBELLAR_MODELS_SEED" = "${FAILS:-none}" ]; then exit 3; fi
if [ "$CEREBELLAR_MODELS_SEED" = "${STAYS:-none}" ]; then exec sleep 60; fi
"""
SRUN = '#!/bin/bash\nwhile [[ $1 == --* ]]; do shift; done\nexec "$@"\n'
NOTHING = "#!/bin/bash\n"
# What reaches it of the environment is submit.sh's choice.
SBATCH = '#!/bin/bash\nasked=${0%/*}/../asked\nprintf "%s\\n" "$*" >>"$asked"\nwc -l <"$asked"\n'


def packed(tasks: int = 4, together: int = 3) -> JobPlan:
    return plan(
        site(runtime="none", whole_nodes=True),
        options(python="py"),
        tasks=simulations("basal_activity", seeds=(None, *range(1, tasks))),
        nodes=1,
        ranks=1,
        ranks_per_node=1,
        memory_mb=6000,
        tasks_per_job=together,
    )


@pytest.fixture
def start(tmp_path):
    """Starts a script of a rendered run; returns its process."""
    run, commands = tmp_path / "run", tmp_path / "bin"
    (run / "jobs").mkdir(parents=True)
    commands.mkdir()
    for name, text in (
        ("py", PYTHON),
        ("srun", SRUN),
        ("sbatch", SBATCH),
        ("squeue", NOTHING),
        ("scancel", NOTHING),
    ):
        (commands / name).write_text(text, encoding="utf-8")
        (commands / name).chmod(0o755)
    for path, text in render(packed()).items():
        (run / path).write_text(text, encoding="utf-8")

    def execute(script: str, *arguments: str, **environment: str) -> subprocess.Popen:
        given = {
            "PATH": f"{commands}:/usr/bin:/bin",
            "ASKED": str(tmp_path / "asked"),
            "SLURM_JOB_ID": "7",
            "SLURM_JOB_NODELIST": "node1",
            "SLURM_SUBMIT_DIR": str(run),
        }
        return subprocess.Popen(["bash", str(run / "jobs" / script), *arguments], env=given | environment)

    return execute


def asked(tmp_path: Path, what: str) -> list[str]:
    return [line for line in (tmp_path / "asked").read_text(encoding="utf-8").splitlines() if what in line]


@pytest.mark.parametrize(("offset", "names"), [(0, ["0", "1", "2"]), (3, ["3"])])
def test_each_task_of_the_group_is_a_process_of_its_own(offset, names, start, tmp_path):
    assert start("simulate.sh", TASK_OFFSET=str(offset)).wait() == 0
    begun = sorted(line.split("simulate-")[1].split()[0] for line in asked(tmp_path, "task begin"))
    assert begun == names
    assert len(asked(tmp_path, "bsb simulate")) == len(asked(tmp_path, "--status 0")) == len(names)
    assert sorted(path.stem for path in (tmp_path / "run" / "logs").iterdir()) == [
        f"simulate-{name}" for name in names
    ]


def test_each_step_gets_its_share_of_the_node(start, tmp_path):
    assert start("simulate.sh", TASK_OFFSET="0").wait() == 0
    given = (tmp_path / "asked.with").read_text(encoding="utf-8").splitlines()
    assert sorted(line.split()[-2:] for line in given) == 3 * [["1", "2000"]]


def test_one_that_fails_leaves_the_others_alone_and_the_job_fails(start, tmp_path):
    assert start("simulate.sh", TASK_OFFSET="0", FAILS="1").wait() == 1
    ended = {line.split("simulate-")[1].split()[0]: line for line in asked(tmp_path, "task end")}
    assert "--status 3" in ended["1"]
    assert "--status 0" in ended["0"] and "--status 0" in ended["2"]


@pytest.mark.parametrize(("number", "reason"), [(signal.SIGUSR1, "walltime"), (signal.SIGTERM, "cancelled")])
def test_the_end_of_the_job_stops_what_still_runs_cleanly(number, reason, start, tmp_path):
    job = start("simulate.sh", TASK_OFFSET="0", STAYS="2")
    until = time.monotonic() + 60
    while len(asked(tmp_path, "task end") if (tmp_path / "asked").exists() else []) < 2:
        assert time.monotonic() < until
        time.sleep(0.1)
    os.kill(job.pid, number)
    assert job.wait() == 1
    ended = {line.split("simulate-")[1].split()[0]: line for line in asked(tmp_path, "task end")}
    assert f"--reason {reason}" in ended["2"]
    assert "--status 0" in ended["0"] and "--status 0" in ended["1"]


@pytest.mark.parametrize(
    ("wanted", "jobs"),
    [("simulate", {0: [0, 1, 2], 3: [3]}), ("simulate=1,2", {0: [0, 1, 2]}), ("simulate=3", {3: [3]})],
)
def test_a_group_is_submitted_as_one_job_and_each_task_written_down(wanted, jobs, start, tmp_path):
    assert start("submit.sh", wanted).wait() == 0
    lines = (tmp_path / "run" / "jobs" / "submitted.tsv").read_text(encoding="utf-8").splitlines()
    found: dict[str, list[int]] = {}
    for line in lines:
        stage, job, offset, indices, *_ = line.split("\t")
        assert (stage, indices) == ("simulate", "")
        if job:
            found.setdefault(job, []).append(int(offset))
    assert list(found.values()) == list(jobs.values())
    submissions = asked(tmp_path, "jobs/simulate.sh")
    assert len(submissions) == len(jobs) and not any("--array" in each for each in submissions)
