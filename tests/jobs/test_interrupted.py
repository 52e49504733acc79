"""``jobs submit`` where the stages run here: what signals do to it, and what it prints."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from asking import marker_of, statuses_of
from plans import options, plan, site
from whole import make_circuit

from cerebellar_models.jobs.render import render
from cerebellar_models.runs.run_folder import RunFolder, RunRecord


@pytest.fixture
def local(tmp_path) -> Path:
    """A run on this machine whose compilation takes a while, and some to stop."""
    run = tmp_path / "local"
    (run / "jobs" / "state").mkdir(parents=True)
    of = plan(site(scheduler="local", launcher="none", runtime="none"), options(), nodes=1, ranks=1)
    (run / "jobs" / "plan.json").write_text(of.to_json())
    RunFolder(run).save(RunRecord({}, {}))
    (run / "jobs" / "submit.sh").write_text(render(of)["jobs/submit.sh"])
    (run / "jobs" / "compile.sh").write_text(
        """cd "$(dirname "$0")/.."
trap 'sleep 1; touch stopped; exit 1' INT TERM
echo '{"state": "running", "job": "'$$'", "hosts": "", "started": '$(date +%s)'}' >jobs/state/compile.json
for i in $(seq 300); do sleep 0.1; done
"""
    )
    return run


def ignoring(*signals: int) -> Callable[[], None]:
    """Sets what a process inherits, whatever started the tests: a shell cannot trap what it inherits ignored."""

    def set_dispositions() -> None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN if number in signals else signal.SIG_DFL)

    return set_dispositions


@pytest.mark.parametrize(
    ("sent", "ignored"),
    [
        (signal.SIGINT, ()),  # Ctrl-C
        (signal.SIGTERM, ()),
        (signal.SIGHUP, ()),  # the terminal is closed
        (signal.SIGTERM, (signal.SIGINT, signal.SIGHUP)),  # below nohup, in the background of a script
    ],
)
def test_an_interrupted_run_waits_for_its_script(sent, ignored, local):
    command = [sys.executable, "-m", "cerebellar_models", "jobs", "submit", str(local), "compile"]
    process = subprocess.Popen(
        command, start_new_session=True, stderr=subprocess.PIPE, text=True, preexec_fn=ignoring(*ignored)
    )
    while not marker_of(local, "compile"):
        assert process.poll() is None
        time.sleep(0.1)
    states = {entry.task: entry.state for entry in statuses_of(local)}
    assert (states["compile"], states["report"]) == ("running", "not submitted")
    for number in (*ignored, sent):
        os.killpg(process.pid, number)
    _, said = process.communicate()
    assert (local / "stopped").exists()
    assert process.returncode == 1 and "interrupted; go on with: cerebellar-models jobs resume" in said
    assert {entry.task: entry.state for entry in statuses_of(local)}["compile"] == "lost"


def test_json_is_all_there_is_on_stdout(local, cli):
    make_circuit(local)
    (local / "jobs" / "compile.sh").write_text("exit 0\n")
    done = cli("jobs", "submit", str(local), "compile", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)[1]["state"] == "done"
