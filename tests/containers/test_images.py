"""Both images, built for real once a session, and used as their users use them."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from engines import apptainer_script
from support import command_line

pytestmark = pytest.mark.xdist_group("images")

ROOT = Path(__file__).parents[2]
IMAGE = "cerebellar-models:latest"
DOCKER_LIMIT = 1.5e9  # bytes
SIF_LIMIT = 600e6  # bytes
# A user whom the image does not know, and nothing but /tmp to write to.
STRANGER = ("--user", "4321:4321", "--read-only", "--tmpfs", "/tmp:exec")

READ_ONLY_USE = """
import glia, os
from cerebellar_models.builders import nest_module
from cerebellar_models.connectome import overlap_kernel
assert nest_module.is_built(), "the NEST module is not found"
from patch import p
glia.load_library()
section = p.Section()
glia.insert(section, "Kv1_1")
print("usable by", os.getuid())
"""

TWO_RANKS = (
    "from mpi4py import MPI; import nest; "
    "assert nest.NumProcesses() == MPI.COMM_WORLD.size == 2; "
    "from cerebellar_models.builders import nest_module as m; m.make_loadable(); nest.Install(m.MODULE); "
    "nest.Create('eglif_cond_alpha_multisyn'); nest.Simulate(1.0)"
)

# What an image is: compared between the definitions.
IDENTITY = """
import importlib.metadata as m, json, os, subprocess, sys
packages = {d.name: d.version for d in m.distributions()}
commands = sorted(os.listdir(os.path.dirname(sys.executable)))
mpi = subprocess.run(["mpirun", "--version"], capture_output=True, text=True).stdout.split("\\n")[0]
names = ("CEREBELLAR_MODELS_IN_IMAGE", "PATH", "XDG_CACHE_HOME", "XDG_DATA_HOME", "CXX", "PYTHONNOUSERSITE",
         "PYNEST_QUIET", "OMPI_MCA_osc", "UCX_TLS", "OMPI_ALLOW_RUN_AS_ROOT")
debian = subprocess.run(["dpkg-query", "-W"], capture_output=True, text=True).stdout.split("\\n")
print(json.dumps([packages, commands, mpi, sys.version, {n: os.environ.get(n) for n in names}, debian]))
"""


def _ok(done: subprocess.CompletedProcess) -> str:
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    return done.stdout


def test_docker_image_is_within_its_size(docker, image):
    size = int(_ok(docker("image", "inspect", "--format", "{{.Size}}", image)))
    assert size < DOCKER_LIMIT


def test_sif_is_within_its_size(sif):
    assert sif.stat().st_size < SIF_LIMIT


def test_docker_image_serves_any_user_on_a_read_only_system(docker, image):
    assert "usable by 4321" in _ok(docker.run("python", "-c", READ_ONLY_USE, options=STRANGER))


@pytest.mark.parametrize(
    "words",
    [
        (IMAGE, "run", "--preset", "tiny"),
        (IMAGE, "mpirun", "-np", "2", "true"),
        ("--entrypoint", "cerebellar-models-image-test", IMAGE),
    ],
)
def test_without_any_folder_to_write_to_it_says_what_to_give_it(docker, image, words):
    done = docker("run", "--rm", "--network", "none", "--read-only", *words)
    assert done.returncode == 2
    assert "--tmpfs /tmp" in done.stderr and done.stderr.count("\n") == 1


def test_nothing_that_only_builds_or_documents_travels(docker, image):
    script = (
        "cd /opt/cerebellar-models/venv; ls; ls lib/python3.11/site-packages | "
        "grep -ix 'cython\\|setuptools\\|pkg_resources\\|doc\\|docs'; true"
    )
    assert _ok(docker.run("sh", "-c", script)).split() == [
        "bin",
        "include",
        "lib",
        "lib64",
        "pyvenv.cfg",
        "share",
    ]


def test_sif_serves_its_user_without_a_home(apptainer, sif):
    answer = apptainer.run(
        sif,
        *("python", "-c", READ_ONLY_USE),
        options=("--no-home",),
        XDG_CACHE_HOME="/nowhere",
        TMPDIR="/nowhere",
        CXX="other",
    )
    assert "usable by" in _ok(answer)


@pytest.mark.mpi
def test_nest_and_its_module_run_on_two_ranks_in_docker(docker, image):
    _ok(docker.run("mpirun", "--oversubscribe", "-np", "2", "python", "-c", TWO_RANKS, options=STRANGER))


@pytest.mark.mpi
def test_nest_and_its_module_run_on_two_ranks_in_apptainer(apptainer, sif):
    command = f'mpirun --oversubscribe -np 2 python -c "{TWO_RANKS}"'
    _ok(apptainer.run(sif, "sh", "-c", command))


CHECKS = {"versions", "files", "mpi", "hdf5", "neuron", "nest", "circuit", "simulation"}


def test_what_a_site_says_of_mpi_wins_over_the_image(apptainer, sif):
    """Between nodes that share a kernel, and on networks that need it, UCX has to be told."""
    site = {
        "UCX_TLS": "^posix",
        "OMPI_MCA_osc": "^pt2pt",
        "OMPI_MCA_btl_vader_single_copy_mechanism": "emulated",
    }
    inside = _ok(apptainer.run(sif, "env", **site)).splitlines()
    assert {f"{name}={value}" for name, value in site.items()} <= set(inside)
    parameters = "ompi_info --param osc all --parsable --level 9 | grep '^mca:osc:base:param:osc:value'"
    assert _ok(apptainer.run(sif, "sh", "-c", parameters)).strip().endswith(":ucx")


def test_both_images_find_themselves_in_order(docker, image, apptainer, sif, tmp_path):
    options = {
        "APPTAINER": apptainer_script(apptainer, tmp_path),
        "IMAGE_TEST_JSON": tmp_path / "result",
        "IMAGE_RUN_FLAGS": " ".join(STRANGER),
        "SIF_RUN_FLAGS": "--contain --no-home",
    }
    command = ["make", "image-test", *(f"{name}={value}" for name, value in options.items())]
    _ok(
        subprocess.run(command, cwd=ROOT, env=docker.environment, capture_output=True, text=True, check=False)
    )
    for engine in ("docker", "apptainer"):
        result = json.loads((tmp_path / f"result.{engine}.json").read_text())
        assert result["passed"] is True
        assert {check["check"] for check in result["checks"]} == CHECKS


@pytest.mark.parametrize("engine", ["docker", "apptainer"])
def test_image_test_runs_the_image_of_an_engine_and_keeps_its_result(engine, request, tmp_path):
    used = request.getfixturevalue(engine)
    name = str(request.getfixturevalue("sif" if engine == "apptainer" else "image"))
    own = used.environment
    if engine == "apptainer":
        path = f"{Path(used.command[-1]).parent}:{os.environ['PATH']}"
        own = own | {"PATH": path, "APPTAINER_USERNS": "1"}
    arguments = ("--engine", engine, "--only", "files,mpi", "--json", "result.json")
    done = command_line("image", "test", name, *arguments, cwd=tmp_path, **own)
    assert "all 2 checks passed" in _ok(done)
    checks = json.loads((tmp_path / "result.json").read_text())["checks"]
    assert {check["check"]: check["passed"] for check in checks} == {"files": True, "mpi": True}


def test_docker_runs_the_main_job_with_results_of_the_calling_user(docker, image, tmp_path):
    tmp_path.chmod(0o755)
    runs = tmp_path / "runs"
    runs.mkdir()
    os.chown(runs, 4321, 4321)
    options = ("--rm", "--network", "none", "--memory", "4g", "--user", "4321:4321", "-v", f"{runs}:/work")
    choices = ("--preset", "tiny", "--duration", "100", "--ranks", "2", "-o", "first")
    _ok(docker("run", *options, image, "run", *choices))
    written = list((runs / "first").rglob("*"))
    assert any(path.suffix == ".html" for path in written)
    assert {path.stat().st_uid for path in written} == {4321}


@pytest.mark.mpi
def test_apptainer_runs_the_main_job_where_the_hosts_temporary_folder_is_not(apptainer, sif, tmp_path):
    choices = ("--preset", "tiny", "--duration", "100", "--ranks", "2", "-o", "first")
    options = ("--no-home", "--bind", f"{tmp_path}:/work", "--pwd", "/work")
    _ok(apptainer.run(sif, "cerebellar-models", "run", *choices, options=options, TMPDIR="/nowhere"))
    assert (tmp_path / "first" / "report.html").exists()


def test_a_run_that_needs_more_memory_than_its_container_fails_and_leaves_nothing_whole(
    docker, image, tmp_path
):
    runs = tmp_path / "runs"
    runs.mkdir(mode=0o777)
    runs.chmod(0o777)
    options = (
        "--rm",
        "--network",
        "none",
        "--memory",
        "120m",
        "--memory-swap",
        "120m",
        "-v",
        f"{runs}:/work",
    )
    done = docker("run", *options, image, "run", "--preset", "tiny", "-o", "first")
    assert done.returncode != 0
    assert not list(runs.rglob("*.hdf5")) and not list(runs.rglob("report.html"))


def test_interrupt_ends_the_run_in_docker_cleanly(docker, image, tmp_path):
    runs = tmp_path / "runs"
    runs.mkdir(mode=0o777)
    runs.chmod(0o777)
    command = ["docker", "run", "--rm", "--name", "interrupted", "--network", "none", "-v", f"{runs}:/work"]
    with subprocess.Popen([*command, image, "run", "--preset", "tiny"], env=docker.environment) as process:
        _wait_for(lambda: any(runs.rglob("*.log")), process)
        process.send_signal(signal.SIGINT)
        status = process.wait(timeout=60)
    assert status not in (0, 137)
    assert not list(runs.rglob("*.hdf5")) and not list(runs.rglob("report.html"))
    assert docker("ps", "--quiet", "--filter", "name=interrupted").stdout == ""


def test_sbom_inside_and_beside_lists_python_and_distribution_packages(docker, image):
    beside = json.loads((ROOT / "build/image.sbom.cdx.json").read_text())
    inside = json.loads(_ok(docker.run("cat", "/opt/cerebellar-models/sbom.cdx.json")))
    assert inside == beside
    names = {component["bom-ref"].split("@")[0] for component in inside["components"]}
    assert {"pkg:pypi/nest-simulator", "pkg:pypi/neuron", "pkg:deb/debian/openmpi-bin"} <= names


def test_images_have_no_build_tools_and_have_licence_texts(docker, image):
    script = (
        "for tool in g++ gcc cmake make pip; do ! command -v $tool || exit 1; done; "
        'test -n "$(ls /opt/cerebellar-models/licenses/nest_simulator-*)" && '
        "test -e /opt/cerebellar-models/licenses/debian/openmpi-bin/copyright"
    )
    _ok(docker.run("sh", "-c", script))


@pytest.mark.long(part="faults")
def test_both_definitions_make_the_same_image(docker, image, apptainer, sif_of_definition):
    first = json.loads(_ok(docker.run("python", "-c", IDENTITY)))
    second = json.loads(_ok(apptainer.run(sif_of_definition, "python", "-c", IDENTITY)))
    for of_docker, of_definition in zip(first, second, strict=True):
        assert of_definition == of_docker
    _ok(apptainer.run(sif_of_definition, "cerebellar-models-image-test"))


def test_killed_builds_leave_nothing_that_looks_complete(docker, image, apptainer, tmp_path):
    builds = {
        "tag": (
            [ROOT / "containers/build-image.sh", "docker", "killed:latest", "--network=host", "--no-cache"]
        ),
        "file": ([ROOT / "containers/build-sif.sh", "--from", "docker", str(tmp_path / "killed.sif")]),
    }
    environment = apptainer.environment | {"APPTAINER": str(apptainer_script(apptainer, tmp_path))}
    for command in builds.values():
        with subprocess.Popen(
            command,
            env=environment,
            start_new_session=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as process:
            time.sleep(5)
            assert process.poll() is None, "finished before it was killed"
            os.killpg(process.pid, signal.SIGKILL)
    assert docker("image", "inspect", "killed:latest").returncode != 0
    assert not (tmp_path / "killed.sif").exists()


def _wait_for(condition, process: subprocess.Popen) -> None:
    for _ in range(600):
        if condition():
            return
        assert process.poll() is None, "ended before it was interrupted"
        time.sleep(0.1)
    pytest.fail("never came as far as the first stage")
