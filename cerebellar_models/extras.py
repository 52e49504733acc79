"""How to install what an optional feature needs, from this package's own list of requirements.

The package itself is not named: on PyPI its name belongs to another package.
"""

import shlex
from importlib.metadata import PackageNotFoundError, requires


def install_hint(extra: str) -> str:
    """The pip command that installs what extra ``extra`` asks for."""
    try:
        declared = requires("cerebellar-models") or []
    except PackageNotFoundError:  # run from a source tree that was never installed
        declared = []
    wanted = [
        line.split(";")[0].strip() for line in declared if f"extra == '{extra}'" in line.replace('"', "'")
    ]
    return f"pip install {shlex.join(wanted)}" if wanted else f"install this package's extra '{extra}'"
