"""The files that CI of GitHub and GitLab runs: the make targets a developer uses (`make check` has their schemas)."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml
from support import linter

ROOT = Path(__file__).parents[2]
GITHUB = ROOT / ".github/workflows/images.yml"
GITLAB = ROOT / ".gitlab-ci.yml"


def _finds_nothing(*command: str) -> None:
    done = subprocess.run([linter(command[0]), *command[1:]], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def _scripts(path: Path) -> list[str]:
    """All that a CI file runs in a shell, by walking through the whole of it."""
    found = []

    def walk(node, key=""):
        if isinstance(node, dict):
            for name, child in node.items():
                walk(child, name)
        elif isinstance(node, list):
            for child in node:
                walk(child, key)
        elif isinstance(node, str) and key in ("run", "script", "before_script"):
            found.append(node)

    walk(yaml.safe_load(path.read_text()))
    return found


@pytest.mark.parametrize("path", [GITHUB, GITLAB], ids=["github", "gitlab"])
def test_ci_calls_make_targets_that_exist_and_publishes_all_that_is_signed(path):
    text = "\n".join(_scripts(path))
    targets = re.findall(r"^make ([\w-]+)", text, re.MULTILINE)
    makefile = (ROOT / "Makefile").read_text()
    assert targets == ["image", "sif", "image-test"]
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in targets)
    for step in ("cosign sign", "cosign attest --yes --type cyclonedx", "apptainer sign", "digests.txt"):
        assert step in text
    assert {"amd64", "arm64"} <= set(re.findall(r"a[mr][md]64", path.read_text()))


@pytest.mark.parametrize("path", [GITHUB, GITLAB], ids=["github", "gitlab"])
def test_shell_of_ci_passes_shellcheck(path, tmp_path):
    for number, script in enumerate(_scripts(path)):
        # What GitHub puts in before the shell sees it.
        (tmp_path / f"{number}.sh").write_text("#!/bin/bash\n" + re.sub(r"\$\{\{.*?\}\}", "x", script) + "\n")
    # SC2154: variables are those of CI.
    _finds_nothing("shellcheck", "--exclude=SC2154", *map(str, sorted(tmp_path.glob("*.sh"))))
