"""`cerebellar-models jobs sites`."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from cerebellar_models.cli.shared.table import aligned

if TYPE_CHECKING:
    from cerebellar_models.sites.profiles import Queue, Site


@click.command()
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def sites(name: str | None, as_json: bool) -> None:
    """List the sites there are, or show what is known of one, and how well.

    Sites of yours are YAML files in ~/.config/cerebellar-models/sites/ (XDG_CONFIG_HOME); they may extend others.
    """
    from cerebellar_models.sites.profiles import load_site, site_names

    shown = [load_site(each) for each in ([name] if name else site_names())]
    if as_json:
        content = [asdict(site) | {"verified": site.verified} for site in shown]
        click.echo(json.dumps(content[0] if name else content, indent=2))
    elif name:
        click.echo(_one(shown[0]))
    else:
        rows = [("site", "scheduler", "launcher", "runtime", "queues", "wants", "verified", "")]
        click.echo(aligned(rows + [_row(site) for site in shown]))


def _row(site: "Site") -> tuple[str, ...]:
    return (
        site.name,
        site.scheduler,
        site.launcher,
        site.runtime,
        str(len([queue for queue in site.queues if queue.name]) or ""),
        ", ".join(site.required),
        f"{sum(entry.verified for entry in site.evidence)} of {len(site.evidence)} facts",
        site.title,
    )


def _one(site: "Site") -> str:
    queues: list[tuple[str, ...]] = [("queue", "longest", "nodes", "cores", "memory", "GPUs", "")]
    queues += [_queue(queue) for queue in site.queues]
    facts = [("fact", "value", "verified", "checked", "source")]
    facts += [
        (entry.fact, _value(site, entry.fact), "yes" if entry.verified else "no", entry.checked, entry.source)
        for entry in site.evidence
    ]
    parts = [f"{site.name}: {site.title}", aligned(queues) if site.queues else "", aligned(facts)]
    parts += [f"note: {note}" for note in site.notes]
    return "\n\n".join(filter(None, parts))


def _queue(queue: "Queue") -> tuple[str, ...]:
    most = str(queue.nodes or "?")
    return (
        queue.name or "(the scheduler's own choice)",
        "?" if queue.walltime_s is None else f"{queue.walltime_s / 3600:g} h",
        f"{queue.least_nodes}-{most}" if queue.least_nodes > 1 else most,
        str(queue.cores or "?"),
        "?" if queue.memory_mb is None else f"{queue.memory_mb} MB",
        str(queue.gpus or ""),
        "only if asked for" if queue.by_name else "",
    )


def _value(site: "Site", fact: str) -> str:
    value: Any = getattr(site, fact.partition(".")[0], None)
    if fact.partition(".")[0] in ("queues", "node") or value is None:
        return "see above"
    return " ".join(_words(value)) or "none"


def _words(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from (f"{key}={text}" for key, text in value.items())
    elif isinstance(value, tuple):
        yield from value
    else:
        yield {True: "yes", False: "no"}.get(value, str(value)) if isinstance(value, bool) else str(value)
