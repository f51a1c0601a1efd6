"""What was promised, against what was measured."""

NOT_ASKED = "not asked for"

# name, unit, measured at most (or at least) the goal, and the path of the figure in the results.
GOALS = (
    ("cold whole life against `crun run`", "", "<=", 0.40, "lives.ratios.cold_to_crun"),
    ("without a network against `bwrap --unshare-all`", "", "<=", 0.60, "lives.ratios.none_to_bwrap"),
    ("warm pool against `crun run`", "", "<=", 0.20, "lives.ratios.warm_to_crun"),
    ("created to running, p50", "us", "<=", 300, "lives.created_to_running.p50"),
    ("start against the floor, veth on a bridge", "", "<=", 1.15, "lives.ratios.start_to_floor"),
    ("start against the floor, without a network", "", "<=", 1.15, "lives.ratios.start_to_floor_none"),
    ("starts and ends per second, cold", "/s", ">=", 330, "rate.cold.per_second"),
    ("starts and ends per second, pooled", "/s", ">=", 1000, "rate.pooled.per_second"),
    ("start p50 at 1,000 live against at 0", "", "<=", 1.8, "live.ratios.1000"),
    ("start p50 at 3,000 live against at 0", "", "<=", 3.0, "live.ratios.3000"),
    ("kill to event, p50", "us", "<=", 300, "kill.to_event.p50"),
    ("kill to event, p99", "us", "<=", 2000, "kill.to_event.p99"),
    ("kill to event with 256 MB dirty, p50", "us", "<=", 300, "dirty.to_event.p50"),
    ("kill to event with 256 MB dirty, p99", "us", "<=", 2000, "dirty.to_event.p99"),
    ("supervisor memory per idle container", "KiB", "<=", 8, "idle.supervisor_pss_kib"),
    ("sampling 1,000 containers each second", "% of a core", "<=", 1.0, "crowd.sampling_percent"),
    ("stop of 1,000, each, to the last event", "us", "<=", 200, "crowd.stop_usec_each"),
    ("longest loop stall in any benchmark (goal: p99.9)", "us", "<=", 5000, "longest_stall_usec"),
    ("start p50 with a heap of 1 GiB against 10 MiB", "", "<=", 1.1, "heap.ratio"),
)


def look_up(results, path):
    """The figure at a dotted path, None where the way ends."""
    value = results
    for part in path.split("."):
        if not isinstance(value, dict) or part not in value:
            return None
        value = value[part]
    return value


def judge(results, goals=GOALS):
    """Rows of {goal, unit, bound, limit, measured, verdict}: met, missed, or the reason why there is no figure. Goals of benchmarks
    that were not asked for are left out."""
    rows = []
    for name, unit, bound, limit, path in goals:
        part = results.get(path.split(".")[0])
        if part is None:
            continue
        measured = look_up(results, path)
        if measured is not None:
            verdict = "met" if (measured <= limit if bound == "<=" else measured >= limit) else "missed"
        else:
            reason = part.get("not_run", {}).get(path, "") if isinstance(part, dict) else ""
            if reason == NOT_ASKED:
                continue
            verdict = "not measured" + (f": {reason}" if reason else "")
        rows.append({"goal": name, "unit": unit, "bound": bound, "limit": limit, "measured": measured, "verdict": verdict})
    return rows
