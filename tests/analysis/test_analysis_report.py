import json
import re
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from analysis_samples import TREE, circuit, recording, write_circuit, write_recording

from cerebellar_models.analysis import figures, report
from cerebellar_models.analysis.data import Activity, Recording
from cerebellar_models.analysis.report import number, percent, write_report
from cerebellar_models.errors import RunError, UserError

ABOUT = {"species": "mouse", "state": "in_vitro", "seed": "1234", "note": "<b>1 & 2</b>"}
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
    return write_report(tmp_path / "out", tmp_path / "c.hdf5", {"basal_activity": tmp_path / "r.nio"}, ABOUT)


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
    ("value", "shown"),
    [
        (None, "\N{EN DASH}"),
        (0, "0"),
        (30420, "30\u202f420"),
        (0.0, "0.00"),
        (1.0, "1.00"),
        (99.51, "99.5"),
        (159.4, "159"),
        (3.9e6, "3\u202f900\u202f000"),
        (0.213, "0.213"),
        (5e-7, "5.0e-07"),
    ],
)
def test_numbers_of_a_table(value, shown):
    assert number(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [(None, "\N{EN DASH}"), (0.1234, "+12.3\u202f%"), (-0.2, "\u221220.0\u202f%"), (-1e-9, "+0.0\u202f%")],
)
def test_percentages_have_a_sign(value, shown):
    assert percent(value) == shown


def test_the_hook_of_a_simulation_writes_one_report(tmp_path):
    from bsb import AfterSimulationHook

    from cerebellar_models.analysis.spike_plots import RunSimulationReport

    assert issubclass(RunSimulationReport, AfterSimulationHook)
    scaffold = SimpleNamespace(storage=SimpleNamespace(root=str(write_circuit(tmp_path / "c.hdf5"))))
    hook = RunSimulationReport(output_filename=str(tmp_path / "basal.pdf"))
    simulation = SimpleNamespace(name="basal_activity", scaffold=scaffold)
    result = SimpleNamespace(write=lambda path: write_recording(Path(path), [[recording({0: [3.0]})]]))
    for rank, exists in ((1, False), (0, True)):
        comm = SimpleNamespace(get_rank=lambda rank=rank: rank)
        hook.postprocess(SimpleNamespace(comm=comm), simulation, result)
        assert (tmp_path / "basal.html").exists() is exists
