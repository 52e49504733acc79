"""Docker, Podman and Apptainer: which of them can be used here, and the commands that build, test and enter the image.

The only module that starts a container engine. What builds are the scripts in ``containers``, as for ``make``.
"""

import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cerebellar_models.errors import RunError, UserError
from cerebellar_models.installation import bundle_folder
from cerebellar_models.mpi_series import series_mismatch

ENGINES = ("docker", "podman", "apptainer")
IMAGE = "cerebellar-models:latest"
SIF = Path("build/cerebellar-models.sif")
TEST = "cerebellar-models-image-test"
MOUNTED = "/work"
"""where a folder of the host is in the image: its working folder"""
_WRONG_USE = 2

_INSTALL = {
    "docker": "apt install docker.io",
    "podman": "apt install podman uidmap",
    "apptainer": "apt install apptainer (or the package from apptainer.org), or on a cluster load its module",
}
# As the job scripts do: PMIx answers in a folder of the scheduler, which is another for each job step.
_ON_RANK = (
    "bash",
    "-c",
    'exec "$1" --quiet exec ${PMIX_SERVER_TMPDIR:+--bind "$PMIX_SERVER_TMPDIR"} "${@:2}"',
    "on-rank",
)
_USER_NAMESPACES = ("/proc/sys/user/max_user_namespaces", "/proc/sys/kernel/unprivileged_userns_clone")


@dataclass(frozen=True)
class Engine:
    """A container engine that answers."""

    name: str
    """one of ``ENGINES``"""
    command: str
    """path of its program; for Apptainer it may be ``singularity``"""

    @property
    def is_apptainer(self) -> bool:
        return self.name == "apptainer"


def find_engine(*names: str, for_build: bool = False) -> Engine:
    """The first of these engines that can be used; of all, if none is named.

    :raises UserError: it is not installed, does not answer, or its user may not use it; says what to do.
    """
    refusals = []
    for name in names or ENGINES:
        found = _command(name)
        reason = f"not installed: {_INSTALL[name]}" if found is None else _unusable(name, found, for_build)
        if found is not None and reason is None:
            return Engine(name, found)
        refusals.append(f"{name}: {reason}")
    said = "; ".join(refusals)
    raise UserError(said if len(names) == 1 else f"no container engine can be used here. {said}")


def engine_of(image: str, wanted: str | None) -> Engine:
    """The engine that runs this image: a ``.sif`` file is Apptainer's.

    :raises UserError: it cannot be used, or the engine named is not one for the image.
    """
    is_file = image.endswith(".sif")
    if wanted and is_file != (wanted == "apptainer"):
        raise UserError(
            f"--engine: {wanted} does not run {image}; Apptainer runs .sif files, Docker and Podman images"
        )
    if is_file and not Path(image).is_file():
        raise UserError(f"{image}: no such file; make it with: image build --engine apptainer, or make sif")
    if is_file:
        return find_engine("apptainer")
    return find_engine(wanted) if wanted else find_engine("docker", "podman")


def checkout() -> Path:
    """Folder of the sources that an image is made of.

    :raises UserError: this is an installation, which does not hold them.
    """
    folder = bundle_folder("containers")
    if not (folder.parent / "pyproject.toml").is_file():
        raise UserError(
            f"image build: needs a checkout of this package: the recipe is in {folder}, the sources it copies "
            "(pyproject.toml, README.md, LICENSE) are not; clone the repository and call it there, or make image"
        )
    return folder.parent


def build_command(engine: Engine, root: Path, target: str, options: Sequence[str]) -> list[str]:
    """Command that makes the image ``target``: a tag, or a file for Apptainer."""
    if engine.is_apptainer:
        return [str(root / "containers/build-sif.sh"), target, *options]
    return [str(root / "containers/build-image.sh"), engine.name, target, *options]


def run_command(engine: Engine, image: str, program: Sequence[str], folder: Path | None = None) -> list[str]:
    """Command that runs a program in the image, as the calling user, with ``folder`` as `MOUNTED`."""
    if engine.is_apptainer:
        binds = [*_mount("--bind", folder), "--pwd", MOUNTED] if folder else []
        return [engine.command, "--quiet", "exec", *binds, image, *program]
    command, *arguments = program
    return [*_docker_run(engine, folder), "--network", "none", "--entrypoint", command, image, *arguments]


def shell_command(engine: Engine, image: str, folder: Path) -> list[str]:
    """Command that opens a shell in the image, with ``folder`` as `MOUNTED`."""
    if engine.is_apptainer:
        return [engine.command, "shell", *_mount("--bind", folder), "--pwd", MOUNTED, image]
    return [*_docker_run(engine, folder), "--interactive", "--tty", "--entrypoint", "bash", image]


def _docker_run(engine: Engine, folder: Path | None) -> list[str]:
    # In rootless Podman the calling user is root inside, unless told to keep its id.
    who = ["--userns=keep-id"] if engine.name == "podman" and os.getuid() != 0 else []
    mount = _mount("--volume", folder) if folder else []
    user = f"{os.getuid()}:{os.getgid()}"
    # A name that is mistyped is not to be fetched from somewhere and run.
    return [engine.command, "run", "--pull=never", "--rm", "--init", *who, "--user", user, *mount]


def _mount(option: str, folder: Path) -> list[str]:
    """The folder as `MOUNTED`: in the short form, unless its path has what that form reads as signs of its own."""
    if not re.search(r"[:,\\\s]", str(folder)):
        return [option, f"{folder}:{MOUNTED}"]
    source = str(folder).replace('"', '""')
    return ["--mount", f'type=bind,"source={source}",destination={MOUNTED}']


def build(engine: Engine, target: str, options: Sequence[str]) -> None:
    """Makes the image; what the engine says goes on as it comes.

    :raises RunError: the build failed. Nothing is left under the name of the image.
    :raises UserError: there are no sources here.
    """
    root = checkout()
    if engine.is_apptainer:
        target = str(Path(target).resolve())
    environment = {"APPTAINER": engine.command} if engine.is_apptainer else {}
    status = _follow(build_command(engine, root, target, options), root, environment)
    if status != 0:
        raise RunError(
            f"image build: {target}: {engine.name} ended with status {status}; see what it said above"
        )


def test(
    engine: Engine, image: str, tell: Callable[[str], None], options: Sequence[str] = ()
) -> dict[str, Any]:
    """What the image finds when it tests itself; ``tell`` gets each line as it comes.

    :raises RunError: there is no such image, or it does not get as far as a result.
    :raises UserError: the image knows no such option.
    """
    with tempfile.TemporaryDirectory(prefix="image-test-") as name:
        folder = Path(name)
        program = [TEST, "--json", f"{MOUNTED}/result.json", *options]
        last = ""
        try:
            for last in _lines(run_command(engine, image, program, folder)):
                tell(last.rstrip())
        except subprocess.CalledProcessError as error:
            if error.returncode == _WRONG_USE:
                raise UserError(f"image test: {last.strip()}") from error
            if not (folder / "result.json").exists():
                raise RunError(
                    f"image test: {image}: no result (status {error.returncode}): {last.strip()}"
                ) from error
        try:
            found: dict[str, Any] = json.loads((folder / "result.json").read_text(encoding="utf-8"))
            return found
        except FileNotFoundError as error:
            raise RunError(
                f"image test: {image}: no result in {folder}: does {engine.name} run on another machine (DOCKER_HOST)?"
            ) from error


def preflight(engine: Engine, image: str, launcher: Sequence[str], ranks: int) -> str:
    """Whether the host's launcher starts the image's MPI as one world of ``ranks``: its name, if it does.

    :raises RunError: it does not, and what to change; no rank has started MPI.
    :raises UserError: there is no such launcher.
    """
    if shutil.which(launcher[0]) is None:
        raise UserError(
            f"--launcher: no {launcher[0]} here: load the site's Open MPI module, or apt install openmpi-bin"
        )
    outside = _first_line([launcher[0], "--version"])
    inside = _first_line(run_command(engine, image, ["mpirun", "--version"]))
    if reason := series_mismatch(outside, inside):
        raise RunError(f"image preflight: {reason}")
    in_image = [
        *_ON_RANK,
        engine.command,
        image,
        "python",
        "-m",
        "cerebellar_models.on_node.preflight",
        str(ranks),
    ]
    done = subprocess.run(
        [*launcher, *in_image], capture_output=True, encoding="utf-8", errors="replace", check=False
    )
    if done.returncode != 0:
        lines = [line for line in (*done.stdout.splitlines(), *done.stderr.splitlines()) if line.strip(" -")]
        said = lines[0] if lines else f"status {done.returncode}"
        raise RunError(f"image preflight: {said}")
    return f"{outside} outside, {inside} in the image"


def _command(name: str) -> str | None:
    found = shutil.which(name)
    return found or shutil.which("singularity") if name == "apptainer" else found


def _unusable(name: str, command: str, for_build: bool) -> str | None:
    """Why an installed engine cannot be used, and what to do about it."""
    if name == "apptainer":
        return _no_user_namespaces() if for_build and os.geteuid() != 0 else None
    done = subprocess.run(
        [command, "info"], capture_output=True, encoding="utf-8", errors="replace", check=False
    )
    if done.returncode == 0:
        return None
    said = " ".join(done.stderr.split())
    if "permission denied" in said.lower():
        if name == "docker":
            return "no right to its daemon: sudo usermod -aG docker $USER and log in again, or use podman or apptainer"
        return f"no right to use it ({said[-200:]}): it needs uidmap and a line for this user in /etc/subuid"
    if name == "docker":
        return f"its daemon does not answer ({said[-120:]}): sudo systemctl start docker, or set DOCKER_HOST"
    return f"it does not answer: {said[-200:]}"


def _no_user_namespaces() -> str | None:
    for setting in map(Path, _USER_NAMESPACES):
        if setting.is_file() and setting.read_text(encoding="utf-8").strip() == "0":
            return f"this user may not build: {setting} is 0; build as root, or elsewhere and copy the file"
    return None


def _follow(command: Sequence[str], folder: Path, environment: dict[str, str]) -> int:
    """Status of a command that talks to the terminal itself. An interrupt reaches it too, and it clears up."""
    with subprocess.Popen(command, cwd=folder, env=os.environ | environment) as process:
        try:
            return process.wait()
        except KeyboardInterrupt:
            return process.wait()


def _lines(command: Sequence[str]) -> Iterator[str]:
    """:raises subprocess.CalledProcessError: after the last line, if the status is not 0."""
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8", errors="replace"
    ) as process:
        assert process.stdout is not None
        yield from process.stdout
    if process.returncode != 0:
        raise subprocess.CalledProcessError(process.returncode, command)


def _first_line(command: Sequence[str]) -> str:
    """:raises RunError: the command fails."""
    done = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", check=False)
    if done.returncode != 0:
        raise RunError(f"{Path(command[0]).name} failed: {' '.join(done.stderr.split())[-300:]}")
    return done.stdout.strip().split("\n")[0]
