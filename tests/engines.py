"""Fixtures of tests that run images: a base image made here, Docker and Apptainer started from nothing, both images.

What takes long to fetch is kept in ``~/.cache/cerebellar-models/ci``; the daemon lives in the session's folder, the
Apptainer image where `make sif` has it. To go on where one was: CEREBELLAR_MODELS_DOCKER_HOST is a daemon to use as
it is, CEREBELLAR_MODELS_SIF an image that is not built again. Tests that use these carry ``xdist_group("images")``.
"""

import fcntl
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from support import missing

HERE = Path(__file__).parent / "containers"
ROOT = HERE.parents[1]
SIF = ROOT / "build/cerebellar-models.sif"
IMAGE = "cerebellar-models:latest"
# Compression as fast as it gets: these images are not kept.
FAST = ("--mksquashfs-args", "-comp zstd -Xcompression-level 1")


@dataclass(frozen=True)
class Docker:
    """A Docker daemon of the session's own."""

    environment: dict[str, str]

    def __call__(self, *arguments: str, **options) -> subprocess.CompletedProcess:
        return subprocess.run(
            ["docker", *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            **options,
        )

    def run(self, *arguments: str, options: tuple[str, ...] = ()) -> subprocess.CompletedProcess:
        """A command in a container of the image, with no network but its own loopback."""
        command, *others = arguments
        return self("run", "--rm", "--network", "none", *options, "--entrypoint", command, IMAGE, *others)


@dataclass(frozen=True)
class Apptainer:
    """Apptainer from the cache folder."""

    command: tuple[str, ...]
    environment: dict[str, str]

    def run(
        self, sif: Path, *arguments: str, options: tuple[str, ...] = (), **environment: str
    ) -> subprocess.CompletedProcess:
        """A command in an image, unprivileged, with nothing of the host but its kernel."""
        return subprocess.run(
            [self.command[-1], "--quiet", "exec", "--userns", "--contain", *options, str(sif), *arguments],
            env=self.environment | environment,
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture(scope="session")
def tools() -> Path:
    """The folder of what the engines need, with the packages installed."""
    if not os.environ.get("CEREBELLAR_MODELS_REQUIRE_ALL"):
        pytest.skip("installs engines and builds images for minutes: set CEREBELLAR_MODELS_REQUIRE_ALL=1")
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        missing("root on Debian, to start engines")
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cerebellar-models" / "ci"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if any(shutil.which(name) is None for name in ("dockerd", "mmdebstrap", "mksquashfs", "squashfuse")):
            _call("apt-get", "-qq", "update")
            packages = "docker.io mmdebstrap squashfs-tools squashfuse fuse-overlayfs fuse2fs fuse3 uidmap"
            _call("apt-get", "-qq", "install", "-y", "--no-install-recommends", *packages.split())
        if not (folder / "base.tar").exists():
            _call(str(HERE / "make-base.sh"), str(folder / "base.tar"))
        if not (folder / "apptainer").exists():
            _call(str(HERE / "get-apptainer.sh"), str(folder / "apptainer"))
    return folder


@pytest.fixture(scope="session")
def docker(tools, tmp_path_factory) -> Iterator[Docker]:
    """A daemon that answers on a socket in the session's folder, with the base image in it."""
    if given := os.environ.get("CEREBELLAR_MODELS_DOCKER_HOST"):
        yield Docker(os.environ | {"DOCKER_HOST": given, "DOCKER_BUILDKIT": "0"})
        return
    folder = tmp_path_factory.mktemp("docker")
    socket = folder / "socket"
    # No BuildKit: the Dockerfile promises to do without it.
    environment = os.environ | {"DOCKER_HOST": f"unix://{socket}", "DOCKER_BUILDKIT": "0"}
    options = ["--iptables=false", "--ip6tables=false", "--bridge=none"]
    places = ["--data-root", folder / "data", "--exec-root", folder / "exec", "--pidfile", folder / "pid"]
    with (folder / "log").open("w") as log:
        daemon = subprocess.Popen(
            ["dockerd", *options, *map(str, places), "--host", f"unix://{socket}"],
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    engine = Docker(environment)
    try:
        for _ in range(120):
            if engine("info").returncode == 0:
                break
            assert daemon.poll() is None, (folder / "log").read_text()[-2000:]
            time.sleep(0.5)
        done = engine("import", "--change", 'CMD ["bash"]', str(tools / "base.tar"), "debian:bookworm-slim")
        assert done.returncode == 0, done.stderr
        yield engine
    finally:
        daemon.terminate()
        daemon.wait()
        shutil.rmtree(folder / "data", ignore_errors=True)


@pytest.fixture(scope="session")
def apptainer(tools, docker, tmp_path_factory) -> Apptainer:
    """Apptainer with temporary folders of its own, which finds the session's Docker daemon."""
    folder = tmp_path_factory.mktemp("apptainer")
    own = {"APPTAINER_TMPDIR": folder / "tmp", "APPTAINER_CACHEDIR": folder / "cache"}
    for path in own.values():
        path.mkdir()
    command = (sys.executable, str(HERE / "as_namespace_root.py"), str(tools / "apptainer/bin/apptainer"))
    return Apptainer(command, docker.environment | {name: str(path) for name, path in own.items()})


@pytest.fixture(scope="session")
def image(docker) -> str:
    """The Docker image, built by `make image`."""
    _build(docker.environment, "make", "image", "IMAGE_FLAGS=--network=host")
    return IMAGE


@pytest.fixture(scope="session")
def sif(request, apptainer, tmp_path_factory) -> Path:
    """The Apptainer image of the Docker image, built by `make sif`, which finds that there is one."""
    if given := os.environ.get("CEREBELLAR_MODELS_SIF"):
        return Path(given)
    request.getfixturevalue("image")
    script = apptainer_script(apptainer, tmp_path_factory.mktemp("sif"))
    flags = f"SIF_FLAGS={FAST[0]} '{FAST[1]}'"
    _build(apptainer.environment, "make", "sif", f"APPTAINER={script}", flags)
    return SIF


@pytest.fixture(scope="session")
def sif_of_definition(tools, apptainer, tmp_path_factory) -> Path:
    """The Apptainer image of its definition alone, which only takes its base from a file."""
    base = ("--build-arg", "BOOTSTRAP=docker-archive", "--build-arg", f"BASE_IMAGE={_archive(apptainer)}")
    folder = tmp_path_factory.mktemp("sif-of-definition")
    sif = folder / "cerebellar-models.sif"
    environment = apptainer.environment | {"APPTAINER": str(apptainer_script(apptainer, folder))}
    _build(environment, "containers/build-sif.sh", "--from", "def", str(sif), *FAST, *base)
    return sif


def _archive(apptainer: Apptainer) -> Path:
    archive = Path(apptainer.environment["APPTAINER_TMPDIR"]) / "base.tar"
    done = Docker(apptainer.environment)("save", "--output", str(archive), "debian:bookworm-slim")
    assert done.returncode == 0, done.stderr
    return archive


def apptainer_script(apptainer: Apptainer, folder: Path) -> Path:
    """An ``apptainer`` for scripts to call: as namespace root to build, unprivileged to run."""
    script = folder / "apptainer"
    build = " ".join(f"'{word}'" for word in apptainer.command)
    run = f"APPTAINER_USERNS=1 exec '{apptainer.command[-1]}'"
    script.write_text(f'#!/bin/sh\nif [ "$1" = build ]; then exec {build} "$@"; fi\n{run} "$@"\n')
    script.chmod(0o755)
    return script


def _build(environment: dict[str, str], *command: str) -> None:
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:]


def _call(*command: str) -> None:
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
