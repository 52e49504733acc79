"""What can be said of the images without building them: linters, and that the two definitions say the same."""

import os
import re
import subprocess
from pathlib import Path

import pytest
from support import linter

ROOT = Path(__file__).parents[2]
CONTAINERS = ROOT / "containers"
SCRIPTS = sorted([*CONTAINERS.glob("*.sh"), *Path(__file__).parent.glob("*.sh")])


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_shellcheck_finds_nothing(script):
    command = [linter("shellcheck"), "--external-sources", "--source-path", str(ROOT), str(script)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_hadolint_finds_nothing():
    command = [linter("hadolint"), str(CONTAINERS / "Dockerfile")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


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
