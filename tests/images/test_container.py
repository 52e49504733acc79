"""Which engine is used, what it is refused for, and its commands; scripts stand for the engines here."""

import json
import os
import subprocess
import sys

import pytest

# Says its arguments; as the image test it leaves the result in what is mounted as /work.
ENGINE = """#!/bin/sh
case "$1" in info) {info} ;; esac
work=$(echo " $*" | sed -n 's/.* \\([^ ]*\\):\\/work.*/\\1/p')
echo "ran $*"
[ -z "$work" ] || cp {result} "$work/result.json"
exit {status}
"""


@pytest.fixture
def engine(tmp_path, monkeypatch):
    """``engine(name, ...)`` puts one on a PATH that has nothing else but the shell's own."""
    folder = tmp_path / "bin"
    folder.mkdir()
    result = tmp_path / "engine-result.json"
    for name in ("sh", "sed", "cp", "echo", "env"):
        (folder / name).symlink_to(f"/bin/{name}")

    def add(name: str, info: str = "exit 0", passed: bool = True) -> None:
        result.write_text(json.dumps({"passed": passed, "checks": [{"check": "nest", "passed": passed}]}))
        script = folder / name
        script.write_text(ENGINE.format(info=info, result=result, status=int(not passed)))
        script.chmod(0o755)

    monkeypatch.setenv("PATH", str(folder))
    return add


def test_without_an_engine_it_says_what_to_install(cli, engine):
    done = cli("image", "test")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "apt install docker.io" in done.stderr and "apt install podman" in done.stderr


@pytest.mark.parametrize(
    ("name", "said", "change"),
    [
        ("docker", "permission denied while trying to connect to the daemon", "usermod -aG docker"),
        ("docker", "Cannot connect to the Docker daemon", "systemctl start docker"),
        ("podman", "newuidmap: Permission denied", "/etc/subuid"),
    ],
)
def test_an_engine_that_refuses_its_user_is_told_apart(cli, engine, name, said, change):
    engine(name, info=f"echo '{said}' >&2; exit 1")
    done = cli("image", "build", "--engine", name)
    assert done.returncode == 2
    assert change in done.stderr and done.stderr.count("\n") == 1


def test_the_first_engine_that_answers_is_used(cli, engine):
    engine("docker", info="exit 1")
    engine("podman")
    done = cli("image", "test")
    assert done.returncode == 0, done.stderr
    assert f"--user {os.getuid()}:{os.getgid()}" in done.stdout
    assert "--network none" in done.stdout and "cerebellar-models-image-test" in done.stdout


def test_apptainer_files_go_to_apptainer_by_whatever_name_it_has(cli, engine, tmp_path):
    engine("docker")
    engine("apptainer")
    (tmp_path / "x.sif").touch()
    done = cli("image", "test", "x.sif", "--json", "result.json")
    assert done.returncode == 0, done.stderr
    assert "exec" in done.stdout and "/work" in done.stdout
    assert json.loads((tmp_path / "result.json").read_text())["passed"] is True


@pytest.mark.parametrize(
    ("name", "image", "command"),
    [
        (
            "docker",
            [],
            "ran run --pull=never --rm --init --user {user} --volume {cwd}:/work --interactive --tty --entrypoint bash",
        ),
        ("apptainer", ["x.sif"], "ran shell --bind {cwd}:/work --pwd /work x.sif"),
    ],
)
def test_a_shell_opens_in_the_current_folder(cli, engine, tmp_path, name, image, command):
    engine(name)
    (tmp_path / "x.sif").touch()
    done = cli("image", "shell", *image)
    assert command.format(user=f"{os.getuid()}:{os.getgid()}", cwd=tmp_path) in done.stdout


@pytest.mark.parametrize(
    ("name", "image", "mount"),
    [
        ("docker", [], '--mount type=bind,"source={cwd}",destination=/work'),
        ("apptainer", ["x.sif"], '--mount type=bind,"source={cwd}",destination=/work'),
    ],
)
def test_a_shell_opens_in_a_folder_whose_name_has_the_engines_own_signs(
    cli, engine, tmp_path, name, image, mount
):
    engine(name)
    folder = tmp_path / 'at 18:00, "x"'
    folder.mkdir()
    (folder / "x.sif").touch()
    done = cli("image", "shell", *image, cwd=folder)
    assert mount.format(cwd=str(folder).replace('"', '""')) in done.stdout


def test_a_failed_check_fails_the_command_and_is_named(cli, engine):
    engine("docker", passed=False)
    done = cli("image", "test")
    assert done.returncode == 1
    assert "failed: nest" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["test", "missing.sif"], "missing.sif: no such file"),
        (["test", "x:latest", "--engine", "apptainer"], "apptainer does not run x:latest"),
        (["shell", "missing.sif"], "no such file"),
        (["preflight", "missing.sif"], "no such file"),
    ],
)
def test_bad_input_is_one_line(cli, engine, arguments, says):
    engine("docker")
    done = cli("image", *arguments)
    assert done.returncode == 2
    assert says in done.stderr and done.stderr.count("\n") == 1


def test_preflight_compares_the_launcher_with_the_image_before_it_starts_ranks(cli, engine, tmp_path):
    engine("apptainer")
    (tmp_path / "x.sif").touch()
    answers = tmp_path / "bin"
    (answers / "apptainer").write_text("#!/bin/sh\necho 'mpirun (Open MPI) 4.1.4'\n")
    (answers / "mpirun").write_text(
        "#!/bin/sh\n[ $1 = --version ] || { echo started >&2; exit 1; }\necho 'mpirun (Open MPI) 5.0.3'\n"
    )
    (answers / "mpirun").chmod(0o755)
    done = cli("image", "preflight", "x.sif")
    assert done.returncode == 1
    assert "load a module of Open MPI 4" in done.stderr and "started" not in done.stderr


def test_an_installed_wheel_builds_no_image_but_says_what_it_needs(tmp_path, pytestconfig):
    """The bundle of an installation has the recipe, not the sources that it copies."""
    package = tmp_path / "site" / "cerebellar_models"
    source = pytestconfig.rootpath
    package.parent.mkdir()
    subprocess.run(["cp", "-R", source / "cerebellar_models", package], check=True)
    subprocess.run(["mkdir", package / "_bundle"], check=True)
    subprocess.run(["cp", "-R", source / "containers", package / "_bundle"], check=True)
    done = subprocess.run(
        [sys.executable, "-m", "cerebellar_models", "image", "build"],
        cwd=package.parent,
        env=os.environ | {"PYTHONPATH": str(package.parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "needs a checkout" in done.stderr and done.stderr.count("\n") == 1
