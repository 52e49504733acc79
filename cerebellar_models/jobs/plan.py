"""From a circuit and a site to a plan: nodes, ranks, memory, walltime and storage of each stage. Pure."""

import functools
from collections.abc import Iterator, Sequence
from dataclasses import replace

from cerebellar_models.circuits.threads import threads_of
from cerebellar_models.costs.estimate import (
    STORAGE_SAFETY,
    Cost,
    CostModel,
    Stage,
    StageCost,
    costs,
    most_ranks,
)
from cerebellar_models.errors import UserError
from cerebellar_models.jobs.layout import UNKNOWN_NODES, Asked, lay_out
from cerebellar_models.jobs.schedulers import scheduler
from cerebellar_models.runs.job_plan import JobPlan, JobStage, Options, Task
from cerebellar_models.sites.profiles import Queue, Site
from cerebellar_models.tree import Tree

# As the cost model counts them.
MEGABYTE = 2**20
# Who asks for more cores than the circuit keeps busy may know why; of so many, it is a slip of the keyboard.
_SLIP = 1024


def plan(
    tree: Tree,
    site: Site,
    options: Options,
    model: CostModel,
    seeds: Sequence[int] = (),
    simulations: Sequence[str] = (),
) -> JobPlan:
    """The stages of a run at a site.

    :param tree: a BSB configuration.
    :param seeds: of NEST, one simulation each; none: the configuration's own.
    :param simulations: of the configuration; none: all.
    :raises UserError: the site cannot be given what is, there is no such simulation, or a stage is larger than what
        the queue takes, or the largest of the queues; names the limit.
    """
    _check_options(site, options)
    tasks = _tasks(tree, seeds, simulations)
    planned: list[JobStage] = []
    notes: dict[str, None] = {}
    for name, after in _stages(bool(tasks)):
        cost = _cost(tree, model, name, tasks)
        stage = _stage(name, after, tree, cost, site, options, tasks)
        _check_slip(stage, tree, options)
        planned.append(stage)
        notes |= dict.fromkeys(cost(stage.ranks, stage.threads).unknown)
        notes |= dict.fromkeys(_notes(stage, site))
    return JobPlan(site, options, str(tree.get("name", "circuit")), tuple(planned), tuple(notes))


def check_complete(site: Site, options: Options) -> None:
    """A plan can do without what is asked for here, a script cannot.

    :raises UserError: the site wants what is not given.
    """
    for key in site.required:
        # A quality of service also comes with the queue it belongs to.
        given = getattr(options, key) or (key == "qos" and options.queue)
        if not given:
            offered = (
                ", ".join(queue.qos or queue.name for queue in site.queues) if key in ("qos", "queue") else ""
            )
            raise UserError(
                f"{key}: {site.name} wants one{f' ({offered})' if offered else ''}: --{key}, "
                f"CEREBELLAR_MODELS_{key.upper()}, or `options: {{{key}: …}}` in a site file of yours"
            )
    if site.runtime != "none" and not options.image:
        raise UserError(
            f"image: {site.name} runs its stages in {site.runtime}: --image, CEREBELLAR_MODELS_IMAGE, or "
            "`options: {image: …}` in a site file of yours (`runtime: none` there runs them without)"
        )


def _check_options(site: Site, options: Options) -> None:
    taken = scheduler(site.scheduler).OPTIONS
    if taken is not None:
        for key in ("qos", "constraint", "reservation", "filesystems"):
            if getattr(options, key) and key not in taken:
                raise UserError(
                    f"{key}: {site.name} runs {site.scheduler.upper()}, which has none; leave it out"
                )
    if site.launcher == "none":
        for key in ("nodes", "ranks"):
            if (getattr(options, key) or 1) > 1:
                raise UserError(
                    f"{key}: {site.name} has no launcher (launcher: none) to start several ranks with"
                )
    if options.walltime_s is not None and 0 < options.walltime_s <= site.signal_before_end_s:
        raise UserError(
            f"walltime: {options.walltime_s} s; {site.name} stops jobs {site.signal_before_end_s} s before their end "
            "(signal_before_end_s), so it has to be longer"
        )
    if options.stage_on_scratch and not site.scratch:
        raise UserError(f"scratch: none is known at {site.name}; `scratch: $FOLDER` in a site file of yours")
    for key in ("nodes", "ranks", "threads", "walltime_s"):
        value = getattr(options, key)
        if value is not None and value < 1:
            raise UserError(f"{key.removesuffix('_s')}: {value} is not at least 1")


def _check_slip(stage: JobStage, tree: Tree, options: Options) -> None:
    """Where nothing is known of a site's nodes, nothing else bounds what is asked for."""
    busy = max(most_ranks(tree, name) for name in ("compile", "simulate"))
    if stage.ranks * stage.threads > max(_SLIP, busy):
        asked = max(("threads", "ranks", "nodes"), key=lambda key: getattr(options, key) or 1)
        raise UserError(
            f"{asked}: {getattr(options, asked) or stage.threads}; this circuit keeps {busy} cores busy, and not "
            f"{stage.ranks * stage.threads}"
        )


def _tasks(tree: Tree, seeds: Sequence[int], simulations: Sequence[str]) -> tuple[Task, ...]:
    offered = tree.get("simulations") or {}
    for name in simulations:
        if name not in offered:
            raise UserError(
                f"simulation: the circuit has no '{name}'; it has: {', '.join(offered) or 'none'}"
            )
    own = (tree.get("rng") or {}).get("seed")
    wanted = [
        (name, None if seed == own else seed) for name in simulations or offered for seed in seeds or (own,)
    ]
    for _, seed in wanted:
        if seed is not None and not 0 < seed < 2**32:
            raise UserError(f"seed: {seed} is not between 1 and {2**32 - 1}")
    return tuple(
        Task(index, name, seed, f"results/{name}" + ("" if seed is None else f"-seed{seed}"))
        for index, (name, seed) in enumerate(dict.fromkeys(wanted))
    )


def _stages(simulating: bool) -> list[tuple[Stage, tuple[str, ...]]]:
    if not simulating:
        return [("compile", ()), ("report", ("compile",))]
    return [
        ("models", ()),
        ("compile", ()),
        ("simulate", ("models", "compile")),
        ("report", ("simulate",)),
    ]


def _cost(tree: Tree, model: CostModel, stage: Stage, tasks: tuple[Task, ...]) -> Cost:
    """What a stage takes: of simulations, the most any of them takes."""
    simulations = dict.fromkeys(task.simulation for task in tasks) if stage == "simulate" else [None]
    each = [costs(tree, model, stage, simulation) for simulation in simulations]

    @functools.cache
    def cost(ranks: int, threads: int) -> StageCost:
        taken = [cost(ranks, threads) for cost in each]
        return replace(
            max(taken, key=lambda cost: cost.memory_mb_per_rank),
            seconds=max(cost.seconds for cost in taken),
            storage_mb=max(cost.storage_mb for cost in taken),
        )

    return cost


def _stage(
    name: Stage,
    after: tuple[str, ...],
    tree: Tree,
    cost: Cost,
    site: Site,
    options: Options,
    tasks: tuple[Task, ...],
) -> JobStage:
    asked, queues = Asked(), _queues(site, options)
    of_stage = tasks if name == "simulate" else (Task(),)
    if name in ("compile", "simulate"):
        asked = Asked(options.nodes, options.ranks, walltime_s=options.walltime_s)
    else:  # one process, for which a queue of large jobs may have no place
        queues = [*queues, *(queue for queue in _by_default(site) if queue not in queues)]
    if name == "simulate":
        asked = replace(asked, threads=options.threads or _threads(tree, tasks))
    most = 1 if site.launcher == "none" else most_ranks(tree, name)
    layout = lay_out(name, cost, most, site, queues, asked, len(of_stage))
    storage_mb = cost(layout.ranks, layout.threads).storage_mb
    return JobStage(
        name=name,
        after=after,
        tasks=of_stage,
        tasks_per_job=layout.tasks_per_job,
        nodes=layout.nodes,
        ranks=layout.ranks,
        ranks_per_node=layout.ranks_per_node,
        threads=layout.threads,
        cores_per_node=layout.cores_per_node,
        memory_mb=layout.memory_mb,
        walltime_s=layout.walltime_s,
        storage_bytes=round(storage_mb * MEGABYTE * STORAGE_SAFETY),
        queue=layout.queue.name,
        partition=layout.queue.partition,
        qos=options.qos or layout.queue.qos,
        directives=layout.queue.directives,
        limited_by=layout.limited_by,
    )


def _threads(tree: Tree, tasks: tuple[Task, ...]) -> int | None:
    """Those of the configuration, if it has several; else None, as many as it takes, of what can use them."""
    simulations = {str(task.simulation): tree["simulations"][task.simulation] for task in tasks}
    threads = threads_of(simulations)
    alone = any(each.get("simulator") != "nest" for each in simulations.values())
    return threads if threads > 1 or alone else None


def _notes(stage: JobStage, site: Site) -> Iterator[str]:
    """What a user should know of a stage's limits."""
    (queue,) = [queue for queue in site.queues if queue.name == stage.queue] or [Queue("")]
    if queue.cores and queue.nodes is None:
        where = f"queue {queue.name} of {site.name}" if queue.name else site.name
        yield (
            f"how many nodes {where} has is not known: plans stop at {UNKNOWN_NODES} (--nodes, or `nodes:` of the "
            "queue in a site file of yours, for more)"
        )


def _queues(site: Site, options: Options) -> list[Queue]:
    """Those the user's choice leaves, the one to be preferred first.

    :raises UserError: the site has none of that name.
    """
    queues = list(site.queues) or [Queue("")]
    if options.queue and not any(queue.name for queue in queues):  # whatever the user says
        return [replace(queues[0], name=options.queue, partition=options.queue)]
    if options.queue and site.scheduler != "local":
        named = [queue for queue in queues if options.queue in (queue.name, queue.partition)]
        # A partition, of which others are parts of their own.
        queues = [queue for queue in named if queue.name == options.queue] or named
        if not queues:
            raise UserError(
                f"queue: {site.name} has no '{options.queue}'; known: "
                f"{', '.join(queue.name for queue in site.queues)}; others: `queues:` in a site file of yours"
            )
        return queues
    if options.qos and (of_it := [queue for queue in queues if queue.qos == options.qos]):
        return of_it
    return _by_default(site)


def _by_default(site: Site) -> list[Queue]:
    return [queue for queue in site.queues if not queue.by_name] or [Queue("")]
