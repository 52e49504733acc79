"""Site files: the package's own, a user's, and what is wrong with bad ones."""

import datetime
import json

import pytest
import yaml

from cerebellar_models.errors import UserError
from cerebellar_models.installation import bundle_folder
from cerebellar_models.sites.profiles import load_site, load_site_file, site_names

FOLDER = bundle_folder("jobscripts") / "sites"
PACKAGED = sorted(path.stem for path in FOLDER.glob("*.yaml"))


@pytest.fixture
def own(tmp_path, monkeypatch):
    """Writes a site file of the user's; returns its path."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    folder = tmp_path / "cerebellar-models" / "sites"
    folder.mkdir(parents=True)

    def write(name: str, content: str | dict):
        path = folder / f"{name}.yaml"
        path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
        return path

    return write


def test_the_sites_that_were_promised():
    wanted = "jusuf jureca-dc juwels leonardo-booster leonardo-dcgp mn5-gpp alps-daint alps-eiger karolina polaris gadi"
    assert {*wanted.split(), "hawk", "generic-slurm", "generic-pbs", "local"} <= set(site_names())


@pytest.mark.parametrize("name", PACKAGED)
def test_every_fact_has_a_source(name):
    own_facts = set(yaml.safe_load((FOLDER / f"{name}.yaml").read_text())) - {
        "title",
        "extends",
        "notes",
        "evidence",
    }
    evidence = {entry.fact: entry for entry in load_site(name).evidence}
    assert own_facts <= set(evidence)
    for fact in own_facts:
        entry = evidence[fact]
        assert entry.source and str(FOLDER) not in entry.source, fact
        assert datetime.date.fromisoformat(entry.checked) <= datetime.date.today()


@pytest.mark.parametrize(
    "name", [name for name in PACKAGED if name not in ("local", "generic-slurm", "generic-pbs")]
)
def test_what_a_site_has_from_its_shape_only_is_not_verified(name):
    site = load_site(name)
    assumed = [entry for entry in site.evidence if entry.source.startswith("assumed, as shape")]
    assert not any(entry.verified for entry in assumed)
    assert site.title and not site.verified


def test_a_file_of_the_users_adds_to_the_packages_own(own):
    own("jusuf", {"extends": "jusuf", "options": {"account": "abc"}, "queues": {"mine": {"nodes": 3}}})
    site = load_site("jusuf")
    assert site.options == {"account": "abc"}
    assert [queue.name for queue in site.queues] == ["batch", "gpus", "develgpus", "mine"]
    mine, batch = site.queues[-1], site.queues[0]
    assert (mine.nodes, mine.walltime_s, mine.cores) == (3, None, 128)
    assert (batch.walltime_s, batch.nodes, batch.partition) == (24 * 3600, 112, "batch")
    assert site.launcher_options == ("--mpi=pspmix",)


@pytest.mark.parametrize(
    ("changes", "limits"),
    [
        ({"queues": {"batch": {"walltime_h": 12}}}, (12 * 3600, 112, 128, 245_760)),
        ({"queues": {"batch": {"nodes": 4}}}, (24 * 3600, 4, 128, 245_760)),
        ({"queues": {"batch": {"nodes": None}}}, (24 * 3600, None, 128, 245_760)),
        ({"node": {"memory_mb": 1000}}, (24 * 3600, 112, 128, 1000)),
    ],
)
def test_a_limit_of_ones_own_leaves_the_others_of_that_queue(changes, limits, own):
    batch, gpus, _ = load_site_file(own("mine", {"extends": "jusuf"} | changes)).queues
    assert (batch.walltime_s, batch.nodes, batch.cores, batch.memory_mb) == limits
    assert (gpus.nodes, gpus.directives, gpus.by_name) == (37, ("--gres=gpu:1",), True)


@pytest.mark.parametrize(
    ("site", "queue", "nodes"),
    [
        ("karolina", "qcpu", 720),
        ("alps-eiger", "normal", 1266),
        ("alps-daint", "normal", 1022),
        ("gadi", "normal", 432),
    ],
)
def test_most_nodes_of_a_job(site, queue, nodes):
    assert {each.name: each.nodes for each in load_site(site).queues}[queue] == nodes


def test_own_sites_are_listed_and_may_extend_each_other(own):
    own("first", {"extends": "slurm-apptainer", "node": {"cores": 8}})
    own("second", {"extends": "first", "runtime": "none"})
    assert {"first", "second"} <= set(site_names())
    site = load_site("second")
    assert (site.runtime, site.queues[0].cores, site.queues[0].partition) == ("none", 8, None)


def test_this_machine_is_the_one_node_of_the_local_site():
    (queue,) = load_site("local").queues
    assert queue.nodes == 1
    assert queue.cores >= 1
    assert queue.memory_mb > 100


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (
            "scheduler: slurm\nlauncher: srun\nruntime: none\nwalltme: 3\n",
            "there is no key 'walltme'; known: account_option",
        ),
        ("extends: jusuf\nscheduler: lsf\n", "scheduler: 'lsf' is not one of local, pbs, slurm"),
        (
            "extends: jusuf\nqueues: {batch: {nodes: many}}\n",
            "queues.batch.nodes: 'many' is not a whole number or null",
        ),
        ("extends: jusuf\nqueues: {batch: {nodes: 0}}\n", "queues.batch.nodes: 0 is not the most of one job"),
        (
            "extends: jusuf\nqueues: {batch: {walltime: 24}}\n",
            "queues.batch: there is no key 'walltime'; did you mean 'walltime_h'?",
        ),
        ("extends: jusuf\nmodules: apptainer\n", "modules: 'apptainer' is not a list"),
        ("extends: jusuf\nmodules: [3]\n", "modules[0]: 3 is not text"),
        ("extends: jusuf\nrequeue: maybe\n", "requeue: 'maybe' is not true or false"),
        ("extends: jusuf\nenvironment: {'A B': x}\n", "'A B' is not letters, digits and _"),
        ("extends: jusuf\nrequired: [money]\n", "required[0]: 'money' is not one of account, qos"),
        (
            "extends: jusuf\nsignal_before_end_s: 5\n",
            "signal_before_end_s: 5 is not seconds a job has to stop in, 10",
        ),
        ("extends: nowhere\n", "extends: there is no 'nowhere'; known: alps-daint"),
        ("extends: mine\n", "extends: there is no 'mine'"),
        ("title: nothing\n", "has no 'scheduler'; give one, or extend one of: local, pbs-mpiexec"),
        ("extends: pbs-mpiexec\nlauncher: srun\n", "launcher: srun is SLURM's; mpirun, mpiexec or none"),
        (
            "extends: pbs-mpiexec\nresources: 'select={node}'\n",
            "resources: 'select={node}'; a text with some of {nodes}",
        ),
        ("extends: pbs-mpiexec\nresources: 'select={'\n", "resources: "),
        (
            "extends: slurm-apptainer\nlauncher: none\nruntime: container-engine\n",
            "launcher: the container engine is part",
        ),
        (
            "extends: jusuf\nevidence: [{facts: [color], source: x, checked: 2026-01-01, verified: true}]\n",
            "evidence: there is no 'color'",
        ),
        (
            "extends: jusuf\nevidence: [{facts: [queues], source: x, checked: now, verified: true}]\n",
            "evidence[0].checked: 'now' is not a date, YEAR-MONTH-DAY",
        ),
        (
            "extends: jusuf\nevidence: [{facts: [queues], source: x, verified: true}]\n",
            "evidence[0]: has no 'checked'",
        ),
        (
            "extends: pbs-mpiexec\nresources: 'select={nodes:zz}'\n",
            "resources: 'select={nodes:zz}'; a text with some",
        ),
        (
            "extends: pbs-mpiexec\nresources: 'select={nodes}:{}'\n",
            "resources: 'select={nodes}:{}'; a text with some",
        ),
        (
            "extends: pbs-mpiexec\nresources: 'select={nodes.real}'\n",
            "resources: 'select={nodes.real}'; a text",
        ),
        ("extends: jusuf\nqueues: {batch: {walltime_h: .inf}}\n", "holds .inf or .nan"),
        ("extends: jusuf\nqueues: {batch: {walltime_h: .nan}}\n", "holds .inf or .nan"),
        ("extends: jusuf\nqueues: {2026-01-01: {nodes: 3}}\n", "a key is no text"),
        ("extends: jusuf\nqueues: &all {batch: *all}\n", "refers to itself"),
        ("title: " + 300 * "[" + 300 * "]" + "\n", "is nested too deeply"),
        ("title: " + 3_000 * "[" + 3_000 * "]" + "\n", "nest"),  # the parser's own limit comes first
        ("title: 2026-99-99\n", "not valid YAML: month must be"),
        ("- a list\n", "expected a mapping"),
        ("a: [\n", "not valid YAML"),
    ],
)
def test_a_bad_file_is_told_in_one_line_with_file_key_and_what_is_allowed(content, said, own, cli):
    path = own("mine", content)
    with pytest.raises(UserError) as error:
        load_site_file(path)
    assert str(error.value).startswith(f"{path}: ")
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_whole_numbers_may_be_written_as_others(own):
    site = load_site_file(own("mine", "extends: jusuf\nnode: {cores: 4.0}\narray_limit: 4.0\n"))
    assert (site.queues[0].cores, site.array_limit) == (4, 4)
    assert isinstance(site.queues[0].cores, int) and isinstance(site.array_limit, int)


def test_files_that_extend_each_other_in_a_circle(own):
    own("one", {"extends": "two"})
    with pytest.raises(UserError, match="extends: goes round in a circle"):
        load_site_file(own("two", {"extends": "one"}))


def test_an_unknown_site(cli):
    done = cli("jobs", "sites", "atlantis")
    assert done.returncode == 2
    assert "there is no 'atlantis'; known: alps-daint" in done.stderr
    assert "Traceback" not in done.stderr


def test_jobs_sites(cli):
    table = cli("jobs", "sites")
    assert table.returncode == 0, table.stderr
    assert {line.split()[0] for line in table.stdout.splitlines()[1:]} == set(PACKAGED)
    shown = cli("jobs", "sites", "polaris").stdout
    for told in ("preemptable", "72 h", "10-24", "filesystems", "ALCF user guides", "2026-", "note: "):
        assert told in shown
    content = json.loads(cli("jobs", "sites", "--json").stdout)
    assert [site["name"] for site in content] == PACKAGED
    assert json.loads(cli("jobs", "sites", "local", "--json").stdout)["verified"] is True
