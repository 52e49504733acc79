"""``cerebellum://`` addresses: resolved anywhere, in the case given, within the bundle only."""

from types import SimpleNamespace

import numpy as np
import pytest
from bsb import Configuration, FileDependency, Scaffold, from_storage
from morphology_bundle import CELLS, path_of

from cerebellar_models.bsb_plugin.storage_scheme import CerebellumScheme, bundled_file


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """No test may depend on the working directory."""
    monkeypatch.chdir(tmp_path)


def test_bsb_reads_the_file_from_any_folder(cell):
    content, encoding = FileDependency(cell["bsb"]["file"]).get_content(check_store=False)
    assert content == path_of(cell).read_bytes()
    # With an encoding, BSB's store would return text, which its SWC parser cannot take.
    assert encoding is None


def test_local_path_and_stream():
    file = FileDependency("cerebellum://GolgiCell.swc")
    with file.provide_locally() as (path, _):
        assert path == str(path_of(CELLS["GolgiCell"]))
    with file.provide_stream() as (stream, _):
        assert stream.read() == path_of(CELLS["GolgiCell"]).read_bytes()


def test_case_of_the_name_is_kept():
    assert bundled_file("cerebellum://GranuleCell.swc").name == "GranuleCell.swc"
    with pytest.raises(FileNotFoundError):
        bundled_file("cerebellum://granulecell.swc")


def test_missing_file_is_one_line_that_names_what_exists():
    with pytest.raises(FileNotFoundError) as error:
        FileDependency("cerebellum://UnipolarBrushCell.swc").get_content(check_store=False)
    message = str(error.value)
    assert "\n" not in message
    assert "UnipolarBrushCell.swc" in message
    for cell in CELLS.values():
        assert cell["file"] in message


@pytest.mark.parametrize(
    "uri",
    [
        "cerebellum://../pyproject.toml",
        "cerebellum://..",
        "cerebellum://",
        "cerebellum:///etc/passwd",
        "cerebellum://folder/GranuleCell.swc",
        "cerebellum://..\\GranuleCell.swc",
        "cerebellum:GranuleCell.swc",
        "file://GranuleCell.swc",
    ],
)
def test_only_names_within_the_bundle(uri):
    with pytest.raises(ValueError, match="write cerebellum://"):
        bundled_file(uri)


def test_escaped_traversal_is_just_a_missing_file():
    with pytest.raises(FileNotFoundError):
        bundled_file("cerebellum://%2e%2e%2fpyproject.toml")


def test_a_stored_copy_is_outdated_only_if_its_content_differs():
    scheme, file = CerebellumScheme(), FileDependency("cerebellum://BasketCell.swc")
    meta = scheme.get_meta(file)
    assert meta == {"sha256": CELLS["BasketCell"]["sha256"]}
    assert not scheme.should_update(file, SimpleNamespace(meta=meta, mtime=0))
    assert scheme.should_update(file, SimpleNamespace(meta={"sha256": "another"}, mtime=1e12))
    assert scheme.should_update(file, SimpleNamespace(meta={}, mtime=1e12))
    gone = FileDependency("cerebellum://Gone.swc")
    assert not scheme.should_update(gone, SimpleNamespace(meta=meta, mtime=0))


def test_circuit_file_holds_the_morphologies_and_moves(tmp_path, monkeypatch):
    """The manifest's entries work as they stand in a configuration; the circuit opens in another folder."""
    configuration = Configuration(
        name="morphologies only",
        storage={"engine": "hdf5", "root": "circuit.hdf5"},
        rng={"seed": 1234},
        network={"x": 10, "y": 10, "z": 10},
        partitions={},
        cell_types={},
        placement={},
        connectivity={},
        morphologies=[cell["bsb"] for cell in CELLS.values()],
    )
    Scaffold(configuration).run_pipelines()
    (tmp_path / "away").mkdir()
    moved = (tmp_path / "circuit.hdf5").rename(tmp_path / "away" / "moved.hdf5")
    monkeypatch.chdir("/")
    circuit = from_storage(str(moved))
    for name, cell in CELLS.items():
        morphology = circuit.morphologies.load(name)
        for label, numbers in cell["morphometrics_um"].items():
            points = sum(np.count_nonzero(branch.get_label_mask([label])) for branch in morphology.branches)
            assert points == numbers["points"]
    assert [node.file.uri for node in circuit.configuration.morphologies] == [
        cell["bsb"]["file"] for cell in CELLS.values()
    ]
