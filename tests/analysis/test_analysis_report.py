import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from analysis_samples import TREE, circuit, recorded_block, recording, write_circuit, write_recording
from whole import mark

from cerebellar_models.analysis import figures, report
from cerebellar_models.analysis.data import Activity, Recording
from cerebellar_models.analysis.report import write_report
from cerebellar_models.analysis.words import number, percent, plain
from cerebellar_models.errors import RunError, UserError
from cerebellar_models.runs.products import Products
from cerebellar_models.runs.run_folder import RunFolder

ABOUT = {"seed": "1234", "note": "<b>1 & 2</b>"}
OF = {"species": "mouse", "state": "in_vitro"}
MOST_BYTES = 8_000_000


class Page(HTMLParser):
    """Addresses a page refers to, its visible text, and its tables as rows of cell texts."""

    def __init__(self, text: str):
        super().__init__()
        self.addresses, self.rows, self.scripts, self.words = [], [], 0, []
        self._hidden = False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.addresses += [value for key, value in attrs if key in ("src", "href", "action", "data")]
        self.scripts += tag == "script"
        self._hidden = tag in ("script", "style")
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th") and self.rows:
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        self._hidden = False

    def handle_data(self, data):
        if not self._hidden:
            self.words.append(data)
            if self.rows and self.rows[-1]:
                self.rows[-1][-1] += data

    def row(self, first: str) -> list[str]:
        return [cell.strip() for cell in next(row for row in self.rows if row and row[0].strip() == first)]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    tmp_path = tmp_path_factory.mktemp("written")
    recorded = recording({0: [5.0, 15.0, 35.0], 1: [], 4: [10.0]})
    write_recording(tmp_path / "r.nio", [[recorded, recording({0: [], 1: [2.0]}, "purkinje_cell")]])
    write_circuit(tmp_path / "c.hdf5")
    recordings = {"basal_activity": tmp_path / "r.nio"}
    return write_report(tmp_path / "out", tmp_path / "c.hdf5", recordings, ABOUT, **OF)


def test_the_page_is_self_contained(written):
    text = written.html.read_text()
    page = Page(text)
    assert page.addresses == []
    assert "@import" not in text.split("<style>")[1].split("</style>")[0]
    assert text.count("plotly.js v") == 1
    assert written.html.stat().st_size < MOST_BYTES
    assert 'showSendToCloud": false' in text


def test_the_page_shows_the_numbers_of_the_json(written):
    page, data = Page(written.html.read_text()), json.loads(written.json.read_text())
    for cell in data["structure"]["cells"]:
        shown = page.row(cell["cell_type"].replace("_", " "))
        assert shown[1:4] == [number(cell["count"]), number(cell["target"]), percent(cell["deviation"])]
    for item in data["structure"]["projections"]:
        shown = page.row(item["name"].replace("_", " "))
        assert shown[2:5] == [
            number(item[key]) for key in ("contacts", "connections", "contacts_per_connection")
        ]
        assert shown[5].startswith(number(item["convergence"]["mean"]))
    (simulation,) = data["simulations"]
    rates = [row for row in page.rows if len(row) == 11]
    for row, population in zip(rates, simulation["populations"], strict=True):
        cells = [cell.strip() for cell in row]
        assert cells[1:3] == [str(population["recorded_cells"]), str(population["silent_cells"])]
        for cell, key in ((cells[3], "rate_all_hz"), (cells[4], "rate_firing_hz")):
            assert cell == f"{number(population[key]['mean'])} ± {number(population[key]['sd'])}"
        assert cells[5] == number(population["mean_isi_ms"])
    assert [population["comparison"]["within_tolerance"] for population in simulation["populations"]] == [
        False,
        False,
    ]


def test_the_page_tells_what_the_simulation_leaves_out(written):
    words = " ".join(Page(written.html.read_text()).words)
    assert "electrical coupling is off" in words
    assert "5 contacts are 4 connections" in words
    assert json.loads(written.json.read_text())["about"] == ABOUT


def test_the_digests_stand_at_the_end(tmp_path):
    digests = {"format": 1, "circuit": "0a1b", "simulations": {"basal_activity": "2c3d"}}
    files = write_report(tmp_path, write_circuit(tmp_path / "c.hdf5"), {}, {}, digests=digests)
    assert json.loads(files.json.read_text())["digests"] == digests
    rows = [[cell.strip() for cell in row] for row in Page(files.html.read_text()).rows]
    assert [row for row in rows if len(row) == 2] == [
        ["circuit", "0a1b"],
        ["basal activity", "2c3d"],
    ]


def test_what_the_caller_tells_is_text_not_markup(written):
    assert "<b>1 &" not in written.html.read_text()
    assert ABOUT["note"] in Page(written.html.read_text()).words


def test_a_circuit_alone_is_told_what_its_simulations_would_leave_out(tmp_path):
    files = write_report(tmp_path, write_circuit(tmp_path / "c.hdf5"), {}, {}, name="structure")
    assert files.html == tmp_path / "structure.html"
    data = json.loads(files.json.read_text())
    assert data["simulations"] == []
    assert list(data["omitted"]) == ["basal_activity"]


def test_a_report_that_fails_leaves_nothing_and_keeps_the_last_one(tmp_path, monkeypatch):
    folder, compiled = tmp_path / "out", write_circuit(tmp_path / "c.hdf5")
    monkeypatch.setattr(report, "render_page", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write_report(folder, compiled, {}, {})
    assert not folder.exists()
    monkeypatch.undo()
    write_report(folder, compiled, {}, {"seed": "1"})
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    full = OSError(28, "No space left on device")

    def fill_the_disk(path, text, **_):
        path.write_bytes(text[:100].encode())
        if path.name.startswith(".report.html"):
            raise full

    monkeypatch.setattr(Path, "write_text", fill_the_disk)
    with pytest.raises(RunError, match="No space left"):
        write_report(folder, compiled, {}, {"seed": "2"})
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_bad_input_writes_nothing(tmp_path):
    with pytest.raises(UserError):
        write_report(tmp_path / "out", write_circuit(tmp_path / "c.hdf5"), {"a": tmp_path / "absent.nio"}, {})
    assert not (tmp_path / "out").exists()


def test_other_models_than_the_published_are_compared_without_a_verdict(tmp_path):
    compiled = write_circuit(tmp_path / "c.hdf5")
    models = {"granule_cell": {"model": "eglif_multirec"}, "fibre": {"model": "parrot_neuron"}}
    path = write_recording(tmp_path / "r.nio", [[recording({0: [5.0], 1: []})]], cell_models=models)
    files = write_report(tmp_path, compiled, {"basal": path}, ABOUT, **OF)
    page, data = (
        Page(files.html.read_text(encoding="utf-8")),
        json.loads(files.json.read_text(encoding="utf-8")),
    )
    comparison = data["simulations"][0]["populations"][0]["comparison"]
    assert comparison["rate_deviation"] == pytest.approx(1 / 3.4 - 1)
    assert comparison["within_tolerance"] is None
    assert comparison["other_conditions"] == ["neuron model eglif_multirec"]
    assert data["published_conditions"]["neuron_model"] == "eglif_cond_alpha_multisyn"
    assert (
        "Published for neuron model eglif_cond_alpha_multisyn, simulated with eglif_multirec."
        in data["conditions"]["basal"]
    )
    assert next(row for row in page.rows if len(row) == 11)[-1].startswith(
        "\u221270.6\u202f% other conditions"
    )
    words = " ".join(" ".join(page.words).split())
    assert "Compared under other conditions: neuron model eglif_multirec." in words
    assert "hold for: eglif_cond_alpha_multisyn, static_synapse, 5 000 ms" in words


ALL_GRANULE = {"granule_record": {"targetting": {"strategy": "cell_model", "cell_models": ["granule_cell"]}}}


@pytest.mark.parametrize(
    ("trains", "compilation", "devices", "told"),
    [
        ({0: [5.0], 5: []}, "one", {}, "recorded cell 5 of granule_cell, of which this circuit has 5"),
        ({0: [5.0], 4: []}, "two", {}, "recorded in another compilation of a circuit"),
        ({0: [5.0], 4: []}, None, ALL_GRANULE, "recorded 2 of the 5 cells of granule_cell"),
    ],
    ids=["larger", "compiled again", "smaller, or a share is missing"],
)
def test_results_of_another_circuit_are_refused(tmp_path, trains, compilation, devices, told):
    compiled = write_circuit(tmp_path / "c.hdf5", compilation="one")
    recorded = replace(recording(trains), recorder="granule_record")
    path = write_recording(tmp_path / "r.nio", [[recorded]], compilation=compilation, devices=devices)
    with pytest.raises(UserError) as error:
        write_report(tmp_path / "out", compiled, {"basal": path}, {})
    message = str(error.value)
    assert message.startswith(f"{path}: not of {compiled}: ")
    assert told in message
    assert message.endswith("; move it elsewhere and run again")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("compilation", "devices"),
    [("one", ALL_GRANULE), (None, {}), ("one", {"granule_record": {"targetting": {"strategy": "sphere"}}})],
)
def test_results_of_this_circuit_are_taken(tmp_path, compilation, devices):
    trains = {0: [5.0], 1: [], 2: [], 3: [], 4: []} if devices is ALL_GRANULE else {0: [5.0], 4: []}
    compiled = write_circuit(tmp_path / "c.hdf5", compilation="one")
    recorded = replace(recording(trains), recorder="granule_record")
    path = write_recording(tmp_path / "r.nio", [[recorded]], compilation=compilation, devices=devices)
    assert write_report(tmp_path / "out", compiled, {"basal": path}, {}).html.exists()


def test_a_recording_that_cannot_be_read_says_what_to_do(tmp_path):
    compiled, path = write_circuit(tmp_path / "c.hdf5"), tmp_path / "r.nio"
    path.write_bytes(write_recording(path, [[recording({0: [1.0]})]]).read_bytes()[:2000])
    with pytest.raises(RunError, match=r"r\.nio: .* cut short.*; move it elsewhere and run again$"):
        write_report(tmp_path, compiled, {"basal": path}, {})


def test_what_is_missing_is_told_on_the_page_and_returned(tmp_path):
    compiled = write_circuit(tmp_path / "c.hdf5")
    lines = ("results/README: is no folder of recordings; move it elsewhere",)
    files = write_report(tmp_path, compiled, {}, {}, unread=lines)
    assert files.missing == (*lines, "basal_activity: has no results; run again to simulate it")
    words = " ".join(Page(files.html.read_text(encoding="utf-8")).words)
    assert all(line in words for line in files.missing)
    content = json.loads(files.json.read_text(encoding="utf-8"))
    assert (content["format"], content["missing"]) == (1, list(files.missing))
    path = write_recording(tmp_path / "r.nio", [[recording({0: [1.0]})]])
    assert write_report(tmp_path, compiled, {"seed 2": path}, {}, unread=()).missing == ()


def test_the_command_is_not_blocked_by_what_else_lies_among_the_results(tmp_path, cli):
    folder = RunFolder(tmp_path / "run")
    folder.open("name: x\n", {})
    write_circuit(folder.circuit)
    mark(Products(folder).circuit)
    (folder.results / "basal_activity").mkdir(parents=True)
    (folder.results / "README").write_text("", encoding="utf-8")
    done = cli("report", str(folder.path))
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines() == [
        f"missing in the report: {folder.results}/README: is no folder of recordings; move it elsewhere",
        f"missing in the report: {folder.results}/basal_activity: holds no recording (.nio); move it elsewhere and "
        "run again",
        "missing in the report: basal_activity: has no results; run again to simulate it",
    ]
    assert folder.report.exists()


def _busy(cells: int, spikes_per_cell: int) -> Recording:
    times = np.random.default_rng(2).uniform(0, 5000, cells * spikes_per_cell)
    fired = np.repeat(np.arange(cells), spikes_per_cell)
    return Recording("busy_record", "granule_cell", np.arange(cells), times, fired)


@pytest.mark.parametrize(("cells", "spikes"), [(30_000, 17), (70, 450), (1, 50_000)])
def test_a_raster_is_bounded(cells, spikes):
    busy = _busy(cells, spikes)
    shown = figures.sampled_cells(busy)
    assert 1 <= len(shown) <= figures.MOST_ROWS
    activity = Activity("basal_activity", 5000.0, {}, (busy,) * 7)
    assert len(figures.raster(activity).to_json()) < 7 * 20 * figures.MOST_MARKS


def test_a_raster_marks_each_spike_once():
    trains = {0: [5.0, 15.0], 1: [], 2: [7.5]}
    figure = figures.raster(Activity("a", 20.0, {}, (recording(trains),)))
    (shape,) = figure.layout.shapes
    assert sorted(float(time) for time in re.findall(r"M([\d.]+),", shape.path)) == [5.0, 7.5, 15.0]


def test_stimuli_are_shaded():
    tree = {"devices": {"burst": {"start": 5.0, "stop": 9.0}, "background": {"rate": 4}}}
    figure = figures.raster(Activity("a", 20.0, tree, (recording({0: []}),)))
    assert [(shape.x0, shape.x1) for shape in figure.layout.shapes] == [(5.0, 9.0)]


def test_somata_are_sampled():
    figure = figures.soma_positions(circuit())
    assert len(figure.data) == 2 * len(TREE["cell_types"])
    assert all(len(trace.x) <= figures.MOST_SOMATA for trace in figure.data)


@pytest.mark.parametrize(
    ("value", "digits", "shown"),
    [
        (None, 3, "\N{EN DASH}"),
        (float("nan"), 3, "\N{EN DASH}"),
        (float("inf"), 3, "inf"),
        (0, 3, "0"),
        (30420, 3, "30\u202f420"),
        (np.int64(30420), 3, "30\u202f420"),
        (0.0, 3, "0.00"),
        (-0.0, 3, "0.00"),
        (1.0, 3, "1.00"),
        (9.996, 3, "10.0"),
        (99.51, 3, "99.5"),
        (99.94, 3, "99.9"),
        (99.96, 3, "100"),
        (-99.96, 3, "\u2212100"),
        (159.4, 3, "159"),
        (999.6, 3, "1\u202f000"),
        (1e6, 3, "1\u202f000\u202f000"),
        (3.9e6, 3, "3\u202f900\u202f000"),
        (0.213, 3, "0.213"),
        (0.0005, 3, "0.000500"),
        (0.00009996, 3, "0.000100"),
        (5e-7, 3, "5.0e\u221207"),
        (9.96, 2, "10"),
        (0.996, 2, "1.0"),
        (1234.56, 5, "1\u202f234.6"),
        (99999.6, 5, "100\u202f000"),
    ],
)
def test_numbers_of_a_table(value, digits, shown):
    assert number(value, digits) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "\N{EN DASH}"),
        (float("nan"), "\N{EN DASH}"),
        (0.1234, "+12.3\u202f%"),
        (-0.2, "\u221220.0\u202f%"),
        (-1e-9, "+0.0\u202f%"),
        (-0.1, "\u221210.0\u202f%"),
        (1e4, "+1\u202f000\u202f000.0\u202f%"),
    ],
)
def test_percentages_have_a_sign(value, shown):
    assert percent(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [(5000.0, "5\u202f000"), (1e7, "10\u202f000\u202f000"), (0.21, "0.21"), (-0.1, "\u22120.1"), (0, "0")],
)
def test_what_was_set_is_shown_as_it_was_written(value, shown):
    assert plain(value) == shown


@pytest.mark.parametrize("in_memory", [True, False], ids=["in memory", "in a file"])
def test_the_hook_of_a_simulation_writes_one_report(tmp_path, in_memory):
    from bsb import AfterSimulationHook

    from cerebellar_models.analysis.spike_plots import RunSimulationReport

    assert issubclass(RunSimulationReport, AfterSimulationHook)
    scaffold = SimpleNamespace(storage=SimpleNamespace(root=str(write_circuit(tmp_path / "c.hdf5"))))
    hook = RunSimulationReport(output_filename=str(tmp_path / "basal.pdf"))
    simulation = SimpleNamespace(name="basal_activity", scaffold=scaffold)
    shares = [[recording({0: [3.0]})]]
    result = SimpleNamespace(filename=None, block=recorded_block(shares))
    if not in_memory:
        result = SimpleNamespace(filename=str(write_recording(tmp_path / "r.nio", shares)))
    for rank, exists in ((1, False), (0, True)):
        comm = SimpleNamespace(get_rank=lambda rank=rank: rank)
        hook.postprocess(SimpleNamespace(comm=comm), simulation, result)
        assert (tmp_path / "basal.html").exists() is exists
