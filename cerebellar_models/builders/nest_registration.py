"""The C++ by which an extension module tells NEST 3.10 of its models; pure."""

from collections.abc import Sequence

__all__ = ["registration"]

# NEST looks for an object of this name in the library, and calls its initialize().
_MODULE = """\
#include "nest_extension_interface.h"

{includes}

struct {module} final : nest::NESTExtensionInterface
{{
  void
  initialize() override
  {{
{calls}
  }}
}};

{module} {module}_LTX_module;
"""


def registration(module: str, models: Sequence[str]) -> str:
    """Source of ``module``.cpp. Each model has a header of its name, which declares ``register_<model>``."""
    return _MODULE.format(
        module=module,
        includes="\n".join(f'#include "{model}.h"' for model in models),
        calls="\n".join(f'    register_{model}( "{model}" );' for model in models),
    )
