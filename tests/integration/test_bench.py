"""The benchmark's own arithmetic, its proofs and its pictures. What it measures is no test; whether it can be believed is."""
import json
import os
import subprocess
import sys
import xml.etree.ElementTree

import pytest

import shoal

BENCH = os.path.join(shoal.REPO, "tests/bench")
BUILD = os.path.dirname(shoal.BIN)
sys.path.append(BENCH)

import contenders  # noqa: E402
import figures  # noqa: E402
import goals  # noqa: E402
import lives  # noqa: E402
import plot  # noqa: E402
import report  # noqa: E402

SVG = "{http://www.w3.org/2000/svg}"


@pytest.mark.parametrize("values, percent, wanted", [
    ([7], 50, 7),
    ([7], 99, 7),
    ([3, 1, 2], 50, 2),
    (range(1, 101), 99, 99),
    (range(1, 101), 100, 100),
    (range(1, 201), 99, 198),
    (range(1, 11), 99, 10),  # fewer than a hundred: the largest
    (range(1, 11), 10, 1),
    (range(1, 12), 10, 2),
])
def test_percentile(values, percent, wanted):
    assert figures.percentile(list(values), percent) == wanted


def test_no_values_are_no_figure():
    with pytest.raises(figures.Failure):
        figures.percentile([], 50)
    with pytest.raises(figures.Failure):
        figures.spread([])


def test_spread_and_ratio():
    row = figures.spread([4.0, 1.0, 3.0, 2.0])
    assert row == {"p50": 2.5, "p10": 1.0, "p99": 4.0, "n": 4}
    assert figures.ratio(row, figures.spread([5.0])) == 0.5
    assert figures.ratio(row, None) is None
    assert figures.ratio(None, row) is None


def test_the_frame_is_taken_away():
    assert figures.per_one(total_of_many=1000 + 20 * 7, total_of_one=1000 + 7, many=20) == 7
    with pytest.raises(figures.Failure):
        figures.per_one(5, 5, 1)


def test_markers():
    said = ["ab-1 1795602848306948152", "ab-0 1795602848306000000"]
    assert figures.check_markers(said, "ab", 2) == {0: 1795602848306000.0, 1: 1795602848306948.152}


@pytest.mark.parametrize("said, error", [
    (["ab-0 5"], "without one: \\[1\\]"),
    (["ab-0 5", "ab-0 6"], "twice"),
    (["ab-0 5", "cd-1 5"], "instead of its marker"),
    (["ab-0 5", "ab-1 5", "ab-2 5"], "3 markers of 2 runs"),
    (["ab-0 5", ""], "instead of its marker"),
    (["ab-0 5", "ab-1 soon"], "instead of its marker"),
])
def test_a_run_without_its_marker_is_a_failure(said, error):
    with pytest.raises(figures.Failure, match=error):
        figures.check_markers(said, "ab", 2)


def test_clocks_that_contradict_each_other_are_a_failure():
    figures.check_order(1000, 1500, 2000)
    for marker in (900, 2100):
        with pytest.raises(figures.Failure):
            figures.check_order(1000, marker, 2000)


def test_a_turn_is_timed_by_its_markers():
    turn = contenders.Turn()
    for begin in (0, 1000, 3000):
        turn.add(begin, begin + 100, begin + 500, 90)
    assert turn.cycle_usec() == 1500
    assert (turn.starts, turn.inside, turn.lives) == ([90] * 3, [100] * 3, [500] * 3)


def test_goals():
    table = (("less", "", "<=", 2, "a.x"), ("more", "/s", ">=", 5, "a.y"), ("on the line", "", "<=", 3, "a.z"),
             ("absent", "", "<=", 1, "a.b.c"), ("left out", "", "<=", 1, "a.d"), ("another benchmark", "", "<=", 1, "other.x"))
    results = {"a": {"x": 2.5, "y": 5, "z": 3, "not_run": {"a.b.c": "no crun", "a.d": goals.NOT_ASKED}}}
    assert [(row["goal"], row["verdict"]) for row in goals.judge(results, table)] == [
        ("less", "missed"), ("more", "met"), ("on the line", "met"), ("absent", "not measured: no crun")]


def test_a_benchmark_that_failed_measures_none_of_its_goals():
    rows = goals.judge({"kill": {"failed": "shoal ended with 1"}})
    assert len(rows) == 2 and all(row["measured"] is None and row["verdict"] == "not measured" for row in rows)


def test_what_nobody_asked_for_is_no_goal():
    asked = {"cold"}
    rows = goals.judge({"lives": {"failed": "floor: no", "not_run": lives.not_asked(asked, ["crun"])}})
    assert [row["goal"] for row in rows] == ["cold whole life against `crun run`", "start against the floor, veth on a bridge"]
    rows = goals.judge({"lives": {"failed": "floor: no", "not_run": lives.not_asked(asked, [])}})
    assert [row["goal"] for row in rows] == ["start against the floor, veth on a bridge"]


class Known:
    def __init__(self, name):
        self.name, self.does = name, f"what {name} <does>"

    def version(self):
        return "1.0 & more"


def made_up_results():
    tallies = {}
    for name, usec in (("shoal", 1000), ("floor", 900), ("crun", 4000)):
        tallies[name] = tally = lives.Tally()
        tally.inside = tally.lives = [usec, usec * 2, usec * 3]
        tally.starts = [] if name == "crun" else [usec / 2]
        tally.cycles, tally.cpu = [usec], [usec]
    part = lives.judge(tallies, [Known(name) for name in tallies], {"runc": "not installed"}, {"cold"}, {"crun", "runc"})
    part.update(seconds=1.0, others_cores=0.1, longest_stall_usec=None)
    about = {"shoal": "shoal 0", "system": "S", "kernel": "6", "cpus": 2, "cpu": "C <&>", "memory_gib": 1.0, "load_before": 0.5,
             "load_after": 0.5, "file_system": "ext4", "controllers": [], "priority": "normal", "seed": 1, "quick": False,
             "time": "now"}
    live = {"start": {"0": figures.spread([1000, 2000]), "1000": figures.spread([3000, 4000])}, "ratios": {"0": 1.0, "1000": 2.33},
            "not_run": {"live.ratios.3000": "too many"}, "seconds": 1.0, "others_cores": 0.1, "longest_stall_usec": 7}
    results = {"about": about, "lives": part, "live": live}
    results["goals"] = goals.judge(results)
    return results


def test_ratios_of_lives():
    part = made_up_results()["lives"]
    assert part["ratios"] == {"cold_to_crun": 0.25, "start_to_floor": pytest.approx(10 / 9)}
    assert part["not_run"]["lives.ratios.none_to_bwrap"] == goals.NOT_ASKED


def test_the_report_says_all():
    text = "\n".join(report.all_lines(made_up_results()))
    for words in ("LEFT OUT: not installed", "NOT MEASURED: live.ratios.3000: too many", "what crun <does>", "0.25  met",
                  "2.33  missed", "too many", "1,000 live"):
        assert words in text
    failed = made_up_results()
    failed["lives"] = {"failed": "crun: no marker", "seconds": 1.0, "others_cores": 0.0, "longest_stall_usec": None}
    assert "lives: DID NOT RUN: crun: no marker" in "\n".join(report.all_lines(failed))


def test_the_plot_is_svg():
    drawn = plot.draw(made_up_results())
    top = xml.etree.ElementTree.fromstring(drawn)
    assert top.tag == f"{SVG}svg"
    dots = top.findall(f"{SVG}circle")
    assert len(dots) == 3 + 2
    places = [float(dot.get("cx")) for dot in dots]
    assert places[0] < places[1] < places[2] and places[3] < places[4]  # sorted by median: floor, shoal, crun; levels
    width = float(top.get("width"))
    assert all(0 < place < width for place in places)
    for line in top.findall(f"{SVG}line"):
        assert 0 < float(line.get("x1")) <= float(line.get("x2")) < width
    assert "C <&>" in "".join(top.itertext())


def test_nothing_measured_is_no_plot():
    assert plot.draw({"about": {}, "kill": {}}) == ""


def test_stopwatch_and_marker():
    stopwatch, marker = (os.path.join(BUILD, "bench", name) for name in ("stopwatch", "marker"))
    shown = subprocess.run([stopwatch, "6", "3", marker, "ab-{n}", "/bin/sh", "-c", "exit 3"], stdout=subprocess.PIPE, text=True,
                           check=True).stdout
    records = [json.loads(line) for line in shown.splitlines()]
    markers = figures.check_markers([record["out"] for record in records], "ab", 6)
    for record in records:
        assert os.waitstatus_to_exitcode(record["status"]) == 3
        figures.check_order(record["begin_nsec"] / 1000, markers[record["n"]], record["end_nsec"] / 1000)


def test_the_whole_benchmark_runs(fleet_folder):
    """A few runs of everything of ours that needs no peer; clean_machine sees whether it leaves something."""
    figures_file, picture = fleet_folder / "bench.json", fleet_folder / "bench.svg"
    done = subprocess.run([os.path.join(BENCH, "run"), "--quick", "--only", "none,heap,kill", "--peers", "none", "--json", figures_file,
                           "--svg", picture], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False, timeout=300,
                          env={**os.environ, "BUILD": BUILD})
    assert done.returncode == 0, done.stdout + done.stderr
    results = json.loads(figures_file.read_text())
    assert set(results["lives"]["contenders"]) == {"floor none", "shoal none"}
    assert {row["goal"] for row in results["goals"]} >= {"kill to event, p50", "start against the floor, without a network"}
    xml.etree.ElementTree.fromstring(picture.read_text())
