"""Makes a run folder with job scripts, ready to be submitted here or copied to where its scheduler is."""

from pathlib import Path

from cerebellar_models.deploy.job_plan import JobPlan
from cerebellar_models.deploy.plan import check_complete
from cerebellar_models.deploy.render import render
from cerebellar_models.deploy.run_folder import RunFolder, write_atomically


def prepare(path: Path, configuration: str, about: dict[str, str], plan: JobPlan) -> list[Path]:
    """Writes circuit.yaml, run.json and jobs/ of a new run, or the scripts of one that is there anew.

    :returns: the scripts and the plan they come from.
    :raises UserError: the site wants what is not given, the folder belongs to another configuration, or a value cannot
        stand in a script; then nothing is written.
    """
    check_complete(plan.site, plan.options)
    files = render(plan)
    RunFolder(path).open(configuration, about)
    (path / "jobs" / "state").mkdir(parents=True, exist_ok=True)
    written = []
    for name, text in (files | {"jobs/plan.json": plan.to_json()}).items():
        write_atomically(path / name, text)
        if name.endswith(".sh"):
            (path / name).chmod(0o755)
        written.append(path / name)
    return written
