"""What can be said of the images without building them: above all that the two definitions say the same."""

import hashlib
import importlib
import os
import re
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest
from support import missing

ROOT = Path(__file__).parents[2]
CONTAINERS = ROOT / "containers"


def test_locked_packages_have_hashes_and_name_no_index():
    for lock in CONTAINERS.glob("*.lock"):
        text = lock.read_text()
        assert "://" not in text, lock.name
        packages = re.findall(r"^[a-z][^ ]*==[^ ]+ *(\\?)$", text, re.MULTILINE)
        assert packages and all(packages), lock.name
        assert not re.search(r"^nest-simulator\b", text, re.MULTILINE), "NEST comes from build-nest.sh"


def _docker_arguments() -> dict[str, str]:
    return dict(re.findall(r"^ARG (\w+)=(.*)$", (CONTAINERS / "Dockerfile").read_text(), re.MULTILINE))


def _definition_arguments() -> dict[str, str]:
    sections = re.findall(
        r"^%arguments\n((?: .*\n)+)", (CONTAINERS / "cerebellar-models.def").read_text(), re.MULTILINE
    )
    return dict(re.findall(r"^ +(\w+)=(.*)$", "".join(sections), re.MULTILINE))


def test_both_definitions_take_the_same_arguments_with_the_same_defaults():
    definition = _definition_arguments()
    assert definition.pop("BOOTSTRAP") == "docker"
    assert definition == _docker_arguments()
    assert definition["BASE_IMAGE"] == "debian:bookworm-slim"


def _steps(commands: list[str]) -> list[str]:
    step = re.compile(
        r"install-system\.sh (?:build|runtime)|(?:build-nest|install-python|install-package|configure-mpi)\.sh|sbom\.py"
    )
    return [found for command in commands for found in step.findall(command)]


def test_both_definitions_call_the_same_scripts_in_the_same_order():
    dockerfile = (CONTAINERS / "Dockerfile").read_text().replace("\\\n", " ")
    definition = (CONTAINERS / "cerebellar-models.def").read_text()
    docker = _steps(re.findall(r"^RUN .*$", dockerfile, re.MULTILINE))
    assert docker == _steps(re.findall(r"^%post\n(?: .*\n)+", definition, re.MULTILINE))
    assert len(docker) == 7


def test_the_dockerfile_sets_what_environment_sh_sets():
    text = (CONTAINERS / "Dockerfile").read_text().replace("\\\n", " ")
    in_docker = set(re.findall(r"(\w+)=", re.findall(r"^ENV (CEREBELLAR.*)$", text, re.MULTILINE)[0]))
    script = (CONTAINERS / "environment.sh").read_text()
    in_script = {
        name
        for line in script.splitlines()
        if line.startswith("export ")
        for name in re.findall(r"(?:^export |\s)(\w+)=", line)
    }
    assert in_docker == in_script


@pytest.mark.parametrize(
    ("script", "arguments", "says"),
    [
        ("build-image.sh", ["no-such-engine"], "no no-such-engine here"),
        ("build-sif.sh", ["--from", "tarball", "x.sif"], "neither 'docker' nor 'def'"),
        ("install-system.sh", ["everything"], "neither 'build' nor 'runtime'"),
    ],
)
def test_wrong_use_is_refused_with_the_reason(script, arguments, says, tmp_path):
    done = subprocess.run(
        [CONTAINERS / script, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert says in done.stderr
    assert not list(tmp_path.iterdir())


def test_wheels_of_nest_are_offered_whole_however_many_builds_start_at_once(tmp_path):
    kept = tmp_path / "cache/cerebellar-models/nest-mpi/nest3-key"
    kept.mkdir(parents=True)
    (kept / "nest.whl").write_bytes(b"x" * 5_000_000)
    script = tmp_path / "containers/offer-nest.sh"
    script.parent.mkdir()
    script.write_text((CONTAINERS / "offer-nest.sh").read_text())
    own = os.environ | {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    running = [subprocess.Popen(["sh", script], env=own) for _ in range(8)]
    assert [process.wait() for process in running] == [0] * 8
    offered = tmp_path / "build/nest-mpi/nest3-key"
    assert [path.name for path in offered.iterdir()] == ["nest.whl"]
    assert (offered / "nest.whl").stat().st_size == 5_000_000
    assert {path.name for path in (tmp_path / "build").iterdir()} == {"nest-mpi"}


def test_a_pip_older_than_the_settings_of_a_wheel_is_renewed_first(tmp_path):
    """Debian 12's pip, which a new environment gets, has no -C: NEST would not be built."""
    called = tmp_path / "called"
    python = tmp_path / "python"
    python.write_text(
        "#!/bin/sh\n"
        f'echo "$*" >>"{called}"\n'
        'case "$*" in\n'
        '  "-m venv "*) mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;\n'
        "  -c*) echo cp311 ;;\n"
        "  *download*) exit 1 ;;\n"
        "esac\n",
        encoding="utf-8",
    )
    python.chmod(0o755)
    command = [CONTAINERS / "build-nest.sh", "--python", python, "--store", tmp_path / "store"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if "apt install" in done.stderr:
        missing(done.stderr.strip())
    steps = [line for line in called.read_text(encoding="utf-8").splitlines() if line.startswith("-m pip")]
    assert "install --quiet pip>=23.1" in steps[0] and " download " in steps[1]


def test_in_the_image_no_option_has_a_value_that_nobody_gave(cli, tmp_path):
    exported = subprocess.run(
        ["sh", "-c", f". {CONTAINERS}/environment.sh; env"],
        capture_output=True,
        text=True,
        check=True,
        env={},
    ).stdout
    own = dict(line.split("=", 1) for line in exported.splitlines() if line.startswith("CEREBELLAR_MODELS"))
    assert own == {"CEREBELLAR_MODELS_IN_IMAGE": "1"}
    assert cli("configure", "--preset", "tiny", **own).returncode == 0
    render = ("jobs", "render", "circuit.yaml", "--site", "alps-daint", "--account", "a", "-o", "run")
    done = cli(*render, **own)
    assert done.returncode == 2 and "image: alps-daint runs its stages in container-engine" in done.stderr
    assert not (tmp_path / "run").exists()
    assert cli(*render, CEREBELLAR_MODELS_IMAGE="x:1", **own).returncode == 0
    assert 'image = "x:1"' in (tmp_path / "run/jobs/environment.toml").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("words", "tmpdir", "runs"),
    [
        ([], "/nowhere", "cerebellar-models"),
        (["--version"], "/nowhere", "cerebellar-models --version"),
        (["run", "--preset", "tiny"], "/tmp", "cerebellar-models run --preset tiny"),
        (["jobs", "sites"], "/tmp", "cerebellar-models jobs sites"),
        (["python", "-c", "1"], "/tmp", "python -c 1"),
        (["mpirun", "-np", "2", "bsb"], "/tmp", "mpirun -np 2 bsb"),
    ],
)
def test_what_the_image_starts(words, tmpdir, runs, tmp_path):
    for name in ("cerebellar-models", "python", "mpirun"):
        (tmp_path / name).write_text(f'#!/bin/sh\necho "{name}" "$@"\n')
        (tmp_path / name).chmod(0o755)
    done = subprocess.run(
        [CONTAINERS / "enter.sh", *words],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin", "TMPDIR": tmpdir},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == runs.split()


@pytest.mark.parametrize("words", [["run"], ["python", "-c", "1"]])
def test_a_system_that_is_read_only_and_has_no_folder_for_temporary_files_says_what_to_give_it(words):
    done = subprocess.run(
        [CONTAINERS / "enter.sh", *words],
        env={"PATH": "/usr/bin:/bin", "TMPDIR": "/proc/1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "start it with --tmpfs /proc/1" in done.stderr and done.stderr.count("\n") == 1


def test_debians_packages_are_those_of_a_time_if_one_is_named(tmp_path):
    sources = tmp_path / "sources.list.d/debian.sources"
    sources.parent.mkdir()
    sources.write_text("the base image's own")
    pin = CONTAINERS / "pin-debian.sh"
    subprocess.run([pin, "", tmp_path], check=True)
    assert [path.name for path in tmp_path.iterdir()] == ["sources.list.d"] and sources.exists()
    wrong = subprocess.run([pin, "yesterday", tmp_path], capture_output=True, text=True, check=False)
    assert wrong.returncode == 2 and "no time such as 20261101T000000Z" in wrong.stderr and sources.exists()
    subprocess.run([pin, "20261101T000000Z", tmp_path], check=True)
    lines = (tmp_path / "sources.list").read_text().splitlines()
    assert not sources.exists() and len(lines) == 3
    assert all("/20261101T000000Z bookworm" in line and "check-valid-until=no" in line for line in lines)


@pytest.fixture
def built(tmp_path, monkeypatch):
    """A folder as a build leaves it, with the list of what is in it."""
    monkeypatch.syspath_prepend(CONTAINERS)
    image_test, sbom = importlib.import_module("image_test"), importlib.import_module("sbom")
    folder = tmp_path / "prefix"
    for name in FILES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    if shutil.which("dpkg-query") is None:
        monkeypatch.setattr(sbom, "distribution_packages", lambda: [])
    sbom.main(folder / "sbom.cdx.json")
    monkeypatch.setattr(image_test, "SBOM", folder / "sbom.cdx.json")
    return folder, image_test


FILES = (
    "cache/nest/cerebmodule.so",
    "venv/lib/python3.11/site-packages/cerebellar_models/connectome/overlap_kernel.py",
    "venv/lib/python3.11/site-packages/mpi4py/MPI.so",
    "venv/bin/bsb",
)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("change", ["altered", "missing"])
def test_the_image_test_finds_whatever_file_is_not_as_it_was_built(built, name, change):
    folder, image_test = built
    assert image_test.files(folder) == f"{len(FILES) + 1} files as built"
    if change == "missing":
        (folder / name).unlink()
    else:
        (folder / name).write_text("other")
    with pytest.raises(image_test.Failed) as found:
        image_test.files(folder)
    assert str(found.value).startswith(f"{folder / name}: is ") and "more" not in str(found.value)


def test_the_image_test_finds_what_was_added_and_a_list_that_was_changed_with_its_file(built):
    folder, image_test = built
    added = folder / "venv/lib/python3.11/site-packages/sitecustomize.py"
    added.touch()
    with pytest.raises(image_test.Failed, match=r"sitecustomize\.py: is new since"):
        image_test.files(folder)
    added.unlink()
    (folder / FILES[1]).write_text("other")
    listed = folder / "files.sha256"
    lines = listed.read_text().splitlines()
    changed = hashlib.sha256(b"other").hexdigest()
    listed.write_text("".join(f"{changed if FILES[1] in line else line[:64]}{line[64:]}\n" for line in lines))
    with pytest.raises(image_test.Failed, match=r"files\.sha256: is not what was built.*sbom\.cdx\.json"):
        image_test.files(folder)


def test_a_wheel_of_nest_names_nothing_of_the_build():
    """Two builds are to be equal: no folder that pip or mktemp has made up."""
    key = subprocess.run([CONTAINERS / "build-nest.sh", "--key"], capture_output=True, text=True, check=False)
    if key.returncode != 0:
        missing(key.stderr.strip())
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    wheels = list((cache / "cerebellar-models/nest-mpi" / key.stdout.strip()).glob("*.whl"))
    if not wheels:
        pytest.skip("no wheel of this recipe was built here: make mpi")
    with zipfile.ZipFile(wheels[0]) as wheel:
        naming = [
            name
            for name in wheel.namelist()
            if re.search(rb"/tmp/tmp\.|pip-req-build|pip-build-env", wheel.read(name)) and "/doc/" not in name
        ]
    assert naming == []
