"""Makes a run folder with job scripts, ready to be submitted here or copied to where its scheduler is."""

import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

from cerebellar_models.errors import UserError
from cerebellar_models.files import write_atomically
from cerebellar_models.installation import bundle_folder
from cerebellar_models.jobs.plan import check_complete
from cerebellar_models.jobs.render import check_folder, render
from cerebellar_models.runs.job_plan import JobPlan
from cerebellar_models.runs.run_folder import RunFolder
from cerebellar_models.tree import Tree

# Of these, an image is a file, unless it is a URI.
_OF_FILES = ("apptainer", "singularity")


@dataclass(frozen=True)
class Prepared:
    """A run folder as it is going to be; nothing is written yet."""

    folder: RunFolder
    configuration: str
    """text of circuit.yaml"""
    about: dict[str, str]
    choices: Tree | None
    files: dict[str, str]
    """by their path in the folder: the scripts, and the plan they come from"""

    def write(self) -> list[Path]:
        """Writes circuit.yaml, run.json and jobs/ of a new run, or the scripts of one that is there anew.

        :returns: the scripts and their plan.
        :raises UserError: the folder cannot be written.
        """
        record = self.folder.open(self.configuration, self.about)
        record.about |= self.about
        record.choices = self.choices or record.choices
        self.folder.save(record)
        (self.folder.path / "jobs" / "state").mkdir(parents=True, exist_ok=True)
        written = []
        for name, text in self.files.items():
            path = self.folder.path / name
            if not path.exists() or path.read_text(encoding="utf-8") != text:
                write_atomically(path, text)
            if name.endswith(".sh"):
                path.chmod(0o755)
            written.append(path)
        return written


def prepare(
    path: Path, configuration: str, about: dict[str, str], plan: JobPlan, choices: Tree | None = None
) -> Prepared:
    """Renders the scripts of a plan for a run folder, and checks all that can be checked without writing.

    :param about: what the report shows of it.
    :param choices: those the circuit was made of, where they are known.
    :raises UserError: the site wants what is not given, the folder belongs to another configuration, cannot be
        written or cannot be mounted, the image is not there, or a value cannot stand in a script.
    """
    check_complete(plan.site, plan.options)
    check_folder(path, plan.site.runtime)
    image = located(plan.options.image, plan.site.runtime)
    plan = replace(plan, options=replace(plan.options, image=image))
    files = render(plan) | {"jobs/plan.json": plan.to_json()}
    folder = RunFolder(path)
    folder.check(configuration)
    return Prepared(folder, configuration, about | _provenance(plan), choices, files)


def located(image: str | None, runtime: str) -> str | None:
    """The image as a job finds it, which runs in another folder than this process.

    :raises UserError: it is a file in no known place.
    """
    if image is None or runtime not in _OF_FILES or "://" in image or image.startswith(("/", "$")):
        return image
    if image.startswith("~/"):
        return f"$HOME/{image[2:]}"  # of the user on the cluster
    if Path(image).exists():
        return str(Path(image).absolute())
    raise UserError(
        f"image: there is no {image} here, and a job looks for it from its run folder; give its path on the cluster "
        "from / on, such as /project/cerebellar-models.sif"
    )


def _provenance(plan: JobPlan) -> dict[str, str]:
    """What a result also depends on, beside the circuit and the versions."""
    seeds = {str(task.seed) for stage in plan.stages for task in stage.tasks if task.seed is not None}
    known = {
        "site": plan.site.name,
        "image": plan.options.image if plan.site.runtime != "none" else None,
        "other seeds": ", ".join(sorted(seeds, key=int)),
        "commit": _commit(),
    }
    return {key: value for key, value in known.items() if value}


def _commit() -> str:
    """Of the checkout that wrote the scripts; nothing of an installation."""
    checkout = bundle_folder("jobscripts").parent
    if not (checkout / ".git").exists():
        return ""
    command = ["git", "-C", str(checkout), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        return subprocess.run(
            command, capture_output=True, encoding="utf-8", errors="replace", check=False
        ).stdout.strip()
    except OSError:
        return ""
