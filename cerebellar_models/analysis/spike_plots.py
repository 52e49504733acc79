"""BSB hook that reports on a simulation when it ends. Existing configurations name it by this path."""

from pathlib import Path
from typing import Any

from bsb import AfterSimulationHook, config


@config.node
class RunSimulationReport(AfterSimulationHook, classmap_entry="sim_report"):  # type: ignore[call-arg]
    """Writes the report of the circuit and this simulation.

    The suffix of ``output_filename`` gives way to .html and .json. Under MPI the first rank writes: by
    then the shares of all ranks are in one result.
    """

    output_filename: str = config.attr(type=str, required=True)

    def postprocess(self, adapter: Any, simulation: Any, result: Any) -> None:
        from cerebellar_models.analysis.report import write_report  # needs the extra ``report``

        if adapter.comm.get_rank() != 0:
            return
        output = Path(self.output_filename)
        # BSB holds a result in memory, or writes it to the file it was given.
        recorded = result.block if result.filename is None else Path(result.filename)
        circuit = Path(simulation.scaffold.storage.root)
        write_report(output.parent, circuit, {simulation.name: recorded}, {}, name=output.stem)
