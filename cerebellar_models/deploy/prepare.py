"""Makes a run folder with job scripts, ready to be submitted here or copied to where its scheduler is."""

import subprocess
from dataclasses import replace
from pathlib import Path

from cerebellar_models.bundle import bundle_folder
from cerebellar_models.deploy.job_plan import JobPlan
from cerebellar_models.deploy.plan import check_complete
from cerebellar_models.deploy.render import render
from cerebellar_models.deploy.run_folder import RunFolder, write_atomically
from cerebellar_models.errors import UserError

# Of these, an image is a file, unless it is a URI.
_OF_FILES = ("apptainer", "singularity")


def check(path: Path, configuration: str, plan: JobPlan) -> dict[str, str]:
    """The files that `prepare` would write into a run folder, by their path in it; writes nothing.

    :raises UserError: the site wants what is not given, the folder belongs to another configuration or cannot be
        written, the image is not there, or a value cannot stand in a script.
    """
    check_complete(plan.site, plan.options)
    image = located(plan.options.image, plan.site.runtime)
    plan = replace(plan, options=replace(plan.options, image=image))
    files = render(plan) | {"jobs/plan.json": plan.to_json()}
    RunFolder(path).check(configuration)
    return files


def prepare(path: Path, configuration: str, about: dict[str, str], plan: JobPlan) -> list[Path]:
    """Writes circuit.yaml, run.json and jobs/ of a new run, or the scripts of one that is there anew.

    :returns: the scripts and the plan they come from.
    :raises UserError: as `check`; then nothing is written.
    """
    files = check(path, configuration, plan)
    folder = RunFolder(path)
    record = folder.open(configuration, about)
    record.about |= about | _provenance(plan)
    folder.save(record)
    (path / "jobs" / "state").mkdir(parents=True, exist_ok=True)
    written = []
    for name, text in files.items():
        write_atomically(path / name, text)
        if name.endswith(".sh"):
            (path / name).chmod(0o755)
        written.append(path / name)
    return written


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
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    except OSError:
        return ""
