"""`cerebellar-models jobs calibrate`."""

import json
from dataclasses import asdict
from datetime import date
from pathlib import Path

import click
import yaml

from cerebellar_models.errors import UserError


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--species", help="Whose cost model.  [default: the run's]")
@click.option("--dry-run", is_flag=True, help="Show what would change, and write nothing.")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def calibrate(run: Path, species: str | None, dry_run: bool, as_json: bool) -> None:
    """Bring your cost model in line with what a finished run used.

    RUN: a run folder, of this machine or of a cluster. Your numbers lie in
    ~/.config/cerebellar-models/resources/ and replace those of the species from then on; delete the file to go
    back to them.
    """
    from cerebellar_models.circuits.catalogue import read_yaml
    from cerebellar_models.costs.cost_model import check, load_cost_model, user_file
    from cerebellar_models.files import write_atomically
    from cerebellar_models.jobs import calibrate as calibration
    from cerebellar_models.runs.run_folder import RunFolder
    from cerebellar_models.tree import merged

    uses = calibration.uses_of(run)
    tree = read_yaml(run / "circuit.yaml")
    species = species or RunFolder(run).load().species
    if species is None:
        raise UserError(f"{run}: its run.json does not name the species; give --species")
    found = calibration.calibrate(tree, uses, load_cost_model(species))
    path = user_file(species)
    own = merged(read_yaml(path) if path.exists() else {}, found.changes)
    own["measured"] = {"run": str(run.resolve()), "on": date.today().isoformat()}
    check(own, path, whole=False)
    if not dry_run:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, yaml.safe_dump(own, sort_keys=False))
    if as_json:
        click.echo(json.dumps({"file": None if dry_run else str(path), **asdict(found)}, indent=2))
        return
    for each in found.compared:
        (memory, seconds), (new_memory, new_seconds) = each.before, each.after
        shape = f"{each.use.ranks} x {each.use.threads}"
        click.echo(f"{each.use.task} on {shape} (ranks x threads): used, expected before, expected now")
        _show("memory of a rank", each.use.memory_mb, memory, new_memory, "MB")
        _show("time", each.use.seconds, seconds, new_seconds, "s")
    for line in found.left_out:
        click.echo(f"left out: {line}")
    click.echo("nothing written" if dry_run else f"written: {path}")


def _show(name: str, used: float | None, before: float, after: float, unit: str) -> None:
    told = "not known" if used is None else f"{used:.4g} {unit}"
    click.echo(f"  {name}: {told}, {before:.4g} {unit}, {after:.4g} {unit}")
