"""Finds the data folders that travel with the package, in a checkout and in an installation alike."""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


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
