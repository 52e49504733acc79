"""What job scripts do when something is wrong around them; their Python is a stub that writes down what it is asked."""

import json
import os
import signal
import subprocess
import sys
from typing import Any

import pytest
from asking import tasks_of
from plans import options, plan, simulations, site
from whole import make_circuit

from cerebellar_models.jobs.render import render
from cerebellar_models.on_node.task import main
from cerebellar_models.runs.job_plan import JobPlan
from cerebellar_models.runs.markers import read_marker

# Fails at what the variable FAILS says; a compilation leaves a file where it runs.
PYTHON = """#!/bin/bash
printf '%s\\n' "$*" >>"$ASKED"
if [ -n "${FAILS:-}" ] && [[ $* == *$FAILS* ]]; then exit 1; fi
[[ $* != *"bsb compile"* ]] || echo "$PWD $WORK" >product
[[ $* != *"task end"* ]] || cp -r .compile.partial kept 2>/dev/null || true
"""
# Schedulers that write down what they are given, and two of the variables they see.
SUBMITTER = """#!/bin/bash
printf '%s\\n' "${TASK_OFFSET:-} ${CEREBELLAR_MODELS_WATCHDOG_S:-} $*" >>"$(dirname "$0")/../asked"
echo 7
"""


@pytest.fixture
def scripts(tmp_path):
    """Runs a script of a rendered run, with a site's own WORK and what is given."""
    kept, run = tmp_path / "site work", tmp_path / "a run"
    (kept / "data").mkdir(parents=True)
    (run / "jobs").mkdir(parents=True)
    (tmp_path / "bin").mkdir()
    commands = {"py": PYTHON, "sbatch": SUBMITTER, "qsub": SUBMITTER}
    # A queue in which nothing is.
    commands |= dict.fromkeys(("squeue", "scancel", "qselect", "qstat", "qdel"), "#!/bin/sh\n")
    for name, text in commands.items():
        (tmp_path / "bin" / name).write_text(text)
        (tmp_path / "bin" / name).chmod(0o755)
    (tmp_path / "nodes").write_text("node1\n")

    def execute(of: JobPlan, script: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
        for path, text in render(of).items():
            (run / path).write_text(text)
        given = {
            "PATH": f"{tmp_path}/bin:/usr/bin:/bin",
            "WORK": str(kept),
            "ASKED": str(tmp_path / "asked"),
            "SLURM_JOB_ID": "1",
            "SLURM_ARRAY_JOB_ID": "1",
            "SLURM_JOB_NODELIST": "node1",
            "SLURM_SUBMIT_DIR": str(run),
            "PBS_JOBID": "1",
            "PBS_NODEFILE": str(tmp_path / "nodes"),
            "PBS_O_WORKDIR": str(run),
        }
        return subprocess.run(
            ["bash", str(run / "jobs" / script), *arguments],
            env=given | environment,
            capture_output=True,
            text=True,
            check=False,
        )

    return execute


def bare(scheduler: str = "slurm", tasks: int = 1, **facts: Any) -> JobPlan:
    """One rank, no image."""
    return plan(
        site(scheduler=scheduler, launcher="none", runtime="none", **facts),
        options(python="py", stage_on_scratch=True),
        tasks=simulations("basal_activity", seeds=(None, *range(1, tasks))),
        nodes=1,
        ranks=1,
        ranks_per_node=1,
    )


@pytest.mark.parametrize("scheduler", ["slurm", "pbs", "local"])
@pytest.mark.parametrize("fails", ["task begin", "bsb compile", "nothing"])
def test_a_sites_own_work_folder_survives(scheduler, fails, scripts, tmp_path):
    ended = scripts(bare(scheduler, scratch="$WORK"), "compile.sh", FAILS=fails)
    assert (ended.returncode == 0) == (fails == "nothing"), ended
    assert [path.name for path in (tmp_path / "site work").iterdir()] == ["data"]


def test_what_was_written_on_scratch_is_copied_back(scripts, tmp_path):
    assert scripts(bare(scratch="$WORK"), "compile.sh").returncode == 0
    where = (tmp_path / "a run" / "kept" / "product").read_text()
    # It was computed on scratch, by a program that sees the site's own WORK.
    assert where == f"{tmp_path}/site work/cerebellar-models-1-compile {tmp_path}/site work\n"


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"scratch": "$NOWHERE"}, "NOWHERE"),
        ({"environment": {"FOLDER": "$NOWHERE/x"}}, "NOWHERE"),
        ({"modules": ("none-of-that",)}, "module"),
    ],
)
def test_a_set_up_that_fails_leaves_a_log_and_a_marker(facts, said, scripts, tmp_path):
    state = tmp_path / "a run" / "jobs" / "state"
    state.mkdir()
    (state / "compile.json").write_text('{"state": "running"}')  # of a start before
    assert scripts(bare(**facts), "compile.sh", FAILS="task end").returncode != 0
    assert said in (tmp_path / "a run" / "logs" / "compile.log").read_text()
    marker = json.loads((state / "compile.json").read_text())
    assert marker["state"] == "failed"
    assert "set-up" in marker["reason"]


@pytest.mark.parametrize("scheduler", ["slurm", "pbs", "local"])
def test_a_task_there_is_not_leaves_a_log_and_a_marker(scheduler, scripts, tmp_path):
    of = bare(scheduler)
    ended = scripts(of, "simulate.sh", "7", SLURM_ARRAY_TASK_ID="7", PBS_ARRAY_INDEX="7", FAILS="task end")
    assert ended.returncode == 2
    marker = json.loads((tmp_path / "a run" / "jobs" / "state" / "simulate-7.json").read_text())
    assert "no task 7" in marker["reason"]
    assert (tmp_path / "a run" / "logs" / "simulate-7.log").exists()


@pytest.mark.parametrize("scheduler", ["slurm", "pbs", "local"])
@pytest.mark.parametrize(
    "wanted",
    ["simulate=abc", "simulate=", "simulate=2", "simulate=0,7", "simulate=08", "simulate=-1", "nonsense", ""],
)
def test_what_no_stage_is_called_submits_nothing(scheduler, wanted, scripts, tmp_path):
    done = scripts(bare(scheduler, tasks=2), "submit.sh", "models", wanted)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert wanted in done.stderr
    assert not (tmp_path / "asked").exists()
    assert not (tmp_path / "a run" / "jobs" / "submitted.tsv").exists()


@pytest.mark.parametrize("scheduler", ["slurm", "pbs"])
def test_a_part_of_an_array_knows_its_offset_and_its_watchdog(scheduler, scripts, tmp_path):
    """SBATCH_EXPORT=NONE at a site, and PBS anywhere, pass on nothing that is not named."""
    of = bare(scheduler, tasks=4, array_limit=2)
    done = scripts(of, "submit.sh", "simulate", CEREBELLAR_MODELS_WATCHDOG_S="60")
    assert done.returncode == 0, done.stderr
    first, second = (tmp_path / "asked").read_text().splitlines()
    if scheduler == "slurm":  # in its environment, which --export=ALL passes on
        assert first.startswith("0 60 ") and second.startswith("2 60 ")
        assert "--export=ALL" in first and "--export=ALL" in second
    else:
        assert "TASK_OFFSET=0," in first and "TASK_OFFSET=2," in second
        # Its name: the value is in the environment of qsub.
        assert all(
            line.startswith(" 60 ") and ",CEREBELLAR_MODELS_WATCHDOG_S " in line for line in (first, second)
        )


def test_the_watchdog_follows_the_sites_environment(scripts, tmp_path):
    """A work that is silent is ended after what the site says."""
    silent = tmp_path / "bin" / "py"
    silent.write_text('#!/bin/bash\n[[ $* != *"bsb compile"* ]] || exec sleep 100\n')
    of = bare(
        environment={"CEREBELLAR_MODELS_WATCHDOG_S": "2", "CEREBELLAR_MODELS_GRACE_S": "1"}, scratch="$WORK"
    )
    assert scripts(of, "compile.sh").returncode != 0
    assert "nothing new for 2 s" in (tmp_path / "a run" / "logs" / "compile.log").read_text()


def test_a_second_end_of_the_walltime_says_how_to_go_on(scripts, tmp_path):
    script = "set -- ; NAME=x JOB=1\n%s\nrequeue"
    text = render(bare(requeue=True))["jobs/compile.sh"]
    requeue = text[text.index("requeue() {") : text.index("\n}\n", text.index("requeue() {")) + 3]
    done = subprocess.run(
        ["bash", "-c", script % requeue],
        env={"SLURM_RESTART_COUNT": "1", "PATH": "/bin"},
        capture_output=True,
        text=True,
    )
    assert "jobs resume" in done.stdout


def test_a_marker_of_other_seeds_is_no_longer_the_tasks(tmp_path):
    """After rendering anew, task 0 may be another."""
    (tmp_path / "jobs").mkdir()
    make_circuit(tmp_path)

    def rendered(*seeds: int | None):
        of = plan(tasks=simulations("basal_activity", seeds=seeds))
        (tmp_path / "jobs" / "plan.json").write_text(of.to_json())
        return next(task for task in tasks_of(tmp_path) if task.name == "simulate-0")

    first = rendered(None, 7)
    main(["end", str(tmp_path), "models"])
    assert main(["begin", str(tmp_path), "simulate-0"]) == 0
    assert main(["end", str(tmp_path), "simulate-0", "--status", "1"]) == 1
    marker = read_marker(tmp_path, first)
    assert marker is not None and marker.state == "failed"
    second = rendered(7, None)
    assert read_marker(tmp_path, second) is None
    assert main(["begin", str(tmp_path), "simulate-0"]) == 0
    marker = read_marker(tmp_path, second)
    assert marker is not None and marker.starts == 1


def test_a_rank_that_hangs_while_mpi_starts_says_so(tmp_path):
    """As with a launcher of another kind; here MPI is a stub."""
    (tmp_path / "mpi4py").mkdir()
    (tmp_path / "mpi4py" / "__init__.py").touch()
    (tmp_path / "mpi4py" / "MPI.py").write_text(
        "import time\nprint('starting', flush=True)\ntime.sleep(600)\n"
    )
    command = [sys.executable, "-m", "cerebellar_models.on_node.world_size", "2"]
    with subprocess.Popen(
        command,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as rank:
        assert rank.stdout is not None and rank.stderr is not None
        assert rank.stdout.readline() == "starting\n"
        rank.send_signal(signal.SIGUSR2)
        told = [rank.stderr.readline() for _ in range(2)]
        rank.kill()
    assert "MPI.py" in told[1]


@pytest.mark.parametrize("runtime", ["docker", "podman"])
def test_a_container_ends_with_its_client(runtime, scripts, tmp_path):
    """Killing the client of a daemon leaves what it started."""
    client = tmp_path / "bin" / runtime
    client.write_text(
        '#!/bin/bash\nprintf "%s\\n" "$*" >>"$ASKED"\n[ "$1" != ps ] || echo c1\n'
        '[[ $* != *"bsb compile"* ]] || { trap "" TERM USR2; exec sleep 60; }\n'
    )
    client.chmod(0o755)
    of = plan(site(scheduler="local", launcher="none", runtime=runtime), nodes=1, ranks=1, ranks_per_node=1)
    limits = {"CEREBELLAR_MODELS_WATCHDOG_S": "2", "CEREBELLAR_MODELS_GRACE_S": "1"}
    assert scripts(of, "compile.sh", **limits).returncode != 0
    asked = (tmp_path / "asked").read_text().splitlines()
    assert "kill c1" in asked
    (started,) = (line for line in asked if "bsb compile" in line)
    label = next(word for word in started.split() if word.startswith("--label="))
    assert f"ps -q --filter {label[2:]}" in asked


@pytest.mark.parametrize("variable", ["CEREBELLAR_MODELS_WATCHDOG_S", "CEREBELLAR_MODELS_GRACE_S"])
def test_seconds_that_are_none_are_refused_before_the_work(variable, scripts, tmp_path):
    assert scripts(bare(scratch="$WORK"), "compile.sh", **{variable: "abc"}).returncode == 1
    assert "'abc'" in (tmp_path / "a run" / "logs" / "compile.log").read_text(encoding="utf-8")
    assert not (tmp_path / "asked").exists()
