"""What this package adds to ``bsb compile`` and ``bsb simulate``.

BSB loads the modules of entry point group ``bsb.commands`` before it reads any configuration, which makes this
the one place that can prepare the process:

- ``bsb compile`` carries simulations along unread. Reading them would start NEST, look up every model and fail
  where the extension module is not built; the compiled file holds them word for word, for the simulation to read.
- ``bsb simulate`` checks the circuit file and leaves it as it is, builds the NEST module if needed, uses the threads
  the simulation asks for, can record a population of a single cell, and refuses to run on several ranks with a NEST
  that has no MPI (each would simulate the whole network).
- ``bsb compile`` does not even import NEST, which bsb-nest makes every command do and which ends the process where
  an MPI launcher started it and NEST has no MPI.
- SIGUSR2 has every thread print where it is: how a job finds out where its ranks hang.

Variables by which a job or a local run asks for more:

- ``CEREBELLAR_MODELS_SEED``: seed of NEST instead of the configuration's, to simulate one circuit several times.
- ``CEREBELLAR_MODELS_THREADS``: threads of each rank instead of the configuration's.
- ``CEREBELLAR_MODELS_PROGRESS``: a simulation tells the time it has reached.
- ``CEREBELLAR_MODELS_STAGE``: the process is a stage of a run: no pyproject.toml changes BSB's options.
- ``CEREBELLAR_MODELS_FINISHED``: file that is written when the command has reached its end on all ranks.
- ``CEREBELLAR_MODELS_USAGE``: folder in which each process leaves, at its end, the memory it has used at most.
"""

import contextlib
import faulthandler
import functools
import importlib.util
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Container, Iterable, Iterator
from pathlib import Path
from typing import Any

from bsb import (
    Configuration,
    ConfigurationError,
    ParserError,
    TypeHandlingError,
    option,
    parse_configuration_file,
)
from bsb.cli.commands import BaseCommand
from bsb.cli.commands import _commands as commands
from bsb.cli.commands._commands import BsbCompile, BsbReconfigure, BsbSimulate
from bsb.services import MPI

from cerebellar_models import endings
from cerebellar_models.analysis.read import read_configuration
from cerebellar_models.bsb_plugin import mends, nest_mends
from cerebellar_models.bsb_plugin.bsb_mends import circuit_left_unwritten
from cerebellar_models.builders import compile_mode, nest_module
from cerebellar_models.builders.nest_module import nest_installation
from cerebellar_models.connectome.contradictions import check_rules
from cerebellar_models.errors import RunError, UserError
from cerebellar_models.installation import install_hint, packages_hint
from cerebellar_models.runs.launch import progress_environment
from cerebellar_models.runs.usage import leave_usage_at_end

# Options by which a command leaves rules out, or counts on connections of before.
_LEAVING_OUT = ("skip", "only", "append", "redo", "skip_connectivity", "skip_after_connectivity")
# Variables by which NEST takes itself to be started by an MPI launcher.
_LAUNCHER_VARIABLES = ("PMIX_RANK", "PMI_RANK", "OMPI_COMM_WORLD_SIZE")
# By these it tells how many ranks it has started, and which one this is.
_SIZE_VARIABLES = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS")
_RANK_VARIABLES = ("OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK")


def enter_compile_mode(context: Any = None) -> None:
    """From here on this process reads configurations without their simulations, and never loads a simulator.

    :param context: of the command; what it leaves out is looked at when a configuration is checked.
    """
    compile_mode.ACTIVE = True
    if context is not None:
        commands.parse_configuration_file = functools.partial(
            _read_checked, context, parse_configuration_file
        )
    mends.apply("compiling")


def _read_checked(
    context: Any, parse: Callable[..., Configuration], file: Any, **options: Any
) -> Configuration:
    """:raises UserError: on all ranks, before anything is written: BSB or one of our rules refuses the file."""
    refusal, configuration = None, None
    try:
        configuration = parse(file, **options)
        check_rules(configuration, *_what_runs(context, configuration))
    except (ConfigurationError, TypeHandlingError, ParserError) as error:
        # BSB says of a component that fails only that it did.
        why = f" {error.__cause__ or error.__context__ or ''}" if "bootstrap" in str(error) else ""
        refusal = " ".join(f"{error}{why}".split()).replace("{root}.", "")
    except OSError as error:
        refusal = str(error.strerror)
    refusals = [other for other in MPI.allgather(refusal) if other is not None]
    if refusals or configuration is None:
        raise UserError(f"{file}: {refusals[0]}")
    return configuration


def _what_runs(context: Any, configuration: Configuration) -> tuple[Container[str], bool]:
    """Names of the rules that have connections once the command has run, and whether hooks after them run."""
    options = {name: context.options[name].get() for name in _LEAVING_OUT if name in context.options}
    rules = configuration.connectivity.keys()
    if options.get("append") or options.get("redo") or not options:
        return rules, True  # connections of before are there, or nothing runs at all
    skipped, only = (commands._flatten_arr_args(options[name]) for name in ("skip", "only"))
    if options["skip_connectivity"]:
        return (), not options["skip_after_connectivity"]
    runs = {name for name in rules if (only is None or name in only) and name not in (skipped or ())}
    return runs, not options["skip_after_connectivity"]


def _hide_launcher_from_nest() -> int:
    """Starts MPI if there is a launcher, before a NEST without MPI can trip over it; returns the number of ranks.

    Without mpi4py it is the number that the launcher tells.
    """
    if not any(variable in os.environ for variable in _LAUNCHER_VARIABLES):
        return 1
    # bsb-nest asks a NEST in a process of its own about models, and hides the launcher from it, but not SLURM, by which
    # Open MPI would take that process for a rank and end it.
    ranks = _told(_SIZE_VARIABLES, 1)
    with contextlib.suppress(ImportError):
        from mpi4py.MPI import COMM_WORLD

        ranks = COMM_WORLD.Get_size()
    for variable in [variable for variable in os.environ if variable.startswith("SLURM_")]:
        del os.environ[variable]
    with contextlib.suppress(RunError):  # what is no NEST is told where one is needed
        nest = nest_installation()
        if nest is not None and not nest.has_mpi:
            for variable in _LAUNCHER_VARIABLES:
                os.environ.pop(variable, None)
    return ranks


def _told(variables: Iterable[str], otherwise: int) -> int:
    """What a launcher says by the first of the variables that it has set to a number."""
    values = (os.environ.get(name, "") for name in variables)
    return int(next((value for value in values if value.isdecimal()), otherwise))


def _prepare_simulation(context: Any) -> None:
    """:raises UserError, RunError: the simulation cannot run here."""
    rank = _told(_RANK_VARIABLES, 0)
    ranks = _hide_launcher_from_nest()
    simulation = _simulation_to_run(context)
    if simulation is None or simulation["simulator"] != "nest":
        return
    if os.environ.get("CEREBELLAR_MODELS_PROGRESS"):
        os.environ |= progress_environment(simulation["duration"])
    ours = nest_module.MODULE in simulation.get("modules", ())
    if ranks > 1:
        _check_ranks(ranks, rank, ours)
    _check_nest()
    if ours:
        import cerebellar_models.nest_models  # noqa: F401  builds the module and makes it loadable
    nest_mends.threads_asked_for()  # a bad number is told before anything is read
    if seed := os.environ.get("CEREBELLAR_MODELS_SEED"):
        _seed_nest(seed)


def _check_ranks(ranks: int, rank: int, ours: bool) -> None:
    """:raises UserError: each of the ranks would simulate the whole network."""
    nest = nest_installation()
    if importlib.util.find_spec("mpi4py") is None:
        # Others may start many simulations by one launcher, each of which is then alone.
        if ours and rank != 0:
            raise SystemExit(UserError.exit_status)  # the first one says why
        if ours:
            raise UserError(
                f"{ranks} ranks were started, but mpi4py is not installed: {install_hint('parallel')}"
            )
    elif nest is not None and not nest.has_mpi:
        raise UserError(
            f"NEST {nest.version} has no MPI but {ranks} ranks were started; run it on 1 rank with threads, "
            "or install a NEST built with MPI"
        )


def _check_nest() -> None:
    """:raises UserError, RunError: there is no NEST, or what is found as NEST cannot be loaded."""
    nest = nest_installation()
    if nest is None:
        raise UserError(f"NEST is not installed: {install_hint('nest')}")
    try:
        import nest as _  # noqa: F401
    except ImportError as error:
        raise RunError(
            f"{nest.package} is what Python imports as nest, but it cannot be loaded ({error}): "
            f"move it elsewhere, then {packages_hint('nest-simulator')}"
        ) from error


def _simulation_to_run(context: Any) -> dict[str, Any] | None:
    """The simulation named on the command line, as it is stored; None if another configuration may bring it."""
    arguments = context.arguments
    simulations: dict[str, Any] = read_configuration(Path(arguments.network)).get("simulations", {})
    if arguments.simulation not in simulations and not context.options["config"].is_set("cli"):
        raise UserError(
            f"{arguments.network} has no simulation '{arguments.simulation}'; it has: {', '.join(simulations)}"
        )
    return simulations.get(arguments.simulation)


def _seed_nest(seed: str) -> None:
    """:raises UserError: it is no seed that NEST takes."""
    from bsb_nest.adapter import NestAdapter

    if not seed.isdecimal() or not 0 < int(seed) < 2**32:
        raise UserError(f"CEREBELLAR_MODELS_SEED: {seed!r} is not a whole number from 1 to {2**32 - 1}")
    NestAdapter.master_seed = lambda self, simulation: int(seed)


def _end_all_ranks_with_one() -> None:
    """A rank that ends by an error waits in MPI's end for the others, which wait for it: the job would hang."""
    if MPI.get_size() == 1:
        return
    show = sys.excepthook

    def end_all(*error: Any) -> None:
        show(*error)
        sys.stderr.flush()
        MPI.get_communicator().Abort(1)

    sys.excepthook = end_all


@contextlib.contextmanager
def _no_empty_folder_left(name: str | None) -> Iterator[None]:
    """The folder that BSB makes for results goes again where a simulation is refused."""
    made = None if name is None or Path(name).exists() else Path(name)
    try:
        yield
    except (UserError, RunError):
        if made is not None and MPI.get_rank() == 0:
            with contextlib.suppress(OSError):  # something is in it
                made.rmdir()
        raise


def _before(
    command: type[BaseCommand],
    prepare: Callable[[Any], None],
    around: Callable[[], contextlib.AbstractContextManager[None]] = contextlib.nullcontext,
) -> None:
    handler = command.handler

    @functools.wraps(handler)
    def prepared(self: BaseCommand, context: Any) -> Any:
        _end_all_ranks_with_one()
        try:
            prepare(context)
            with around(), _no_empty_folder_left(getattr(context.arguments, "output_folder", None)):
                outcome = handler(self, context)
        except (UserError, RunError) as error:
            if MPI.get_rank() == 0:
                print(f"bsb {command.name}: {error}", file=sys.stderr, flush=True)
            raise SystemExit(error.exit_status) from None
        _say_finished(command.name)
        return outcome

    command.handler = prepared


def _say_finished(command: str) -> None:
    """Tells the job that has started this command that it has reached its end, on all ranks."""
    proof = os.environ.get("CEREBELLAR_MODELS_FINISHED")
    if proof is None:
        return
    MPI.barrier()
    if MPI.get_rank() == 0:
        Path(proof).write_text(f"{command} on {MPI.get_size()} ranks\n", encoding="utf-8")


def _say_why(show: Callable[..., Any], kind: type[BaseException], error: BaseException, trace: Any) -> None:
    """One line instead of a traceback where the surroundings are to blame: no locks, no room, no memory."""
    why = endings.reason_of(error, (Path.cwd(), Path(tempfile.gettempdir())))
    if why is None:
        show(kind, error, trace)
        return
    where = f"{error.filename}: " if isinstance(error, OSError) and error.filename else ""
    print(f"bsb: {where}{why}", file=sys.stderr, flush=True)


sys.excepthook = functools.partial(_say_why, sys.excepthook)

if os.environ.get("CEREBELLAR_MODELS_STAGE"):  # what a stage does is not for the folder it runs in to say
    option._pyproject_path = lambda: None
faulthandler.register(signal.SIGUSR2, all_threads=True)
leave_usage_at_end()
mends.apply("loading")
_before(BsbCompile, enter_compile_mode)
_before(BsbReconfigure, enter_compile_mode)
_before(BsbSimulate, _prepare_simulation, circuit_left_unwritten)
