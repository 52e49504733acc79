"""``python -m cerebellar_models``."""

from cerebellar_models.cli import main

main(prog_name="cerebellar-models")
