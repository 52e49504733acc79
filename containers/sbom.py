"""Writes what an image holds as a CycloneDX 1.5 list: the distribution's packages, those of this Python, and the
libraries that were compiled for it, with checksums that the image test compares.

Usage: ``python3 sbom.py FILE``. Nothing but the standard library, so that it runs in every image.
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

_DPKG_FORMAT = "${Package}\t${Version}\t${Architecture}\t${db:Status-Abbrev}\n"


def main(target: Path) -> None:
    """Write the list to ``target``."""
    components = [*python_packages(), *distribution_packages(), *built_files()]
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
    target.write_text(json.dumps(bom, indent=1) + "\n")


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
        ["dpkg-query", "--show", f"--showformat={_DPKG_FORMAT}"], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    for line in lines:
        name, version, architecture, status = line.split("\t")
        if status.startswith("ii"):
            purl = f"pkg:deb/debian/{quote(name)}@{quote(version)}?arch={architecture}"
            yield _component(name, version, purl)


def built_files() -> Iterator[dict]:
    """Components of the NEST module and the NEURON mechanisms."""
    for path in sorted((Path(__file__).resolve().parents[1] / "cache").rglob("*.so")):
        checksum = hashlib.sha256(path.read_bytes()).hexdigest()
        hashes = [{"alg": "SHA-256", "content": checksum}]
        yield {"type": "file", "name": str(path), "hashes": hashes, "bom-ref": f"file:{path}"}


def _component(name: str, version: str, purl: str) -> dict:
    return {"type": "library", "name": name, "version": version, "purl": purl, "bom-ref": purl}


if __name__ == "__main__":
    main(Path(sys.argv[1]))
