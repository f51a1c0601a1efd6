"""The tables for people."""

LIFE_COLUMNS = (("start", "start to execve"), ("inside", "to first instruction"), ("life", "whole life"))
WORDS = {"rate": "Starts and ends per second", "live": "Start, with so many live on the same network",
         "kill": "Kill to die event", "dirty": "Kill to die event, much unwritten in the writable layer",
         "idle": "Idle sandboxes", "crowd": "Sampling and stopping a crowd", "heap": "Start in a program with a large heap"}


def number(value, unit=""):
    if value is None:
        return "-"
    if unit == "us" or value >= 100:
        return f"{value:,.0f}"
    return f"{value:.2f}" if value < 10 else f"{value:.1f}"


def about_lines(about, parts):
    yield f"{about['shoal']} on {about['system']}, Linux {about['kernel']}, {about['cpus']} x {about['cpu']}, {about['memory_gib']} GiB"
    yield (f"{about['time']}; load average {about['load_before']:.1f} before, {about['load_after']:.1f} after; writable layers and images "
           f"on {about['file_system']}; cgroup v2 controllers: {' '.join(about['controllers']) or 'none'}")
    words = "nice 0" if about["priority"] == "normal" else "SCHED_RR 1"
    yield f"Every measured process, ours and the peers', runs at {words}; order of the rounds by seed {about['seed']}."
    busy = {name: part["others_cores"] for name, part in parts.items()}
    if busy:
        worst = max(busy, key=busy.get)
        yield (f"Cores kept busy by everything but the measured processes (kernel workers, this harness and other programs): "
               f"at most {busy[worst]:.2f} ({worst}).")
    if about["quick"]:
        yield "QUICK: a few runs, to see whether the benchmark works. No figure below means anything."


def lives_lines(part):
    rows = part["contenders"]
    yield "Whole lives, one after the other, microseconds (p50, p10, p99). Each sandbox wrote its marker from inside."
    yield (f"  {'':14}" + "".join(f"{words:>25}" for _, words in LIFE_COLUMNS) + f"{'turn':>10}{'CPU':>9}{'runs':>6}{'/ crun':>8}")
    crun = rows.get("crun", {}).get("life")
    for name, row in sorted(rows.items(), key=lambda item: item[1]["life"]["p50"]):
        cells = "".join(f"{number(row[key]['p50'], 'us'):>10}{number(row[key]['p10'], 'us'):>7}{number(row[key]['p99'], 'us'):>8}"
                        if key in row else f"{'-':>25}" for key, _ in LIFE_COLUMNS)
        against = f"{row['life']['p50'] / crun['p50']:>8.2f}" if crun else ""
        yield (f"  {name:14}{cells}{number(row['cycle']['p50'], 'us'):>10}{number(row['cpu']['p50'], 'us'):>9}"
               f"{row['life']['n']:>6}{against}")
    yield "  turn: from one first instruction to the next, by the markers alone, the end included; CPU: of all processes of one life, kernel workers not included"
    yield "What each does:"
    for name, row in rows.items():
        yield f"  {name:14}{row['does']}" + (f" [{row['version']}]" if row["version"] else "")
    for name, why in part["left_out"].items():
        yield f"  {name:14}LEFT OUT: {why}"


def spread_lines(rows, head):
    yield f"  {head:28}{'p50':>9}{'p10':>9}{'p99':>9}{'n':>6}"
    for name, row in rows.items():
        yield (f"  {name:28}" + "".join(f"{number(row[key], 'us'):>9}" for key in ("p50", "p10", "p99")) + f"{row['n']:>6}")


def rate_lines(part):
    for name, row in part.items():
        if isinstance(row, dict) and "per_second" in row:
            yield f"  {name:28}{row['per_second']:>9,.0f} a second ({row['least']:,.0f} to {row['most']:,.0f})"
    yield (f"  {part['in_flight']} at a time, {part['count']} of ours and {part['peer_count']} of a peer's; the clock runs from the first "
           "decision until no cgroup, no layer and no network namespace is left")


def live_lines(part):
    yield from spread_lines({f"{int(level):,} live": row for level, row in part["start"].items()}, "decision to execve, us")
    yield "  against 0 live: " + ", ".join(f"{int(level):,}: {value:.2f}" for level, value in part["ratios"].items())


def kill_lines(part):
    rows = {"to the time in the event": part["to_event"], "until a reader has it": part["to_reader"]}
    if "floor" in part:
        rows["floor: to its pidfd"] = part["floor"]
    yield from spread_lines(rows, "kill(2) to event, us")
    if "mib" in part:
        yield f"  {part['mib']} MiB written by each; unwritten on this machine at every kill: at least {part['dirty_mib_at_least']} MiB"


def idle_lines(part):
    kernel = part["kernel_kib"]
    yield (f"  {part['count']:,} idle: supervisor {part['supervisor_pss_kib']:.2f} KiB PSS each above the "
           f"{part['supervisor_of_one_pss_kib']:,} KiB of a supervisor of one; {part['descriptors']:,} descriptors; "
           f"{part['idle_percent']:.3f} % of a core")
    yield ("  kernel memory each, as /proc/meminfo grew (others change it too): " +
           ", ".join(f"{key} {value:.0f} KiB" for key, value in kernel.items()))


def crowd_lines(part):
    yield (f"  {part['count']:,} started in {part['up_seconds']:.2f} s; sampled each second for {part['sampling_percent']:.2f} % of a core "
           f"(members: {', '.join(part['sampled_members'])})")
    yield (f"  stopped: {part['die_usec_each']:.0f} us each to the last death, {part['stop_usec_each']:.0f} to the last event, "
           f"{part['clean_usec_each']:.0f} until the kernel is clean")


def heap_lines(part):
    yield from spread_lines({f"{int(mib):,} MiB": row for mib, row in part["start"].items()}, "decision to execve, us")
    yield f"  ratio {part['ratio']:.2f}"


LINES = {"rate": rate_lines, "live": live_lines, "kill": kill_lines, "dirty": kill_lines, "idle": idle_lines, "crowd": crowd_lines,
         "heap": heap_lines}


def goal_lines(rows):
    yield f"{'goal':56}{'wanted':>12}{'measured':>12}  "
    for row in rows:
        unit = f" {row['unit']}" if row["unit"] else ""
        yield (f"{row['goal'] + unit:56}{row['bound'] + ' ' + number(row['limit'], row['unit']):>12}"
               f"{number(row['measured'], row['unit']):>12}  {row['verdict']}")


def all_lines(results):
    parts = {name: part for name, part in results.items() if isinstance(part, dict) and name != "about"}
    yield from about_lines(results["about"], parts)
    for name, part in parts.items():
        yield ""
        if "failed" in part:
            yield f"{name}: DID NOT RUN: {part['failed']}"
            continue
        if name == "lives":
            yield from lives_lines(part)
        else:
            yield f"{WORDS[name]}:"
            yield from LINES[name](part)
        for what, why in part.get("not_run", {}).items():
            if why and why != "not asked for":
                yield f"  NOT MEASURED: {what}: {why}"
        stall = part["longest_stall_usec"]
        yield (f"  [{part['seconds']:.0f} s; " +
               (f"longest turn of shoal's loop {number(stall, 'us')} us]" if stall is not None else "no loop to watch]"))
    yield ""
    yield from goal_lines(results["goals"])


def print_all(results):
    for line in all_lines(results):
        print(line, flush=True)
