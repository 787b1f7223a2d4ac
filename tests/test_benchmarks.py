"""The benchmarks run, and their README and figures agree with the committed results."""

import fcntl
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.bench

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))  # the benchmarks import each other, also in the processes that they start

import alternatives  # noqa: E402
import bench_end_to_end  # noqa: E402
import bench_growth  # noqa: E402
import bench_ladder  # noqa: E402
import bench_latency  # noqa: E402
import bench_limit  # noqa: E402
import bench_shared  # noqa: E402
import bench_start  # noqa: E402
import bench_testing  # noqa: E402
import bench_throughput  # noqa: E402
import fast_server  # noqa: E402
import harness  # noqa: E402
import run  # noqa: E402
import summary  # noqa: E402

RESULTS = json.loads((BENCHMARKS / "results.json").read_text("utf-8"))
README = (BENCHMARKS / "README.md").read_text("utf-8")
COMMITTED = {name: entry["results"] for name, entry in RESULTS["measurements"].items()}


# The committed results


def test_every_measurement_has_results():
    assert set(COMMITTED) == {name for name in run.MEASUREMENTS if run.script(name).exists()}


@pytest.mark.parametrize("name", ["summary", "machine", *COMMITTED])
def test_the_readme_contains_the_printed_tables(name):
    (table,) = run.section_pattern(name).findall(README)
    assert table.strip() == run.readme_sections(RESULTS)[name]


def test_the_readme_of_the_package_contains_the_table_of_alternatives():
    (table,) = run.section_pattern("alternatives").findall(run.PACKAGE_README.read_text("utf-8"))
    assert table.strip() == run.alternatives_table(RESULTS)


def test_the_source_of_the_measured_sdk_was_read():
    assert RESULTS["versions"]["pyannoteai-sdk"] == alternatives.SDK_READ


def test_the_readme_shows_exactly_the_drawn_figures(tmp_path):
    drawn = {figure for name, results in COMMITTED.items() for figure in run.module(name).draw(results, tmp_path)}
    assert {path.name for path in tmp_path.iterdir()} == drawn
    assert {path.name for path in run.FIGURES.iterdir()} == drawn
    assert set(re.findall(r"\(figures/([^)]+)\)", README)) == drawn


def test_the_summary_has_a_row_for_each_measurement_that_has_results(capsys):
    summary.show({"limit": RESULTS["measurements"]["limit"]})
    _, _, row = capsys.readouterr().out.split("\n", 2)
    assert row.startswith("| requests wasted on 429s, for 1,000 submissions at a latency of 5 to 50 ms | 0 ")


# Each measurement, in its shortest form


@pytest.mark.parametrize("tls", [False, True])
def test_throughput(monkeypatch, tls):
    """It runs in a fresh process, because this one has its TLS settings already. Two contestants are not installed."""
    names = [name for name in bench_throughput.CONTESTANTS if name not in {"aiohttp, aiolimiter, tenacity", "httpx"}]
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"):
        monkeypatch.setenv(name, "")
    with bench_throughput.server(tls=tls) as base_url:
        found = harness.in_fresh_process(bench_throughput.cell, base_url, "asyncio", 64, 0.001, names)
    assert {"this client", "official SDK, 64 threads"} < set(found["per_second"])
    assert all(one["low"] > 0 for figure in found.values() for one in figure.values())


@pytest.mark.parametrize("start", bench_latency.STARTS)
def test_each_slice_has_its_submissions_in_flight(start):
    """In the time of the latency, 16 submissions begin."""
    starts = [bench_latency.start_of(number, start) for number in range(160)]
    assert starts == sorted(starts)
    latest = starts[-1]
    assert len([begun for begun in starts if begun > latest - bench_latency.LATENCY]) == pytest.approx(16, abs=1)


def test_latency():
    """The server responds after the latency, and the reference adds nothing to itself."""
    with fast_server.running(latency=bench_latency.LATENCY) as port:
        found = harness.in_fresh_process(bench_latency.run, f"http://127.0.0.1:{port}", 1, 32)
    for measured in found.values():
        assert list(measured) == list(bench_latency.CONTESTANTS)
        assert all(one["50"]["ms"]["median"] >= bench_latency.LATENCY * 1000 for one in measured.values())
        assert measured[bench_latency.BARE]["99"]["added"]["median"] == 0.0


def test_ladder():
    with fast_server.running() as port:
        found = harness.in_fresh_process(bench_ladder.sample, port, 1.0)
    assert found["submissions"] > 0
    assert found["samples"] > 0
    # On a busy machine, a second has few samples, which need not contain every module.
    assert bench_ladder.MODULES.keys() & found["microseconds"].keys()
    assert sum(found["microseconds"].values()) == pytest.approx(found["cpu_us"])


def test_the_ladder_describes_every_module_of_the_results():
    machine_table = {*bench_ladder.MODULES, *bench_ladder.OTHER_CODE}
    assert set(COMMITTED["ladder"]["microseconds"]) <= machine_table


def test_the_ladder_describes_existing_modules():
    assert [name for name in bench_ladder.MODULES if not (bench_ladder.PACKAGE / name).exists()] == []


@pytest.mark.parametrize(("window", "contestant"), [("sliding", "this client"), ("fixed", "this client, again")])
def test_limit(window, contestant):
    found = bench_limit.run(window, (0.0, 0.01), contestant, items=50)
    assert (found["requests"], found["refused"]) == (50, 0)
    assert found["share"] == pytest.approx(found["rate"] / (100 / 2.005))


@pytest.mark.parametrize("light", [False, True])
def test_a_limit_that_programs_split(light, monkeypatch):
    """Each program uses its share once, and nothing is refused."""
    monkeypatch.setattr(bench_limit, "PROGRAMS", 2)
    found = bench_limit.split("sliding", light=light, bursts=1)
    assert (found["refused"], found["light_seconds"] is None) == (0, not light)


def test_a_perfect_client_uses_the_whole_limit_if_latencies_are_equal():
    assert bench_limit.perfect((0.0, 0.0), seed=0) == pytest.approx(1.0)
    assert bench_limit.perfect((0.1, 0.1), seed=0) == pytest.approx(1.0)
    assert 0.9 < bench_limit.perfect((0.0, 0.5), seed=0) < 1.0


@pytest.mark.parametrize("contestant", ["job poller", "webhooks"])
def test_end_to_end(contestant):
    found = bench_end_to_end.run("6 s", contestant, span=(0.1, 3.0))
    assert found["per_window"] > found["refused"] == 0
    # A webhook contains the voiceprint; the job poller must read each job.
    assert (found["reads"] == 0) == (contestant == "webhooks")


@pytest.mark.parametrize(
    "case",
    [
        bench_shared.Case("SQLite", processes=3),
        bench_shared.Case("PostgreSQL", "one light", "fixed", processes=2),
        bench_shared.Case("split", processes=2),
    ],
    ids=lambda case: f"{case.contestant}, {case.what}",
)
def test_several_processes(case):
    found = bench_shared.run(case, windows=3)
    assert (found["refused"], found["light"] is None) == (0, case.what != "one light")
    assert found["share"] > 0
    assert 0 < found["jain"] <= 1


def test_the_share_of_processes_is_the_part_of_the_limit_that_they_use():
    assert bench_shared.perfect(seed=0) == pytest.approx(1.0, abs=0.01)
    bursts = [2.1 * number + place / 1000 for number in range(9) for place in range(96)]
    assert bench_shared.share_of(bursts[:800], 100, 2.0) == pytest.approx(0.96, abs=0.01)


@pytest.mark.parametrize("store", bench_shared.STORES)
def test_keys_of_killed_processes(store):
    found = bench_shared.keys(store, 30, 4)
    assert (found["kills"] >= 4, found["double"], found["other"]) == (True, 0, 0)
    assert found["accepted"] + found["unknown"] == 30


def test_what_shared_state_adds():
    found = bench_shared.added(slices=2)
    assert found["no sharing"]["median"] == 0.0
    assert found["SQLite"]["median_ms"] > 0


def test_webhooks_that_reach_any_worker():
    found = bench_shared.webhooks("SQLite", 20)
    assert found["jobs"] == 20
    assert 0 < found["p50"] <= found["p95"]


@pytest.mark.parametrize("began", [0.0, 0.5, 1.9])
def test_incomplete_bursts_do_not_change_the_rate(began):
    bursts = [began + 2.0 * burst + number / 1000 for burst in range(8) for number in range(100)]
    assert bench_end_to_end.rate(bursts[30:-30], together=100) == pytest.approx(50.0)
    assert bench_end_to_end.rate(bursts[:3], together=100) == pytest.approx(1000.0)
    assert bench_end_to_end.rate([], together=100) == 0.0


def test_end_to_end_of_the_sdk():
    found = bench_end_to_end.sdk_as_it_is(recordings=5)
    assert found == {"recordings": 5, "paid": 5, "voiceprints": 5, "refused": 0}


@pytest.mark.parametrize("name", bench_growth.GROWING)
def test_growth(name):
    found = bench_growth.grow(name, 40)
    assert (found["what"], found["count"], found["slope"]) == (name, 40, None)
    assert found["seconds"] > 0
    assert found["memory"] > 0


def test_the_slope_of_the_memory_is_computed_after_the_warm_up():
    warm = bench_growth.WARM_UP
    samples = [bench_growth.Sample(0, 0, 0.0, 0.0)]
    samples += [bench_growth.Sample(warm + step, 1_000 + 8 * step, 0.0, 0.0) for step in range(10)]
    assert bench_growth.slope(samples) == pytest.approx(8.0)


def test_waiting():
    found = bench_growth.wait_all((3, 2), patience=(0.5, 0.6))
    assert [(one["count"], one["timed_out"]) for one in found] == [(3, 3), (2, 2)]


@pytest.mark.parametrize(
    ("seconds", "contestant"),
    [
        (bench_start.import_seconds, bench_start.IMPORTS["import this package"]),
        (bench_start.process_seconds, bench_start.PROCESSES["pyannote-voiceprint --version"]),
    ],
)
def test_start(seconds, contestant):
    found = bench_start.take_turns(seconds, {"one": contestant, "again": contestant}, 2)
    assert found["one"]["ratio"]["median"] == 1.0
    assert (found["again"]["slices"], found["again"]["low"] > 0) == (2, True)


def test_measured_processes_find_compiled_bytecode(monkeypatch):
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    statement = "import pyannote_voiceprint_async as p, os; assert os.path.exists(p.__cached__)"
    with pytest.raises(subprocess.CalledProcessError):
        bench_start.import_seconds(statement, {**os.environ, "PYTHONPYCACHEPREFIX": "/nowhere"})
    bench_start.take_turns(
        bench_start.import_seconds, {"warm": "import pyannote_voiceprint_async", "then": statement}, 1
    )


def test_testing():
    found = harness.in_fresh_process(bench_testing.run_tests, 2)
    assert [len(times) for times in found.values()] == [2, 2]
    assert bench_testing.import_seconds(bench_testing.IMPORTS["the plugin"], dict(os.environ)) > 0


# Shared functions


def test_ratios_compare_slices_of_the_same_round():
    found = harness.compare({"base": [1.0, 2.0, 4.0], "other": [2.0, 4.0, 8.0]}, reference="base")
    assert found["other"]["ratio"] == {"low": 2.0, "median": 2.0, "high": 2.0}
    assert (found["other"]["median"], found["other"]["slices"]) == (4.0, 3)


def test_the_quartiles_of_one_value_are_that_value():
    assert harness.quartiles([3.0]) == {"low": 3.0, "median": 3.0, "high": 3.0}


@pytest.fixture
def measurement(monkeypatch, tmp_path):
    """Return a function that replaces every measurement by a script with these lines."""

    def put(lines):
        (tmp_path / "bench_new.py").write_text(lines, "utf-8")
        monkeypatch.setattr(run, "script", lambda _: tmp_path / "bench_new.py")

    return put


def test_a_measurement_that_takes_too_long_is_killed_with_its_children(measurement, tmp_path):
    """Its child holds a lock, which the kernel releases when the child dies."""
    held = tmp_path / "held"
    child = f"import fcntl, signal; f = open({str(held)!r}, 'w'); fcntl.flock(f, fcntl.LOCK_EX); signal.pause()"
    measurement(f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])")
    with pytest.raises(run.NoResultError, match="did not end"):
        run.measure_one("new", full=False, seconds=3.0)
    with held.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)


def test_a_measurement_that_fails_has_no_result(measurement):
    measurement("raise SystemExit(3)")
    with pytest.raises(run.NoResultError, match="exit code 3"):
        run.measure_one("new", full=False, seconds=60.0)


@pytest.mark.parametrize("change", [{}, {"machine": {"cpu": "another"}}, {"versions": {"aiohttp": "0"}}])
def test_results_of_another_machine_or_other_versions_are_dropped(monkeypatch, tmp_path, change):
    about = {"machine": harness.machine(), "versions": harness.versions(), **change}
    monkeypatch.setattr(run, "RESULTS", tmp_path / "results.json")
    run.RESULTS.write_text(json.dumps({**about, "measurements": {"start": {"at": "then"}}}), "utf-8")
    run.save_result("limit", {"at": "now"})
    expected = {"limit": {"at": "now"}} | ({} if change else {"start": {"at": "then"}})
    assert run.load_results()["measurements"] == expected
