"""The species' default circuits as configuration templates of BSB: ``bsb new``, ``get_configuration_template``.

``<species>_cerebellum.yaml`` and ``.json`` are what `cerebellar-models configure` writes without flags,
``<species>_cerebellum_<state>`` the same in another state. BSB finds the folder by the entry point in the group
``bsb.config.templates``. The files are composed when somebody looks for a template, and go when the process ends.
"""

import atexit
import contextlib
import functools
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from cerebellar_models.errors import UserError


class _ComposedWhenAsked(list[str]):
    """Folders of templates. BSB loads this in every process, and walks through it only to find a template."""

    def __iter__(self) -> Iterator[str]:
        yield from _written()


def folders() -> list[str]:
    """What BSB's plugin system takes: a list that can carry an attribute."""
    return _ComposedWhenAsked()


@functools.cache
def _written() -> tuple[str, ...]:
    from cerebellar_models.circuits.catalogue import species_names

    folder = Path(tempfile.mkdtemp(prefix="cerebellar-models-templates-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    with contextlib.suppress(UserError):  # of the user's own species: `configure` says what is wrong
        for species in species_names():
            with contextlib.suppress(UserError):
                _write(folder, species)
    return (str(folder),)


def _write(folder: Path, species: str) -> None:
    from cerebellar_models.circuits.catalogue import load_species
    from cerebellar_models.circuits.resolve import resolve
    from cerebellar_models.circuits.texts import recap, tree_text

    offered = load_species(species)
    for state in offered.states:
        choices, tree = resolve(species, state=state)
        suffix = "" if state == offered.defaults["state"] else f"_{state}"
        for extension in ("yaml", "json"):
            path = folder / f"{species}_cerebellum{suffix}.{extension}"
            path.write_text(tree_text(path, tree, recap(choices)), encoding="utf-8")
