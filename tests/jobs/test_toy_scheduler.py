"""A new scheduler is one file and one folder of templates: a toy one is put into a copy of the package."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]

MODULE = '''
"""A toy: jobs wait until somebody lets them run."""

from cerebellar_models.jobs.schedulers.common import Answer, SchedulerJob, Surroundings, output

COMMANDS = ("toysub", "toystat", "toydel")
OPTIONS = ("account",)
SURROUNDINGS = Surroundings(("TOY_",), ("TOY_QUEUE",))
JOB_VARIABLES = "TOY_"
SIGNALS_FIRST = False
ENDS_ALL_OF_A_JOB = False
ID_PATTERN = "t[0-9]+"
OVER = ("GONE",)
_PHASES = {"WAITS": "waiting", "RUNS": "running", "GONE": "ended"}


def directives(plan, stage):
    return [("--pays ", "account", plan.options.account)]


def more_directives(plan, stage, given):
    yield from ()


def job_values(plan, stage):
    return {}


def submit_values(plan):
    return {}


def ask(ids, recent):
    rows = [line.split() for line in output(SURROUNDINGS, ["toystat"]).splitlines()]
    jobs = {(job, None): SchedulerJob(_PHASES.get(word, "unknown"), word) for job, name, word in rows}
    return Answer(jobs, forgotten=frozenset(set(ids) - {job for job, _ in jobs}))


def jobs_named(names):
    return {}


def cancel_commands(ids):
    return [["toydel", *ids]]


def key_of(job):
    return job, None


def shown(key):
    return key[0]
'''
JOB = """#!/bin/bash
{% for option, key, value in directives %}
#TOY {{ option }}{{ value | directive(key) }}
{% endfor %}
set -euo pipefail
JOB=$TOY_JOB HOSTS=$(hostname)
{% if stage.name == "simulate" %}
INDEX=${TASK_OFFSET:-0}
{% endif %}
job_lives() { toystat | grep -q "^$1 .*S$"; }
requeue() { :; }
{% include "steps.sh.j2" %}
"""
SUBMIT = """#!/bin/bash
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."
{% include "wanted.sh.j2" %}
listed() { toystat | grep 'S$' | cut -d ' ' -f 1 | grep -Fx "$(printf '%s\\n' "$@")" || true; }
is_over() { ! toystat | grep -q "^$1 .*S$"; }
named() { toystat | grep " $1 .*S$" | cut -d ' ' -f 1 || true; }
drop() { toydel "$@"; }
drop_named() { :; }
send() { toysub "$1" "jobs/$5.sh"; }
{% include "submitting.sh.j2" %}
for wanted in "$@"; do
  case $wanted in
{% for stage in stages %}
    {{ stage.name }}) submit {{ stage.name }} "{{ stage.after | join(' ') }}" 0 ;;
{% endfor %}
  esac
done
complete=yes
"""
# A queue is a folder: a file for each job, with its name and state.
COMMANDS = {
    "toysub": 'cd "$TOY_QUEUE"; id=t$(ls | wc -l); echo "$1 WAITS" >"$id"; echo "$2" >".$id"; echo "$id"',
    "toystat": 'cd "$TOY_QUEUE"; for id in t*; do [ ! -e "$id" ] || echo "$id $(cat "$id")"; done',
    "toydel": 'for id in "$@"; do sed -i "s/ .*/ GONE/" "$TOY_QUEUE/$id"; done',
    "toyrun": 'sed -i "s/ .*/ RUNS/" "$TOY_QUEUE/$1"; TOY_JOB=$1 bash "$(cat "$TOY_QUEUE/.$1")"; '
    'status=$?; sed -i "s/ .*/ GONE/" "$TOY_QUEUE/$1"; exit $status',
}


@pytest.fixture
def toy(tmp_path, nest_installed):
    """``toy(*command)`` where the package has a scheduler more, and its commands are on PATH."""
    copy = tmp_path / "copy"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "cerebellar_models", copy / "cerebellar_models", ignore=ignored)
    shutil.copytree(ROOT / "jobscripts", copy / "jobscripts")
    for name in ("configurations", "morphologies", "containers"):
        (copy / name).symlink_to(ROOT / name)
    (copy / "cerebellar_models/jobs/schedulers/toy.py").write_text(MODULE, encoding="utf-8")
    templates = copy / "jobscripts/templates/toy"
    templates.mkdir()
    (templates / "job.sh.j2").write_text(JOB, encoding="utf-8")
    (templates / "submit.sh.j2").write_text(SUBMIT, encoding="utf-8")
    commands, queue, here = (tmp_path / name for name in ("bin", "queue", "here"))
    for folder in (commands, queue, here):
        folder.mkdir()
    for name, text in COMMANDS.items():
        (commands / name).write_text(f"#!/bin/bash\n{text}\n", encoding="utf-8")
        (commands / name).chmod(0o755)
    site = {"scheduler": "toy", "launcher": "none", "runtime": "none", "options": {"python": sys.executable}}
    site |= {"environment": {"PYTHONPATH": str(copy)}}
    (here / "playground.yaml").write_text(yaml.safe_dump(site), encoding="utf-8")
    environment = os.environ | {
        "PATH": f"{commands}:{os.environ['PATH']}",
        "PYTHONPATH": str(copy),
        "TOY_QUEUE": str(queue),
    }

    def call(*command: str, cwd: Path = here) -> subprocess.CompletedProcess:
        return subprocess.run(
            command, cwd=cwd, env=environment, capture_output=True, encoding="utf-8", check=False
        )

    return call


def test_it_renders_submits_follows_and_cancels(toy, tmp_path):
    def ours(*arguments: str) -> subprocess.CompletedProcess:
        return toy(sys.executable, "-m", "cerebellar_models", *arguments)

    def state() -> str:
        told = ours("jobs", "status", "run", "--json")
        assert told.returncode == 0, told.stderr
        return next(entry["state"] for entry in json.loads(told.stdout) if entry["task"] == "models")

    assert ours("configure", "--preset", "tiny", "--simulation", "basal_activity").returncode == 0
    render = ("jobs", "render", "circuit.yaml", "--site-file", "playground.yaml", "-o", "run")
    refused = ours(*render, "--qos", "high")
    assert (refused.returncode, "qos" in refused.stderr) == (2, True)
    rendered = ours(*render, "--account", "pocket-money")
    assert rendered.returncode == 0, rendered.stderr
    assert "#TOY --pays pocket-money\n" in (tmp_path / "here/run/jobs/models.sh").read_text(encoding="utf-8")

    submitted = ours("jobs", "submit", "run", "models")
    assert submitted.returncode == 0, submitted.stderr
    assert state() == "waiting"
    assert ours("jobs", "submit", "run", "models").returncode == 2
    assert ours("jobs", "cancel", "run").returncode == 0
    assert state() == "cancelled"

    assert ours("jobs", "submit", "run", "models").returncode == 0
    ran = toy("toyrun", "t1", cwd=tmp_path / "here/run")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert state() == "done"
