"""An image is given the run folder whatever its name, or the job says in one line that it cannot be."""

import csv
import hashlib
import io
import itertools
import json
import os
import subprocess
from pathlib import Path

import pytest
from plans import options, plan, site

from cerebellar_models.errors import UserError
from cerebellar_models.jobs.prepare import prepare
from cerebellar_models.jobs.render import check_folder, render

NAMES = [
    "2026-11-26T18:00",
    "a,b",
    "a b",
    "end ",
    "it's",
    'a "b"',
    "a\\b",
    "\\:",
    "$HOME",
    "a\nb",
    "ünï 文",
    "-rf",
    "a=b[0]*#{x}",
    'all:,"\\ $\n',
]
SHORT = {"apptainer": "--bind", "singularity": "--bind", "docker": "--volume", "podman": "--volume"}


def of(runtime: str, image: str = "image.sif", **changes):
    launcher = "srun" if runtime == "container-engine" else "none"
    scheduler = "slurm" if launcher == "srun" else "local"
    at = site(scheduler=scheduler, launcher=launcher, launcher_options=(), runtime=runtime, **changes)
    return plan(at, options(image=image), nodes=1, ranks=1, ranks_per_node=1)


def lay(folder: Path, runtime: str, image: str = "image.sif", **changes) -> Path:
    (folder / "jobs").mkdir(parents=True)
    for path, text in render(of(runtime, image, **changes)).items():
        (folder / path).write_text(text, encoding="utf-8")
    return folder


def prepared(run: Path, show: str = '"${IN[@]}"', **environment: str) -> list[str]:
    """Words that a job script has after its preparation."""
    script = f"""
        STAGE=compile INDEX= NODES=1 RANKS=1 RANKS_PER_NODE=1 THREADS=1 WATCHDOG_S=1 SECONDS=0 JOB=1 HOSTS=n
        . jobs/common.sh
        prepare
        printf '%s\\0' {show}
    """
    done = subprocess.run(
        ["bash", "-c", script], cwd=run, env=os.environ | environment, capture_output=True, check=True
    )
    return os.fsdecode(done.stdout).split("\0")[:-1]


def mounted(words: list[str], option: str) -> list[tuple[str, str]]:
    """Source and destination of each folder, as the engines read them."""
    found = []
    for word, value in itertools.pairwise(words):
        if word == option:
            assert not set(value) & set(',\\" \n')
            source, _, destination = value.partition(":")
            found.append((source, destination or source))
        elif word == "--mount":
            (fields,) = csv.reader(io.StringIO(value, newline=""), strict=True)
            pairs = dict(field.split("=", 1) for field in fields)
            assert pairs["type"] == "bind"
            found.append((pairs["source"], pairs["destination"]))
    return found


@pytest.mark.parametrize("runtime", SHORT)
def test_a_folder_of_any_name_is_shown_to_the_image_at_its_own_place(runtime, tmp_path):
    for number, name in enumerate(NAMES):
        run = lay(tmp_path / str(number) / name, runtime, scratch="$SCRATCH")
        plain = os.fsdecode(run)
        assert (plain, plain) in mounted(prepared(run, SCRATCH="/s"), SHORT[runtime]), name
        check_folder(run, runtime)


@pytest.mark.xdist_group("images")
@pytest.mark.parametrize("runtime", ["docker", "apptainer"])
def test_engines_show_a_folder_whose_name_has_every_sign(runtime, request, tmp_path):
    used = request.getfixturevalue(runtime)
    image, environment = "debian:bookworm-slim", used.environment
    if runtime == "apptainer":
        image = str(tmp_path / "sandbox")
        Path(image).mkdir()
        base = request.getfixturevalue("tools") / "base.tar"
        subprocess.run(["tar", "-xf", base, "-C", image, "--exclude=./dev/*"], check=True)
        beside = f"{Path(used.command[-1]).parent}:{os.environ['PATH']}"
        environment = environment | {"PATH": beside, "APPTAINER_USERNS": "1"}
    run = lay(tmp_path / "at 18:00, 'x' \"y\" \\ $HOME `id` [0]*?#=&;|<>~\tü文\n end ", runtime, image)
    (run / "seen").write_text("seen")
    script = 'test "$PWD" = "$1" && cat seen && echo written >"$1/written"'
    words = prepared(run, **environment)
    done = subprocess.run(
        [*words, "sh", "-c", script, "sh", str(run)],
        cwd=run,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "seen", done.stderr
    assert (run / "written").read_text() == "written\n"


@pytest.mark.parametrize("runtime", ["apptainer", "docker", "podman", "sarus"])
def test_a_scratch_folder_is_shown_too(runtime, tmp_path):
    run = tmp_path / "run"
    (run / "jobs").mkdir(parents=True)
    changed = of(runtime, scratch="$SCRATCH/x")
    files = render(plan(changed.site, options(image="i", stage_on_scratch=True), nodes=1, ranks=1))
    (run / "jobs/common.sh").write_text(files["jobs/common.sh"], encoding="utf-8")
    words = prepared(run, SCRATCH="/s:1" if runtime != "sarus" else "/s")
    if runtime == "sarus":
        assert "--mount=type=bind,source=/s/x,destination=/s/x" in words
    else:
        assert ("/s:1/x", "/s:1/x") in mounted(words, SHORT[runtime])


def test_the_container_engine_mounts_the_scratch_folder_and_knows_its_variable():
    at = site(runtime="container-engine", scratch="$SCRATCH/x", binds=("$PROJECT",))
    text = render(plan(at, options(image="i", stage_on_scratch=True)))["jobs/environment.toml"]
    assert '"${SCRATCH}/x:${SCRATCH}/x"' in text and '"${PROJECT}:${PROJECT}"' in text


@pytest.mark.parametrize(
    ("runtime", "name"),
    [
        ("sarus", "a,b"),
        ("sarus", "a=b"),
        ("sarus", "a b"),
        *(
            ("container-engine", name)
            for name in ("18:00", "a,b", "a b", "$HOME", 'a"b', "it's", "a\\b", "a\nb")
        ),
        *((runtime, os.fsdecode(b"a\xffb")) for runtime in ("apptainer", "docker", "sarus")),
    ],
)
def test_a_folder_that_cannot_be_shown_is_refused_when_rendering_and_when_it_was_copied_there(
    runtime, name, tmp_path
):
    with pytest.raises(UserError, match=f"--output: {runtime} cannot be told of ") as refused:
        prepare(tmp_path / name, "configuration", {}, of(runtime))
    assert "\n" not in str(refused.value) and not (tmp_path / name).exists()

    run = lay(tmp_path / name, runtime)
    engine = tmp_path / "bin" / runtime
    engine.parent.mkdir()
    engine.write_text('#!/bin/sh\necho "$@" >>"$0.asked"\n')
    engine.chmod(0o755)
    given = {"PATH": f"{engine.parent}:{os.environ['PATH']}", "SLURM_JOB_ID": "1"}
    given |= {"SLURM_JOB_NODELIST": "n", "SLURM_SUBMIT_DIR": os.fsdecode(run)}
    done = subprocess.run(["bash", run / "jobs/models.sh"], cwd=run, env=os.environ | given, check=False)
    assert done.returncode == 1
    assert not engine.with_name(f"{runtime}.asked").exists()
    said = (run / "logs/models.log").read_text(errors="surrogateescape")
    assert f"{runtime} cannot be told of a folder whose path" in said
    marker = json.loads((run / "jobs/state/models.json").read_text())
    assert marker["state"] == "failed"
    assert f"{runtime} cannot be told of the path of the run folder" in marker["reason"]


def test_without_an_image_no_name_is_refused(tmp_path):
    check_folder(tmp_path / os.fsdecode(b"a:b\xff"), "none")


DIGEST = '"$CEREBELLAR_MODELS_IMAGE_DIGEST"'


def test_an_image_files_checksum_is_taken_once_until_the_file_is_another(tmp_path):
    run = lay(tmp_path / "run", "apptainer")
    image = run / "image.sif"
    image.write_bytes(b"one")
    counted = tmp_path / "bin/sha256sum"
    counted.parent.mkdir()
    counted.write_text(f'#!/bin/sh\necho read >>{tmp_path}/reads\nexec /usr/bin/sha256sum "$@"\n')
    counted.chmod(0o755)

    def digest() -> str:
        (found,) = prepared(run, DIGEST, PATH=f"{counted.parent}:{os.environ['PATH']}")
        return found

    def reads() -> int:
        return (tmp_path / "reads").read_text().count("read")

    first = f"sha256:{hashlib.sha256(b'one').hexdigest()}"
    assert [digest(), digest(), digest()] == [first] * 3 and reads() == 1
    os.utime(image, ns=(1, 1))
    assert digest() == first and reads() == 2
    image.write_bytes(b"two")
    assert digest() == f"sha256:{hashlib.sha256(b'two').hexdigest()}" and reads() == 3
    assert {path.name for path in (run / "jobs").glob("image-digest*")} == {"image-digest"}


@pytest.mark.parametrize("runtime", ["docker", "podman"])
def test_an_engines_image_is_known_by_its_id_which_reaches_the_task(runtime, tmp_path):
    run = lay(tmp_path / "run", runtime)
    engine = tmp_path / "bin" / runtime
    engine.parent.mkdir()
    engine.write_text(
        '#!/bin/sh\n[ "$1 $2 $3 $4 $5" = "image inspect --format {{.Id}} image.sif" ] && echo sha256:ab12\n'
    )
    engine.chmod(0o755)
    words = prepared(run, f'{DIGEST} "${{IN[@]}}"', PATH=f"{engine.parent}:{os.environ['PATH']}")
    assert words[0] == "sha256:ab12"
    passed = [value for word, value in itertools.pairwise(words) if word == "--env"]
    assert {"CEREBELLAR_MODELS_IMAGE_DIGEST", "CEREBELLAR_MODELS_OTHER_IMAGE"} <= set(passed)
    # Of our own image, `python` is a program and no word for its command line.
    assert "--entrypoint=" in words[: words.index("image.sif")]


@pytest.mark.parametrize(
    ("image", "digest"),
    [
        ("docker://somewhere/x:1", ""),
        ("docker://somewhere/x@sha256:ab12", "sha256:ab12"),
        ("missing.sif", ""),
    ],
)
def test_what_no_file_says_is_left_open(image, digest, tmp_path):
    run = tmp_path / "run"
    (run / "jobs").mkdir(parents=True)
    text = render(plan(of("apptainer").site, options(image=image), nodes=1, ranks=1))["jobs/common.sh"]
    (run / "jobs/common.sh").write_text(text, encoding="utf-8")
    assert prepared(run, DIGEST, CEREBELLAR_MODELS_IMAGE_DIGEST="sha256:stray") == [digest]


def test_without_an_image_there_is_no_digest(tmp_path):
    run = lay(tmp_path / "run", "none")
    shown = '"${CEREBELLAR_MODELS_IMAGE_DIGEST-unset}"'
    assert prepared(run, shown, CEREBELLAR_MODELS_IMAGE_DIGEST="sha256:stray") == ["unset"]
