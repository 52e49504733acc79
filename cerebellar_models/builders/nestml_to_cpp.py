"""Writes the C++ of NESTML models; run as a script, which keeps NESTML's global state and logging apart.

Usage: python nestml_to_cpp.py NEST_VERSION MODULE_NAME TARGET_FOLDER MODEL.nestml...
Exit code 1 if a model has errors; NESTML prints them.
"""

import sys

from pynestml.codegeneration.nest_tools import NESTTools
from pynestml.frontend import pynestml_frontend


def generate(nest_version: str, module: str, target: str, sources: list[str]) -> bool:
    """Write the C++ of ``sources`` to the folder ``target``; True if it went well.

    NESTML would import NEST to learn its version, which aborts under mpirun, and would then build with the
    folders of ``nest-config``, which do not exist for a wheel. Both are replaced.
    """
    NESTTools.detect_nest_version = classmethod(lambda cls: f"v{nest_version}")
    pynestml_frontend.builder_from_target_name = lambda target_name, options=None: (None, options or {})
    errors = pynestml_frontend.generate_target(
        sources, target_platform="NEST", target_path=target, module_name=module, logging_level="ERROR"
    )
    return not errors


if __name__ == "__main__":
    sys.exit(0 if generate(sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4:]) else 1)
