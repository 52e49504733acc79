"""Every script of every SLURM site with published limits, judged by a real SLURM controller that carries them.

Needs Debian's slurm-wlm and munge, and no root. What only a site's own plugins check (accounts, --mem at MareNostrum)
is not judged here; test_render looks for it in the text.
"""

import os
import re
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from plans import options
from support import missing

from cerebellar_models.circuits.resolve import resolve
from cerebellar_models.costs.estimate import load_cost_model
from cerebellar_models.installation import bundle_folder
from cerebellar_models.jobs.plan import plan
from cerebellar_models.jobs.render import render
from cerebellar_models.sites.profiles import Queue, Site, load_site

SCRIPT = Path(__file__).with_name("cluster") / "judge.sh"
# Nodes the controller gets where the most of a job is not published.
ENOUGH = 64
SITES = {
    path.stem: load_site(path.stem) for path in sorted((bundle_folder("jobscripts") / "sites").glob("*.yaml"))
}
LIMITED = [name for name, site in SITES.items() if site.scheduler == "slurm" and site.queues]


def partition(queue: Queue) -> str:
    """A quality of service needs a database of accounts; its limits are a partition's here."""
    return queue.name if queue.qos else queue.partition or queue.name


def limits(site: Site) -> str:
    """The site's queues in the language of slurm.conf."""
    lines = []
    for number, queue in enumerate(site.queues):
        most = f" MaxNodes={queue.nodes}" if queue.nodes else ""
        hours = f"{queue.walltime_s // 3600}:{queue.walltime_s % 3600 // 60:02d}:00"
        nodes = f"q{number}n[0001-{queue.nodes or ENOUGH:04d}]"
        lines += [
            f"NodeName={nodes} State=CLOUD Sockets=1 CoresPerSocket={queue.cores} ThreadsPerCore=1 "
            f"RealMemory={queue.memory_mb}" + (f" Gres=gpu:{queue.gpus}" if queue.gpus else ""),
            f"PartitionName={partition(queue)} Nodes={nodes} MaxTime={hours}{most} State=UP"
            + (" OverSubscribe=EXCLUSIVE" if site.whole_nodes else ""),
        ]
    return "\n".join(lines) + "\n"


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@pytest.fixture(scope="module", params=LIMITED)
def judge(request) -> Iterator[tuple[Site, Callable[..., subprocess.CompletedProcess]]]:
    """A site, and what asks the controller about a script in a run folder."""
    path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    for command in ("slurmctld", "munged", "sbatch"):
        if shutil.which(command, path=path) is None:
            missing(f"{command} is not installed: apt install slurm-wlm munge")
    site = SITES[request.param]
    base = Path(tempfile.mkdtemp(prefix="judge-"))
    environment = os.environ | {"PATH": path, "SLURM_CONF": str(base / "slurm.conf")}

    def ask(script: Path, *arguments: str) -> subprocess.CompletedProcess:
        command = ["sbatch", "--test-only", *arguments, str(script)]
        return subprocess.run(
            command, cwd=script.parent.parent, env=environment, capture_output=True, text=True, check=False
        )

    try:
        start = [str(SCRIPT), "start", str(base), str(free_port())]
        # munged holds on to what it inherits: no pipes.
        with (base / "started").open("w+") as said:
            started = subprocess.run(
                start, input=limits(site), env=environment, stdout=said, stderr=said, text=True, check=False
            )
            said.seek(0)
            assert started.returncode == 0, said.read()
        yield site, ask
    finally:
        subprocess.run([str(SCRIPT), "stop", str(base)], check=False)
        shutil.rmtree(base, ignore_errors=True)


def scripts(site: Site, queue: Queue, folder: Path) -> list[Path]:
    """The stages of the canonical mouse circuit, planned for the queue."""
    tree = resolve("mouse")[1]
    wanted = {"account": "ab12"} if "account" in site.required else {}
    of = plan(tree, site, options(queue=queue.name, **wanted), load_cost_model("mouse"), seeds=(1, 2, 3))
    (folder / "jobs").mkdir(parents=True)
    for path, text in render(of).items():
        (folder / path).write_text(text)
    return [folder / "jobs" / f"{stage.name}.sh" for stage in of.stages]


def test_all_scripts_are_within_the_limits(judge, tmp_path):
    site, ask = judge
    judged = 0
    for queue in site.queues:
        chosen = ("--partition", partition(queue)) if queue.qos else ()
        for script in scripts(site, queue, tmp_path / queue.name):
            said = ask(script, *chosen)
            assert said.returncode == 0, f"{queue.name} {script.name}: {said.stderr}"
            assert "to start at" in said.stderr
            judged += 1
    assert judged == 4 * len(site.queues)


def changed(script: Path, pattern: str, text: str) -> Path:
    """A script in which something is different."""
    other = script.with_name("changed.sh")
    whole, number = re.subn(pattern, text, script.read_text(), count=1)
    assert number == 1
    other.write_text(whole)
    return other


def test_what_is_over_a_limit_is_refused(judge, tmp_path):
    """The judge can say no."""
    site, ask = judge
    queue = site.queues[0]
    chosen = ("--partition", partition(queue)) if queue.qos else ()
    script = scripts(site, queue, tmp_path / "run")[1]
    hours = queue.walltime_s // 3600 + 1
    nodes = (queue.nodes or ENOUGH) + 1
    over = [
        (r"--time=\S+", f"--time={hours}:00:00"),
        (r"--nodes=\d+\n(.*)--ntasks=\d+\n", rf"--nodes={nodes}\n\g<1>--ntasks={nodes}\n"),
        (r"--cpus-per-task=\d+", f"--cpus-per-task={queue.cores + 1}"),
    ]
    if site.memory_allowed:
        over.append((r"--mem=\d+M", f"--mem={queue.memory_mb + 1}M"))
    for pattern, text in over:
        said = ask(changed(script, pattern, text), *chosen)
        assert said.returncode != 0, f"{text}: {said.stderr}"
    assert ask(script, "--partition", "nowhere").returncode != 0
