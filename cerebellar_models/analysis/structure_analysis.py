"""BSB hook that reports on a circuit once it is connected. Existing configurations name it by this path."""

from pathlib import Path

from bsb import AfterConnectivityHook, config


@config.node
class RunStructureReport(AfterConnectivityHook, classmap_entry="struct_report"):  # type: ignore[call-arg]
    """Writes the report of the circuit to ``output_filename``, whose suffix gives way to .html and .json."""

    output_filename: str = config.attr(type=str, required=True)

    def postprocess(self) -> None:
        from cerebellar_models.analysis.report import write_report  # needs the extra ``report``

        output = Path(self.output_filename)
        write_report(output.parent, Path(self.scaffold.storage.root), {}, {}, name=output.stem)
