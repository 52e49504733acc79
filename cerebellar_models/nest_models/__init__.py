"""Point neuron models for NEST: their sources, and nothing else but what makes them loadable.

A ``.nestml`` file defines each model; C++ of the same name beside it is the same model written for speed, and is what
is compiled. A ``.nestml`` file alone is compiled, too, where NESTML is installed (the extra ``nestml``).

Once this package is imported, ``nest.Install("cerebmodule")`` works in this process and in those it starts.
The module is built by the first import (some 40 s) and found in the user's cache by the later ones.
Without NEST, and while a circuit is only compiled, nothing is built.

:raises cerebellar_models.builders.nest_module.ModelBuildError: the module cannot be built here.
"""

import sys

from cerebellar_models.builders import compile_mode, nest_module


def _ensure_module() -> None:
    if compile_mode.ACTIVE or nest_module.nest_installation() is None:
        return
    nest_module.build(lambda line: print(f"cerebellar-models: {line}", file=sys.stderr))
    nest_module.make_loadable()


_ensure_module()
