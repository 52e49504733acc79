"""No value becomes a command: bash reads back what was written, whatever it is."""

import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plans import options, plan, simulations, site
from support import HOSTILE

from cerebellar_models.jobs.render import comment, expand, quote, render

# What a command line can carry: no NUL, and no half of a surrogate pair.
texts = st.text(st.characters(blacklist_characters="\0", blacklist_categories=("Cs",)), max_size=40)


def read_back(script: str, **environment: str) -> str:
    done = subprocess.run(
        ["bash", "-c", script],
        capture_output=True,
        env={"LC_ALL": "C.UTF-8", "PATH": "/bin"} | environment,
        check=True,
    )
    return done.stdout.decode()


@settings(max_examples=150, deadline=None)
@given(texts)
def test_bash_reads_a_quoted_value_back(value):
    assert read_back(f"printf '%s' {quote(value)}") == value


@settings(max_examples=150, deadline=None)
@given(texts, texts, st.sampled_from(["$SCRATCH", "${SCRATCH}"]))
def test_in_a_sites_expression_only_variables_are_special(before, after, variable):
    value = f"{before.replace('$', '')}{variable}/{after.replace('$', '')}"
    secret = "$(echo no) `echo no` \" ' \\"
    assert read_back(f"printf '%s' {expand(value)}", SCRATCH=secret) == value.replace(variable, secret)


@settings(max_examples=100, deadline=None)
@given(texts)
def test_without_a_variable_an_expression_is_a_quoted_value(value):
    plain = value.replace("$", "")
    assert read_back(f"printf '%s' {expand(plain)}") == plain


def test_a_command_in_an_expression_stays_text():
    assert read_back(f"printf '%s' {expand('$HOME/$(id)`id`;id')}", HOME="/h") == "/h/$(id)`id`;id"


@settings(max_examples=100, deadline=None)
@given(texts)
def test_a_comment_is_one_line(value):
    assert len(f"# {comment(value)}".splitlines()) == 1


# A site's file holds lines of text; what a shell makes of a variable is above.
lines = st.text(
    st.characters(blacklist_characters="\0$", blacklist_categories=("Cs", "Cc", "Zl", "Zp")),
    min_size=1,
    max_size=20,
)


@settings(max_examples=25, deadline=None)
@given(value=lines, shape=st.sampled_from(["apptainer", "sarus", "docker", "none"]))
def test_what_a_sites_file_says_reaches_the_commands_word_for_word(value, shape):
    of = plan(
        site(
            runtime=shape,
            runtime_options=(value,),
            launcher_options=(value,),
            modules=(value,),
            module_uses=(value,),
            environment={"NAMED": value},
        ),
        options(image=value, python=value),
        circuit=value,
    )
    stubs = """
        set -- ; STAGE=compile INDEX= NODES=1 RANKS=1 RANKS_PER_NODE=1 THREADS=1 WATCHDOG_S=1 SECONDS=0 JOB=1 HOSTS=n
        module() { printf '%s\\0' "$@"; }
    """
    told = read_back(
        f'{stubs}\n{render(of)["jobs/common.sh"]}\nprepare\nprintf \'%s\\0\' "$NAMED" "$PYTHON" "${{RANKED[@]}}"'
    ).split("\0")
    assert told[:4] == ["use", value, "load", value]
    assert told[4] == value
    assert told[5] == (value if shape == "none" else "python")
    # The launcher's, and where there is one, the image's and its runtime's.
    assert told[6:].count(value) == (1 if shape == "none" else 3)


@pytest.mark.parametrize("shape", ["slurm", "pbs", "local"])
def test_a_hostile_circuit_harms_nothing(shape, tmp_path):
    """A local run of it, in a home that would be gone, with a Python that writes down what it was given."""
    home, run = tmp_path / "home", tmp_path / HOSTILE.replace("/", "-")
    (home / "kept").mkdir(parents=True)
    (run / "jobs").mkdir(parents=True)
    python = tmp_path / "py thon"
    python.write_text('#!/bin/bash\nprintf "%s\\n" "$@" >>"$ASKED"\n')
    python.chmod(0o755)
    of = plan(
        site(scheduler=shape, launcher="none", runtime="none", environment={"NAMED": HOSTILE}),
        options(python=str(python)),
        circuit=f"{HOSTILE}\nrm -rf $HOME",
        tasks=simulations(HOSTILE, "$(touch $HOME/x)"),
        nodes=1,
        ranks=1,
        ranks_per_node=1,
    )
    for path, text in render(of).items():
        (run / path).write_text(text)
    (run / "jobs" / "plan.json").write_text(of.to_json())
    nodes = tmp_path / "nodes"
    nodes.write_text("node1\n")
    environment = {
        "slurm": {"SLURM_JOB_ID": "1", "SLURM_JOB_NODELIST": "node1", "SLURM_SUBMIT_DIR": str(run)},
        "pbs": {"PBS_JOBID": "1", "PBS_NODEFILE": str(nodes), "PBS_O_WORKDIR": str(run)},
        "local": {},
    }[shape]
    for index in ("0", "1"):
        subprocess.run(
            ["bash", str(run / "jobs" / "simulate.sh"), index],
            env=environment
            | {
                "SLURM_ARRAY_JOB_ID": "1",
                "SLURM_ARRAY_TASK_ID": index,
                "PBS_ARRAY_INDEX": index,
                "PATH": "/usr/bin:/bin",
                "HOME": str(home),
                "ASKED": str(tmp_path / "asked"),
            },
            check=True,
        )
    asked = (tmp_path / "asked").read_text()
    assert f"\nsimulate\n{run}/cerebellum.hdf5\n{HOSTILE}\n" in asked
    assert "\n$(touch $HOME/x)\n" in asked
    assert [path.name for path in home.iterdir()] == ["kept"]
