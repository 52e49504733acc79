"""Where things lie, and how to install what is missing.

The data folders that travel with the package, in a checkout and in an installation alike; this user's caches and
settings; and commands that work for this Python, on this machine. Extras are taken from this package's own list of
requirements; the package itself is not named, since on PyPI its name belongs to another.
"""

import contextlib
import os
import pwd
import shlex
import shutil
import stat
import sys
import tempfile
from importlib.metadata import PackageNotFoundError, requires
from importlib.util import find_spec
from pathlib import Path

from cerebellar_models.errors import RunError

_NAME = "cerebellar-models"
_PACKAGE = Path(__file__).resolve().parent
IMPORTED_FROM = _PACKAGE.parent
"""the folder in which Python finds this package"""
_NOT_IN_IMAGE = "the image was built without it (docs/images.md says how to build another)"


def bundle_folder(name: str) -> Path:
    """Folder ``name`` of the bundle: ``configurations``, ``morphologies``, ``jobscripts`` or ``containers``.

    :raises FileNotFoundError: neither the installed package nor a checkout around it holds the folder.
    """
    candidates = [_PACKAGE / "_bundle" / name, _PACKAGE.parent / name]
    for folder in candidates:
        if folder.is_dir():
            return folder
    raise FileNotFoundError(
        f"cerebellar-models: folder '{name}' is missing from the installation ({candidates[0]}); reinstall the package"
    )


def cache_folder() -> Path:
    """``$XDG_CACHE_HOME/cerebellar-models``, or the same under ``~/.cache``; it may not exist yet.

    For a user without a home: a folder of the temporary folder that is this user's alone.

    :raises RunError: there is no home, and no such folder either.
    """
    return _stated("XDG_CACHE_HOME") or _under_home(".cache") or _temporary()


def config_folder() -> Path:
    """``$XDG_CONFIG_HOME/cerebellar-models``, or the same under ``~/.config``; without a home as for the cache."""
    return _stated("XDG_CONFIG_HOME") or _under_home(".config") or _temporary()


def home() -> Path | None:
    """The user's home: of the environment, or of the system's list of users, which cron and services leave one to."""
    stated = os.environ.get("HOME", "")
    if Path(stated).is_absolute():
        return Path(stated)
    with contextlib.suppress(KeyError):  # a number without a name, as in a container
        return Path(pwd.getpwuid(os.getuid()).pw_dir)
    return None


def _stated(variable: str) -> Path | None:
    # A relative path would be another folder for each process; the specification has it ignored.
    folder = Path(os.environ.get(variable, ""))
    return folder / _NAME if folder.is_absolute() else None


def _under_home(folder: str) -> Path | None:
    own = home()
    return own / folder / _NAME if own is not None else None


def _temporary() -> Path:
    """What lies there is run, so that nobody else may write to it."""
    folder = Path(tempfile.gettempdir()) / f"{_NAME}-{os.getuid()}"
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    found = folder.lstat()
    if stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o022:
        return folder
    raise RunError(
        f"{folder} belongs to somebody else, and there is no home: set XDG_CACHE_HOME to a folder of yours"
    )


def install_hint(extra: str) -> str:
    """The command that installs what extra ``extra`` asks for."""
    try:
        declared = requires("cerebellar-models") or []
    except PackageNotFoundError:  # run from a source tree that was never installed
        declared = []
    wanted = [
        line.split(";")[0].strip() for line in declared if f"extra == '{extra}'" in line.replace('"', "'")
    ]
    return packages_hint(*wanted) if wanted else f"install this package's extra '{extra}'"


def packages_hint(*requirements: str) -> str:
    """The command that installs these packages for this Python."""
    if in_image():
        return _NOT_IN_IMAGE
    return f"{_install_command()} {shlex.join(requirements)}"


def system_hint(package: str, other: str = "") -> str:
    """The command that installs a package of Debian, or another way where there is none.

    :param other: a way without the system's package manager.
    """
    if in_image():
        return _NOT_IN_IMAGE
    ways = [f"apt install {package}"] if shutil.which("apt") else [f"the system's package of {package}"]
    return ", or ".join([*ways, *([other] if other else [])])


def in_image() -> bool:
    """Whether this runs in an image of this package, where nothing can be installed."""
    return "CEREBELLAR_MODELS_IN_IMAGE" in os.environ


def _install_command() -> str:
    """``pip install`` where that pip is this Python's; otherwise what to call instead."""
    python = shlex.quote(sys.executable)
    if find_spec("pip") is None:
        if shutil.which("uv") or _made_by_uv():
            return f"uv pip install --python {python}"
        return f"{python} -m ensurepip && {python} -m pip install"
    found = shutil.which("pip")
    beside = found is not None and Path(found).parent == Path(sys.executable).parent
    return "pip install" if beside else f"{python} -m pip install"


def _made_by_uv() -> bool:
    with contextlib.suppress(OSError):
        lines = (Path(sys.prefix) / "pyvenv.cfg").read_text(encoding="utf-8").splitlines()
        return any(line.partition("=")[0].strip() == "uv" for line in lines)
    return False
