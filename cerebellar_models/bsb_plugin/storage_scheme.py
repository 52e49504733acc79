"""The ``cerebellum:`` addresses of a configuration: the morphologies that travel with this package.

``cerebellum://GranuleCell.swc`` is the file of that name in the bundle's ``morphologies`` folder, wherever
the package is installed and whatever the working directory is. BSB finds the class by its entry point in the
group ``bsb.storage.schemes``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from bsb import FileDependency, UriScheme

from cerebellar_models.installation import bundle_folder

PREFIX = "cerebellum://"


def bundled_file(uri: str) -> Path:
    """The bundled file ``uri`` names; the case of the name is kept.

    :raises ValueError: the address is not ``cerebellum://`` and the name of one file (a folder, ``..``).
    :raises FileNotFoundError: the bundle has no such file; the message names those it has.
    """
    # urlparse would take the file name for a host and lower its case.
    scheme, separator, name = uri.partition("://")
    plain = name not in ("", ".", "..") and not any(c in name for c in "/\\\0")
    if scheme.lower() + separator != PREFIX or not plain:
        raise ValueError(f"'{uri}' is no bundled morphology: write {PREFIX} and a file name, without folders")
    folder = bundle_folder("morphologies")
    present = {file.name: file for file in sorted(folder.glob("*.swc"))}
    if name not in present:
        raise FileNotFoundError(f"'{uri}': the bundle has no '{name}', only {', '.join(present)}")
    return present[name]


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


class CerebellumScheme(UriScheme):
    """Reads bundled files for BSB.

    A circuit file holds a copy of each morphology. The copy counts as outdated if its content differs from
    the bundle's, never because of file times, which an installation sets at random.
    """

    def find(self, file: FileDependency) -> bool:
        """True; raises as :func:`bundled_file` does, whose message says more than BSB's own."""
        return bundled_file(file.uri).is_file()

    def should_update(self, file: FileDependency, stored_file: Any) -> bool:
        try:
            current = _sha256(bundled_file(file.uri))
        except FileNotFoundError:
            # A circuit made by another version of the package keeps what it holds.
            return False
        return bool(stored_file.meta.get("sha256") != current)

    def get_content(self, file: FileDependency) -> tuple[bytes, str | None]:
        # Bytes without an encoding: with one, BSB's store hands back text, which its SWC parser refuses.
        return bundled_file(file.uri).read_bytes(), None

    @contextmanager
    def provide_stream(self, file: FileDependency) -> Iterator[tuple[BinaryIO, str | None]]:
        with bundled_file(file.uri).open("rb") as stream:
            yield stream, None

    def get_meta(self, file: FileDependency) -> dict[str, str]:
        return {"sha256": _sha256(bundled_file(file.uri))}

    def get_local_path(self, file: FileDependency) -> str:
        return str(bundled_file(file.uri))
