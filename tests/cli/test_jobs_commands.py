"""`jobs plan` and `jobs render`, as a user runs them."""

import json
import subprocess
from pathlib import Path

import pytest
import yaml
from support import command_line

JUSUF = ("--site", "jusuf", "--account", "ab12", "--image", "/images/x.sif")
STAGES = ["models", "compile", "simulate", "report"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A folder with the tiny circuit's configuration."""
    folder = tmp_path_factory.mktemp("circuit")
    assert command_line("configure", "--preset", "tiny", cwd=folder).returncode == 0
    return folder


def test_a_plan_says_what_and_why(folder, cli):
    table = cli("jobs", "plan", "circuit.yaml", *JUSUF, cwd=folder)
    assert table.returncode == 0, table.stderr
    for told in (*STAGES, "core hours", "margins", "have nothing to do", "not verified of jusuf"):
        assert told in table.stdout
    content = json.loads(cli("jobs", "plan", "circuit.yaml", *JUSUF, "--json", cwd=folder).stdout)
    assert [stage["name"] for stage in content["stages"]] == STAGES
    assert content["core_hours"] == pytest.approx(
        sum(stage["core_hours"] for stage in content["stages"]), abs=0.2
    )
    assert all(stage["limited_by"] for stage in content["stages"])
    assert sorted(path.name for path in folder.iterdir()) == ["circuit.choices.yaml", "circuit.yaml"]


def test_rendering_makes_a_run_folder_that_names_nothing_of_this_machine(folder, cli, tmp_path):
    done = cli(
        "jobs", "render", "circuit.yaml", *JUSUF, "-o", str(tmp_path / "run"), cwd=folder, PATH="/nowhere"
    )
    assert done.returncode == 0, done.stderr
    assert "no sbatch here: copy the folder to where it is (rsync -a" in done.stdout
    run = tmp_path / "run"
    assert (run / "circuit.yaml").read_text() == (folder / "circuit.yaml").read_text()
    written = {path.name for path in (run / "jobs").iterdir()}
    assert written == {"state", "plan.json", "common.sh", "submit.sh", *(f"{stage}.sh" for stage in STAGES)}
    for path in (run / "jobs").glob("*.*"):
        assert str(tmp_path) not in path.read_text()
    about = json.loads((run / "run.json").read_text())["about"]
    assert (about["site"], about["species"]) == ("jusuf", "mouse")


def test_rendering_again_changes_the_scripts_and_leaves_what_is_done(folder, cli, tmp_path):
    run = tmp_path / "run"
    render = ("jobs", "render", "circuit.yaml", *JUSUF, "-o", str(run))
    assert cli(*render, cwd=folder).returncode == 0
    (run / "cerebellum.hdf5").write_text("compiled")
    (run / "jobs" / "state" / "compile.json").write_text('{"state": "done"}')
    assert cli(*render, "--walltime", "02:30:00", "--seed", "5", cwd=folder).returncode == 0
    assert "--time=02:30:00" in (run / "jobs" / "simulate.sh").read_text()
    assert "SEED=5" in (run / "jobs" / "simulate.sh").read_text()
    assert (run / "cerebellum.hdf5").read_text() == "compiled"
    assert (run / "jobs" / "state" / "compile.json").exists()
    assert cli("configure", "--preset", "tiny", "--seed", "9", "-o", "other.yaml").returncode == 0
    other = cli("jobs", "render", str(tmp_path / "other.yaml"), *JUSUF, "-o", str(run))
    assert other.returncode == 2
    assert "holds the run of another configuration" in other.stderr


def test_the_canonical_runs_of_a_species(cli, tmp_path):
    done = cli("jobs", "render", "--species", "mouse", *JUSUF)
    assert done.returncode == 0, done.stderr
    runs = tmp_path / "runs" / "mouse-jusuf"
    assert {path.name for path in runs.iterdir()} == {"in_vitro", "awake"}
    for state in ("in_vitro", "awake"):
        tree = yaml.safe_load((runs / state / "circuit.yaml").read_text())
        assert tree["name"].endswith(state)
        assert (tree["network"]["x"], tree["network"]["y"]) == (300, 200)
        assert (runs / state / "jobs" / "submit.sh").exists()


def test_every_flag_reaches_the_script(folder, cli, tmp_path):
    flags = {
        "--queue": "gpus",
        "--account": "ab12",
        "--qos": "high",
        "--constraint": "rome",
        "--reservation": "mine",
        "--mail": "a@b.org",
        "--image": "/images/y.sif",
        "--directive": "--nice=3",
        "--module": "Apptainer",
        "--nodes": "2",
        "--ranks": "6",
        "--threads": "3",
        "--walltime": "01:02:03",
        "--simulation": "mf_stimulus",
        "--seed": "17",
    }
    words = [word for pair in flags.items() for word in pair]
    done = cli(
        "jobs", "render", "circuit.yaml", "--site", "jusuf", *words, "-o", str(tmp_path / "r"), cwd=folder
    )
    assert done.returncode == 0, done.stderr
    script = (tmp_path / "r" / "jobs" / "simulate.sh").read_text()
    for line in (
        "--partition=gpus",
        "--gres=gpu:1",
        "--account=ab12",
        "--qos=high",
        "--constraint=rome",
        "--reservation=mine",
        "--mail-user=a@b.org",
        "--nice=3",
        "--nodes=2",
        "--ntasks=6",
        "--ntasks-per-node=3",
        "--cpus-per-task=3",
        "--time=01:02:03",
        "SIMULATION=mf_stimulus SEED=17",
    ):
        assert line in script
    common = (tmp_path / "r" / "jobs" / "common.sh").read_text()
    assert "module load Apptainer" in common
    assert "y.sif" in common


def test_every_flag_of_pbs_and_of_a_python_reaches_the_script(folder, cli, tmp_path):
    own = {"extends": "generic-pbs", "runtime": "none", "scratch": "$FAST"}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(own))
    flags = ("--filesystems", "home:eagle", "--python", "/opt/py", "--scratch", "--queue", "small")
    more = ("--account", "ab12", "--mail", "a@b.org", "--directive", "-l wd", "--nodes", "2", "--ranks", "6")
    done = cli(
        *("jobs", "render", "circuit.yaml", "--site-file", str(tmp_path / "mine.yaml"), *flags, *more),
        *("-o", str(tmp_path / "r")),
        cwd=folder,
    )
    assert done.returncode == 0, done.stderr
    script = (tmp_path / "r" / "jobs" / "simulate.sh").read_text()
    for line in (
        "-l filesystems=home:eagle",
        "-q small",
        "-A ab12",
        "-M a@b.org",
        "#PBS -l wd",
        "select=2:",
        "RANKS=6",
    ):
        assert line in script
    common = (tmp_path / "r" / "jobs" / "common.sh").read_text()
    assert "PYTHON=/opt/py" in common
    assert 'PRODUCT="$FAST"/cerebellar-models-' in common


def test_modules_and_directives_from_the_environment(folder, cli, tmp_path):
    run = str(tmp_path / "r")
    done = cli(
        *("jobs", "render", "circuit.yaml", *JUSUF, "-o", run),
        cwd=folder,
        CEREBELLAR_MODELS_MODULE="Stages/2026 Apptainer",
        CEREBELLAR_MODELS_DIRECTIVE="--nice=3\n--comment=a b",
    )
    assert done.returncode == 0, done.stderr
    assert "module load Stages/2026 Apptainer\n" in (tmp_path / "r" / "jobs" / "common.sh").read_text()
    script = (tmp_path / "r" / "jobs" / "compile.sh").read_text()
    assert "#SBATCH --nice=3\n#SBATCH --comment=a b\n" in script


def test_no_state_of_a_species_is_written_if_one_cannot_be(cli, tmp_path):
    states = tmp_path / "runs" / "mouse-jusuf"
    (states / "awake").mkdir(parents=True)
    (states / "awake" / "mine.txt").touch()
    done = cli("jobs", "render", "--species", "mouse", *JUSUF)
    assert done.returncode == 2
    assert "awake: is neither empty nor a run folder" in done.stderr
    assert [path.name for path in states.iterdir()] == ["awake"]


def test_run_json_says_where_the_scripts_are_for_now(folder, cli, tmp_path):
    run = tmp_path / "run"
    assert cli("jobs", "render", "circuit.yaml", *JUSUF, "-o", str(run), cwd=folder).returncode == 0
    (tmp_path / "here.sif").touch()
    again = ("--site", "generic-slurm", "--image", str(tmp_path / "here.sif"), "--seed", "9", "--seed", "7")
    assert cli("jobs", "render", "circuit.yaml", *again, "-o", str(run), cwd=folder).returncode == 0
    about = json.loads((run / "run.json").read_text())["about"]
    assert (about["site"], about["other seeds"], about["species"]) == ("generic-slurm", "7, 9", "mouse")
    assert about["image"] == str(tmp_path / "here.sif")


def test_flag_before_environment_before_site_file(folder, cli, tmp_path):
    options = {"account": "from-file", "qos": "from-file", "image": "/from-file.sif"}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump({"extends": "jusuf", "options": options}))
    done = cli(
        *(
            "jobs",
            "render",
            "circuit.yaml",
            "--site-file",
            str(tmp_path / "mine.yaml"),
            "--account",
            "from-flag",
        ),
        *("-o", str(tmp_path / "run")),
        cwd=folder,
        CEREBELLAR_MODELS_ACCOUNT="from-environment",
        CEREBELLAR_MODELS_QOS="from-environment",
    )
    assert done.returncode == 0, done.stderr
    script = (tmp_path / "run" / "jobs" / "compile.sh").read_text()
    assert "--account=from-flag" in script
    assert "--qos=from-environment" in script
    assert "from-file" in (tmp_path / "run" / "jobs" / "common.sh").read_text()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("circuit.yaml",), "site: give one of --site and --site-file"),
        (("circuit.yaml", "--site", "jusuf", "--site-file", "x"), "site: give one of"),
        (("circuit.yaml", "--site", "nowhere"), "site: there is no 'nowhere'"),
        (("circuit.yaml", "--site-file", "none.yaml"), "none.yaml: No such file"),
        (JUSUF, "circuit: give one of a circuit file, --species and --from"),
        (("circuit.yaml", "--species", "mouse", *JUSUF), "circuit: give one of"),
        (("none.yaml", *JUSUF), "none.yaml: No such file"),
        (("nothing.yaml", *JUSUF), "nothing.yaml: has no 'network'"),
        (("--species", "yeti", *JUSUF), "species: there is no 'yeti'"),
        (("circuit.yaml", "--site", "jusuf"), "account: jusuf wants one: --account"),
        (("circuit.yaml", *JUSUF, "--walltime", "2h"), "walltime: '2h' is not hours:minutes:seconds"),
        (("circuit.yaml", *JUSUF, "--walltime", "48:00:00"), "ends jobs after 24 h"),
        (("circuit.yaml", *JUSUF, "--nodes", "113"), "gives at most 112 nodes"),
        (("circuit.yaml", *JUSUF, "--seed", "0"), "seed: 0 is not between"),
        (("circuit.yaml", *JUSUF, "--constraint", "a b"), "constraint: 'a b' cannot stand in a job script"),
        (("circuit.yaml", *JUSUF, "--scratch"), "scratch: none is known at jusuf"),
        (("circuit.yaml", *JUSUF, "--image", "gone.sif"), "image: there is no gone.sif here"),
        (
            ("circuit.yaml", *JUSUF, "--walltime", "00:02:00"),
            "walltime: 120 s; jusuf stops jobs 120 s before",
        ),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(arguments, said, folder, cli, tmp_path):
    (folder / "nothing.yaml").write_text("name: nothing\n")
    done = cli("jobs", "render", *arguments, "-o", str(tmp_path / "run"), cwd=folder)
    (folder / "nothing.yaml").unlink()
    assert done.returncode == 2, done.stdout
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "run").exists()


def test_a_circuit_of_someone_elses_is_taken_to_cost_what_ours_do(folder, cli, tmp_path):
    tree = yaml.safe_load((folder / "circuit.yaml").read_text()) | {"name": "mouse hippocampus"}
    (tmp_path / "mine.json").write_text(json.dumps(tree))
    done = cli("jobs", "render", "mine.json", *JUSUF, "-o", "run")
    assert done.returncode == 0, done.stderr
    assert (
        "note: no mine.choices.yaml lies beside the circuit, so that its species is not known" in done.stdout
    )
    assert yaml.safe_load((tmp_path / "run" / "circuit.yaml").read_text()) == tree
    assert (
        json.loads((tmp_path / "run" / "run.json").read_text())["choices"] is None
    )  # whatever its title says


@pytest.mark.parametrize("edited", [False, True], ids=["as written", "edited"])
def test_species_and_state_travel_with_a_circuit(cli, tmp_path, edited):
    """They do not come from its title, which its owner may change."""
    assert cli("configure", "--preset", "tiny", "--state", "awake", "-o", "mine.yaml").returncode == 0
    if edited:
        circuit = tmp_path / "mine.yaml"
        circuit.write_text(circuit.read_text().replace("name: mouse cerebellar cortex", "name: rat", 1))
    done = cli("jobs", "render", "mine.yaml", *JUSUF, "-o", "run")
    assert done.returncode == 0, done.stderr
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert (record["choices"]["species"], record["choices"]["state"]) == ("mouse", "awake")
    assert record["choices"] == yaml.safe_load((tmp_path / "mine.choices.yaml").read_text())
    assert ("note: mine.yaml is not what mine.choices.yaml makes" in done.stdout) is edited


def test_choices_alone_are_rendered_as_the_circuit_they_make(cli, tmp_path):
    choices = ("--preset", "tiny", "--state", "awake", "--seed", "9", "--threads", "2")
    assert cli("configure", *choices, "-o", "mine.yaml", "--save-choices", "saved.yaml").returncode == 0
    for given in (["mine.yaml"], ["--from", "mine.choices.yaml"], ["--from", "saved.yaml"]):
        done = cli("jobs", "render", *given, *JUSUF, "-o", given[-1].partition(".")[0])
        assert (done.returncode, done.stderr) == (0, ""), given
    trees, records = [], []
    for run in ("mine", "saved"):
        assert "THREADS=2" in (tmp_path / run / "jobs" / "simulate.sh").read_text()
        trees.append(yaml.safe_load((tmp_path / run / "circuit.yaml").read_text())["rng"])
        records.append(json.loads((tmp_path / run / "run.json").read_text())["choices"])
    assert trees == [{"seed": 9}] * 2
    assert records[0] == records[1]
    for given in ([], ["mine.yaml", "--from", "saved.yaml"], ["--species", "mouse", "--from", "saved.yaml"]):
        done = cli("jobs", "render", *given, "--site", "local")
        assert done.returncode == 2
        assert "circuit: give one of a circuit file, --species and --from" in done.stderr


def test_bad_choices_beside_a_circuit_are_one_line(folder, cli, tmp_path):
    (tmp_path / "mine.yaml").write_text((folder / "circuit.yaml").read_text())
    (tmp_path / "mine.choices.yaml").write_text("species: unicorn\n")
    done = cli("jobs", "render", "mine.yaml", *JUSUF, "-o", "run")
    assert (done.returncode, done.stderr) == (
        2,
        "cerebellar-models: mine.choices.yaml: species: there is no 'unicorn'; known: mouse\n",
    )
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"partitions": {"a": {"$ref": "other.yaml#/partitions/a"}}},
            "refers to other.yaml, but a run has one file",
        ),
        (
            {"morphologies": ["cells/Lugaro.swc"]},
            "morphologies[0]: cells/Lugaro.swc is found from one folder only",
        ),
        ({"cell_types": 3}, "cell_types: expected a mapping, found int"),
        ({"simulations": {"x": 3}}, "simulations.x: expected a mapping, found int"),
        ({"rng": 5}, "rng: expected a mapping with a whole number as seed"),
        ({"rng": {"seed": "x"}}, "rng: expected a mapping with a whole number as seed"),
        ({"simulations": {"x": {"threads": "abc"}}}, "simulations.x.threads: 'abc' is not a whole number"),
        ({"simulations": {"x": {"threads": 0}}}, "simulations.x.threads: 0 is not a whole number from 1 on"),
        (
            {"simulations": {"x": {"duration": float("inf")}}},
            "simulations.x.duration: inf is not a number of ms",
        ),
        (
            {"simulations": {"x": {"duration": -5}}},
            "simulations.x.duration: -5 is not a number of ms above 0",
        ),
        (
            {"simulations": {"x": {"resolution": 0}}},
            "simulations.x.resolution: 0 is not a number of ms above 0",
        ),
        ({"simulations": {"../evil": {}}}, "simulations: '../evil' is no name for a folder of results"),
    ],
)
def test_what_a_run_folder_cannot_hold_is_refused(change, said, folder, cli, tmp_path):
    tree = yaml.safe_load((folder / "circuit.yaml").read_text()) | change
    (tmp_path / "odd.yaml").write_text(yaml.safe_dump(tree))
    done = cli("jobs", "plan", "odd.yaml", *JUSUF)
    assert done.returncode == 2
    assert f"odd.yaml: {said}" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("deep.json", '{"network": ' + 50_000 * "[" + 50_000 * "]" + "}"),
        ("round.yaml", "network: {x: 1}\na: &a {b: *a}\n"),
    ],
)
def test_what_has_no_end_is_refused(name, content, cli, tmp_path):
    (tmp_path / name).write_text(content)
    done = cli("jobs", "plan", name, *JUSUF)
    assert done.returncode == 2
    assert f"{name}: is nested too deeply" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_make_jobs_renders_the_canonical_runs():
    checkout = Path(__file__).parents[2]
    said = subprocess.run(
        ["make", "-n", "jobs", "SITE=jusuf"], cwd=checkout, capture_output=True, text=True, check=False
    )
    assert "jobs render --species mouse --site jusuf" in said.stdout
