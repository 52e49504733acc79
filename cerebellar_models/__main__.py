"""``python -m cerebellar_models``."""

import faulthandler
import signal

from cerebellar_models import streams
from cerebellar_models.cli import main

streams.prepare()
faulthandler.register(signal.SIGUSR2, all_threads=True)  # how a job finds out where it hangs

main(prog_name="cerebellar-models")
