"""Images made of the good one by changing one thing: the image test finds it and says what it is."""

import json
import shutil

import pytest
from support import missing

from cerebellar_models.builders import nest_module

pytestmark = pytest.mark.xdist_group("images")

VENV = "/opt/cerebellar-models/venv"
# Whoever changes the module can change the checksum beside it, too; the SBOM has another.
TAMPERED = """
FROM cerebellar-models:latest
USER 0
RUN cd /opt/cerebellar-models/cache/cerebellar-models/nest/* && printf x >>cerebmodule.so \\
 && sha256sum cerebmodule.so | cut -d' ' -f1 | tr -d '\\n' >sha256
RUN sed -i 's/^click==.*/click==0.1 \\\\/' /opt/cerebellar-models/containers/requirements.lock
USER 1000
"""
WITHOUT_MPI = f"""
FROM cerebellar-models:latest
USER 0
RUN rm -rf {VENV}/lib/python3.11/site-packages/nest
COPY . {VENV}/lib/python3.11/site-packages/
USER 1000
"""


def _found(docker, folder, dockerfile: str, checks: str) -> tuple[int, dict[str, str]]:
    """Exit status of the image test, and the reasons of the checks that failed."""
    (folder / "Dockerfile").write_text(dockerfile)
    (folder / ".dockerignore").write_text("Dockerfile\n")
    built = docker("build", "--quiet", str(folder))
    assert built.returncode == 0, built.stderr[-2000:]
    image = built.stdout.strip()
    arguments = ("--entrypoint", "cerebellar-models-image-test", image, "--only", checks)
    done = docker("run", "--rm", "--network", "none", *arguments)
    docker("rmi", "--force", image)
    result = json.loads(done.stdout)
    assert result["passed"] is False
    return done.returncode, {item["check"]: item["detail"] for item in result["checks"] if not item["passed"]}


def test_a_tampered_module_and_a_package_of_another_version_are_named(docker, image, tmp_path):
    status, reasons = _found(docker, tmp_path, TAMPERED, "files,versions,hdf5")
    assert status == 1
    assert reasons.keys() == {"files", "versions"}
    assert "cerebmodule.so: is not what was built" in reasons["files"]
    assert "click" in reasons["versions"] and "requirements.lock names 0.1" in reasons["versions"]
    assert not any("\n" in reason for reason in reasons.values())


def test_an_image_whose_nest_has_no_mpi_says_so(docker, image, tmp_path, nest_installed):
    nest = nest_module.nest_installation()
    assert nest is not None
    if nest.has_mpi:
        missing("a NEST without MPI in this Python, as PyPI has it")
    for name in ("nest", "nest_simulator.libs"):
        shutil.copytree(nest.package.parent / name, tmp_path / name)
    status, reasons = _found(docker, tmp_path, WITHOUT_MPI, "nest,mpi")
    assert status == 1
    assert reasons.keys() == {"nest"}
    assert "was built without MPI" in reasons["nest"] and "build-nest.sh" in reasons["nest"]
