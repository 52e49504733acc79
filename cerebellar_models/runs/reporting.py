"""The report of a run folder."""

from collections.abc import Iterable
from pathlib import Path

from cerebellar_models.errors import RunError, UserError
from cerebellar_models.installation import install_hint
from cerebellar_models.runs.products import Products, kept_digests, kept_threads, mark_report, standing
from cerebellar_models.runs.run import Run
from cerebellar_models.runs.run_folder import RunFolder, RunRecord


def write_report(folder: RunFolder, record: RunRecord) -> tuple[str, ...]:
    """Writes report.html and report.json, after all that they are made from has been found whole.

    :returns: a line for each thing that is missing in the report.
    :raises UserError: the extra ``report`` is not installed.
    :raises RunError: the circuit or a result is missing, damaged, or of another run.
    """
    try:
        from cerebellar_models.analysis.read import find_recordings
        from cerebellar_models.analysis.read_digests import read_digests
        from cerebellar_models.analysis.report import write_report as write
    except ModuleNotFoundError as error:
        raise UserError(f"report needs {error.name}: {install_hint('report')}") from error
    recordings, unread = find_recordings(folder.results)
    products = Products(folder)
    for product in (products.circuit, *map(products.results, recordings)):
        found = standing(product, thorough=True)
        if not found.whole:
            raise RunError(found.fault or f"{product.path}: is not there; compile first")
    activities: dict[str, Path | list[Path]] = dict(recordings)
    threads = _each_once(str(kept_threads(products.results(name)) or "") for name in recordings)
    about = record.about | ({"threads": threads} if threads else {}) | _of_nodes(folder, record)
    missing = write(
        folder.path,
        folder.circuit,
        activities,
        about,
        species=record.species,
        state=record.state,
        digests=kept_digests(products.circuit) or read_digests(folder.circuit).record(),
        unread=unread,
    ).missing
    mark_report(folder)
    return missing


def _of_nodes(folder: RunFolder, record: RunRecord) -> dict[str, str]:
    """What the nodes that compiled and simulated have told of themselves: names, image, versions, commands.

    Where none has told its versions, they are those of where the run was prepared.
    """
    try:
        run = Run.open(folder.path)
    except UserError:  # of an earlier version, which had no plan
        return record.versions
    told = [
        (task, marker)
        for task in run.tasks
        if task.stage in ("compile", "simulate") and (marker := run.marker(task)) and marker.state == "done"
    ]
    markers = [marker for _, marker in told]
    packages = dict.fromkeys(package for marker in markers for package in marker.versions)
    versions = {
        package: _each_once(marker.versions.get(package, "") for marker in markers) for package in packages
    }
    commands: dict[str, str] = {}
    for task, marker in told:  # of several seeds, the first: the others' differ in nothing else
        work = task.stage if task.simulation is None else f"{task.stage} {task.simulation}"
        commands.setdefault(f"command of {work}", marker.command)
    rows = {
        "nodes": _each_once(marker.hosts for marker in markers),
        "image digest": _each_once(marker.image for marker in markers),
        **(versions or record.versions),
        **commands,
    }
    return {key: value for key, value in rows.items() if value}


def _each_once(values: Iterable[str]) -> str:
    return " and ".join(value for value in dict.fromkeys(values) if value)
