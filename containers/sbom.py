"""Writes what an image holds: a CycloneDX 1.5 list of the distribution's packages, those of this Python and the
libraries that were compiled for it, and beside it the checksums of all files, which the image test compares.

Usage: ``python3 sbom.py FILE``, as the last step of a build. Nothing but the standard library, so that it runs in
every image.
"""

import hashlib
import importlib.metadata
import json
import re
import subprocess
import sys
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

FILES = "files.sha256"
_DPKG_FORMAT = "${Package}\t${Version}\t${Architecture}\t${db:Status-Abbrev}\n"


def main(target: Path) -> None:
    """Write the list to ``target``, and beside it the checksums of what else lies in its folder."""
    folder, listed = target.parent, target.with_name(FILES)
    names = [name for name in files_below(folder) if name not in (FILES, target.name)]
    listed.write_text("".join(f"{sha256(folder / name)}  {name}\n" for name in names), "utf-8")
    compiled = [folder / name for name in names if re.match(r"cache/.*\.so$", name)]
    components = [*python_packages(), *distribution_packages(), *map(_file, [listed, *compiled])]
    bom = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": f"urn:uuid:{uuid.uuid4()}",
        "version": 1,
        "metadata": {
            "timestamp": datetime.now(UTC).isoformat(timespec="seconds"),
            "component": {
                "type": "container",
                "name": "cerebellar-models",
                "version": importlib.metadata.version("cerebellar-models"),
            },
        },
        "components": sorted(components, key=lambda component: component["bom-ref"]),
    }
    target.write_text(json.dumps(bom, indent=1) + "\n", "utf-8")


def files_below(folder: Path) -> list[str]:
    """All files in the folder by their path in it, in order."""
    found = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return sorted(str(path.relative_to(folder)) for path in found)


def sha256(path: Path) -> str:
    """Checksum of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def python_packages() -> Iterator[dict]:
    """Components of the packages this Python imports."""
    for package in importlib.metadata.distributions():
        name = re.sub(r"[-_.]+", "-", package.name).lower()
        component = _component(name, package.version, f"pkg:pypi/{name}@{quote(package.version)}")
        # The licence as a name, where it is no page of text; the texts lie beside this file.
        licence = package.metadata.get("License-Expression") or package.metadata.get("License") or ""
        if licence and "\n" not in licence and len(licence) < 80:
            component["licenses"] = [{"license": {"name": licence}}]
        yield component


def distribution_packages() -> Iterator[dict]:
    """Components of the installed Debian packages."""
    lines = subprocess.run(
        ["dpkg-query", "--show", f"--showformat={_DPKG_FORMAT}"],
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=True,
    ).stdout.splitlines()
    for line in lines:
        name, version, architecture, status = line.split("\t")
        if status.startswith("ii"):
            purl = f"pkg:deb/debian/{quote(name)}@{quote(version)}?arch={architecture}"
            yield _component(name, version, purl)


def _file(path: Path) -> dict:
    hashes = [{"alg": "SHA-256", "content": sha256(path)}]
    return {"type": "file", "name": str(path), "hashes": hashes, "bom-ref": f"file:{path}"}


def _component(name: str, version: str, purl: str) -> dict:
    return {"type": "library", "name": name, "version": version, "purl": purl, "bom-ref": purl}


if __name__ == "__main__":
    main(Path(sys.argv[1]))
