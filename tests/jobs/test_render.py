"""What has to be in the text of job scripts, whatever else is; the whole text is in test_golden."""

import re

import pytest
from goldens import PLANS, RENDERED
from plans import options, plan, site
from support import HOSTILE

from cerebellar_models.errors import UserError
from cerebellar_models.jobs.render import _GIVEN, _OWN, chunks, job_name, render, walltime


def of_scheduler(scheduler: str) -> list[str]:
    return [name for name, of in PLANS.items() if of.site.scheduler == scheduler]


@pytest.mark.parametrize("name", [*of_scheduler("slurm"), *of_scheduler("pbs")])
def test_directives_come_before_the_first_command(name):
    """Schedulers ignore those after it, and ``# SBATCH``, without a word."""
    for path, text in RENDERED[name].items():
        lines = text.splitlines()
        first = next(index for index, line in enumerate(lines) if line and not line.startswith("#"))
        assert not any(re.match("#(SBATCH|PBS)", line) for line in lines[first:]), path
        assert not re.search(r"^#+\s+(SBATCH|PBS) -", text, re.MULTILINE), path


@pytest.mark.parametrize("name", of_scheduler("pbs"))
def test_what_pbs_needs(name):
    files = RENDERED[name]
    for stage in ("models", "compile", "simulate", "report"):
        script = files[f"jobs/{stage}.sh"]
        (given,) = re.findall(r"^#PBS -N (.*)$", script, re.MULTILINE)
        assert re.fullmatch(r"[A-Za-z][A-Za-z0-9-]{0,14}", given)
        (select,) = re.findall(r"^#PBS -l ((?:select|ncpus)=\S+)$", script, re.MULTILINE)
        assert "{" not in select
    # Debian's Open MPI does not know PBS, and would start all ranks on the first node.
    assert '--hostfile "$PBS_NODEFILE"' in files["jobs/common.sh"]
    # Released although a part of the array failed: the report looks at the markers.
    assert "depend=afterok" in files["jobs/submit.sh"]
    assert files["jobs/report.sh"].index("\nbegin\n") < files["jobs/report.sh"].index("watch ")


def header(name: str, stage: str = "compile") -> str:
    text = RENDERED[name][f"jobs/{stage}.sh"]
    return "\n".join(line for line in text.splitlines() if re.match("#(SBATCH|PBS)", line))


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("jusuf", ["--account=ab12", "--partition=batch", "--mem="]),
        ("mn5-gpp", ["--account=ab12", "--qos=gp_ehpc", "--exclusive"]),
        ("leonardo-booster", ["--account=ab12", "--partition=boost_usr_prod", "--gres=gpu:1"]),
        (
            "polaris",
            [
                "-A ab12",
                "select=2:system=polaris",
                "place=scatter",
                "filesystems=home:eagle",
                "-q preemptable",
            ],
        ),
        ("gadi", ["-P ab12", "-l ncpus=4,mem=4000mb", "-l storage=home:eagle", "-l jobfs=10GB", "-l wd"]),
        ("hawk", ["-A ab12", "select=2:node_type=rome:mpiprocs=2"]),
    ],
)
def test_what_sites_are_known_for(name, wanted):
    assert [part for part in wanted if part not in header(name)] == []


@pytest.mark.parametrize(
    ("name", "path", "text"),
    [
        ("mn5-gpp", "jobs/compile.sh", "--mem"),
        ("mn5-gpp", "jobs/compile.sh", "--partition"),
        ("gadi", "jobs/compile.sh", "select="),
        ("gadi", "jobs/submit.sh", "-J 0-"),
        ("alps-daint", "jobs/common.sh", "apptainer"),
    ],
)
def test_what_sites_refuse(name, path, text):
    assert text not in RENDERED[name][path]


@pytest.mark.parametrize(
    ("name", "launch"),
    [
        ("juwels", "--mpi=pspmix"),
        ("karolina", "--mpi=pmix"),
        ("alps-eiger", '--environment="$RUN/jobs/environment.toml"'),
        ("polaris", 'mpiexec -n "$RANKS" --hostfile "$PBS_NODEFILE" -ppn "$RANKS_PER_NODE"'),
    ],
)
def test_how_sites_launch(name, launch):
    assert launch in RENDERED[name]["jobs/common.sh"]


@pytest.mark.parametrize("name", PLANS)
def test_ranks_are_counted_before_work(name):
    files = RENDERED[name]
    common = files["jobs/common.sh"]
    assert common.index("on_node.world_size") < common.rindex('watch "${RANKED[@]}" "$@"')
    # A launcher of another kind than the image's MPI can hang as soon as that is started.
    assert common.index("on_node.preflight") < common.index("on_node.world_size")
    # Without an image, the PMI may be any that MPI was built for.
    assert (" --on-host" in common) is (PLANS[name].site.runtime == "none")
    for stage in ("compile", "simulate"):
        assert "\nwork on_ranks " in files[f"jobs/{stage}.sh"]


def test_nothing_of_bsb_starts_beside_the_launcher():
    """It imports mpi4py, which starts MPI and takes the launcher's place."""
    for files in RENDERED.values():
        for path, text in files.items():
            for line in text.splitlines():
                assert "-m bsb" not in line or line.startswith("work on_ranks "), path


def test_a_dependent_goes_with_the_one_it_waits_for():
    submit = RENDERED["slurm-arrays"]["jobs/submit.sh"]
    dependent = [line for line in submit.splitlines() if "--dependency=" in line]
    assert dependent
    assert all("--kill-on-invalid-dep=yes" in line for line in dependent)


def test_arrays_are_split_at_the_limit_of_the_site():
    assert [(chunk.offset, chunk.range) for chunk in chunks(5, 2)] == [(0, "0-1"), (2, "0-1"), (4, "0")]
    submit = RENDERED["slurm-arrays"]["jobs/submit.sh"]
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


@pytest.mark.parametrize(
    ("facts", "key"),
    [
        ({"environment": {"REASON": "x"}}, "environment"),
        ({"environment": {"RUN": "x"}}, "environment"),
        ({"scratch": "${PRODUCT}/x"}, "scratch"),
        ({"binds": ("$LOG",)}, "binds"),
    ],
)
def test_a_variable_of_the_scripts_own_is_refused(facts, key):
    with pytest.raises(UserError, match=f"^{key}: "):
        render(plan(site(**facts)))


def test_every_global_of_the_scripts_is_known_to_be_theirs():
    for files in RENDERED.values():
        for path in ("jobs/common.sh", "jobs/simulate.sh"):
            for line in files[path].splitlines():
                if re.match(r"\s*[A-Z_]+\+?=", line):
                    line = re.sub(r"\(.*|#.*", "", line)
                    assert set(re.findall(r"\b([A-Z_]+)=", line)) <= _OWN | _GIVEN, line


@pytest.mark.parametrize(("walltime_s", "watchdog_s"), [(600, 3600), (48 * 3600, 12 * 3600)])
def test_a_long_stage_may_be_silent_for_longer(walltime_s, watchdog_s):
    text = render(plan(walltime_s=walltime_s))["jobs/simulate.sh"]
    assert f" WATCHDOG_S={watchdog_s}\n" in text


def test_pbs_writes_mail_only_if_told_when():
    at = site(scheduler="pbs", launcher="mpirun", launcher_options=())
    text = render(plan(at, options(mail="a@b.org")))["jobs/compile.sh"]
    assert "#PBS -M a@b.org\n#PBS -m ae\n" in text


def test_podman_keeps_the_users_id():
    """Otherwise it is another on the host, which may not write into the run folder."""
    at = site(scheduler="local", launcher="mpirun", launcher_options=(), runtime="podman")
    assert "--userns=keep-id" in render(plan(at))["jobs/common.sh"]
    assert "--userns" not in RENDERED["local-docker"]["jobs/common.sh"]
