"""How job scripts start the ranks: options, environment, temporary folder; the launcher is a stub that tells them."""

import subprocess
from collections.abc import Callable
from typing import Any

import pytest
from plans import options, plan, simulations, site

from cerebellar_models.jobs.render import render

# Says what it was given and what it sees, and starts the program once.
MPIRUN = """#!/bin/bash
[ "$1" != --version ] || { echo "mpirun (Open MPI) 4.1.4"; exit; }
printf 'option %s\\n' "$@"
echo "tmp $TMPDIR"
echo "agent $OMPI_MCA_plm_rsh_agent"
while [ "$1" != sh ] && [ "$1" != py ]; do shift; done
exec "$@"
"""
PYTHON = '#!/bin/bash\n[[ $* != *"-m bsb"* ]] || { echo "rank in $TMPDIR"; touch "$TMPDIR/of a rank"; }\n'
# As PBS does it: a program by its name, nothing a shell would read.
TMRSH = '#!/bin/bash\nprintf "%s\\n" "$*" >>"$ASKED"\nshift\nexec "$@"\n'


@pytest.fixture
def started(tmp_path) -> Callable[..., str]:
    """The log of a stage's script at a site; the folders of one node are those of all."""
    (tmp_path / "bin").mkdir()
    for name, text in (("mpirun", MPIRUN), ("py", PYTHON), ("pbs_tmrsh", TMRSH)):
        (tmp_path / "bin" / name).write_text(text)
        (tmp_path / "bin" / name).chmod(0o755)
    (tmp_path / "nodes").write_text("node1\nnode1\nnode2\nnode2\n")

    def start(stage: str = "compile", temporary: str | None = None, **facts: Any) -> str:
        at = {"scheduler": "pbs", "launcher": "mpirun", "launcher_options": (), "runtime": "none"} | facts
        run = tmp_path / "a run"
        (run / "jobs").mkdir(parents=True, exist_ok=True)
        for path, text in render(plan(site(**at), options(python="py"), tasks=simulations("a"))).items():
            (run / path).write_text(text)
        (tmp_path / (temporary or "tmp")).mkdir(exist_ok=True)
        subprocess.run(
            ["bash", str(run / "jobs" / f"{stage}.sh"), "0"],
            env={
                "PATH": f"{tmp_path}/bin:/usr/bin:/bin",
                "TMPDIR": str(tmp_path / (temporary or "tmp")),
                "ASKED": str(tmp_path / "asked"),
                "PBS_JOBID": "33[0].server",
                "PBS_NODEFILE": str(tmp_path / "nodes"),
                "PBS_O_WORKDIR": str(run),
            },
            capture_output=True,
            check=False,
        )
        return (run / "logs" / ("simulate-0.log" if stage == "simulate" else f"{stage}.log")).read_text()

    return start


def forwarded(log: str) -> list[str]:
    """What the launcher is told to pass on; each of two programs is told."""
    lines = log.splitlines()
    return [lines[i + 1].removeprefix("option ") for i, line in enumerate(lines) if line == "option -x"]


@pytest.mark.parametrize(("stage", "count"), [("compile", 0), ("simulate", 3)])
def test_only_what_is_set_is_passed_on(stage, count, started):
    """Open MPI warns of everything else, on each start."""
    names = set(forwarded(started(stage, environment={"MINE": "1"})))
    assert {"MINE", "CEREBELLAR_MODELS_USAGE"} <= names
    of_simulate = {f"CEREBELLAR_MODELS_{name}" for name in ("SEED", "THREADS", "PROGRESS")}
    assert len(names & of_simulate) == count


@pytest.mark.parametrize("facts", [{}, {"whole_nodes": True}, {"exclusive": True}])
def test_ranks_are_bound_only_where_nobody_else_is(facts, started):
    log = started(**facts)
    assert ("option ppr:2:node:pe=1" in log) == bool(facts)
    assert ("option ppr:2:node\noption --bind-to\noption none" in log) == (not facts)


def test_ranks_of_this_machine_are_bound_to_nothing(started):
    log = started(scheduler="local")
    assert "option --oversubscribe\noption --bind-to\noption none" in log
    assert "option --map-by" not in log


@pytest.mark.parametrize("temporary", ["pbs.33[0].server", "a b", "x'y"])
@pytest.mark.parametrize("scheduler", ["pbs", "local"])
def test_programs_have_a_temporary_folder_of_plain_letters(scheduler, temporary, started, tmp_path):
    """Open MPI 4.1 starts no process of its own in one with brackets, which parts of an array of PBS have."""
    log = started(temporary=temporary, scheduler=scheduler)
    (seen,) = {line.removeprefix("rank in ") for line in log.splitlines() if line.startswith("rank in ")}
    assert seen.startswith(f"{tmp_path}/cerebellar-models.")
    assert scheduler == "local" or "TMPDIR" in forwarded(log)  # on one machine it need not be named
    assert not list(tmp_path.glob("cerebellar-models.*"))
    if scheduler == "pbs":
        asked = (tmp_path / "asked").read_text().splitlines()
        assert asked == [f"{node} /bin/rm -rf -- {seen}" for node in ("node1", "node2")]


def test_a_plain_temporary_folder_stays(started, tmp_path):
    log = started()
    assert f"rank in {tmp_path}/tmp\n" in log
    assert "TMPDIR" not in forwarded(log)
    assert not (tmp_path / "asked").exists()


def agent_of(log: str) -> str:
    (agent,) = {line.removeprefix("agent ") for line in log.splitlines() if line.startswith("agent ")}
    return agent


def test_the_agent_hands_a_whole_line_to_a_shell_and_takes_itself_along(started, tmp_path):
    """Open MPI gives its agent one word, in which a shell is to find several; and looks for it on every node."""
    agent = agent_of(started(temporary="tmp"))
    assert agent.startswith(f"{tmp_path}/tmp/")
    (tmp_path / "gone").mkdir()
    copy = tmp_path / "gone" / "agent"
    copy.write_text((tmp_path / "tmp").joinpath(agent.rsplit("/")[-1]).read_text())
    copy.chmod(0o755)
    text = copy.read_text()
    line = f"cat {copy}; x=1 ; echo x is $x"
    done = subprocess.run(
        [str(copy), "node2", line],
        env={"PATH": f"{tmp_path}/bin:/usr/bin:/bin", "ASKED": str(tmp_path / "asked")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == f"{text}x is 1\n"


def test_a_site_may_have_an_agent_of_its_own(started):
    assert agent_of(started(environment={"OMPI_MCA_plm_rsh_agent": "ssh -q"})) == "ssh -q"


@pytest.mark.parametrize(
    ("facts", "nodes", "placed"),
    [
        ({}, 2, ["-l place=scatter"]),
        ({}, 1, []),
        ({"directives": ("-l place=pack:excl",)}, 2, ["-l place=pack:excl"]),
        ({"resources": "ncpus={job_cores}"}, 2, []),
    ],
)
def test_two_chunks_are_on_two_nodes(facts, nodes, placed):
    """PBS puts them on one where it has room."""
    at = site(**{"scheduler": "pbs", "launcher": "mpirun", "launcher_options": ()} | facts)
    text = render(plan(at, nodes=nodes))["jobs/compile.sh"]
    assert [line.removeprefix("#PBS ") for line in text.splitlines() if "place=" in line] == placed


def test_pbs_takes_no_array_that_may_not_start_again():
    at = site(scheduler="pbs", launcher="mpirun", launcher_options=())
    files = render(plan(at, tasks=simulations("a", seeds=(1, 2))))
    assert "#PBS -r n\n" not in files["jobs/simulate.sh"]
    assert all("#PBS -r n\n" in files[f"jobs/{stage}.sh"] for stage in ("models", "compile", "report"))
