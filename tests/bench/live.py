"""What a start costs when many sandboxes live on the same network."""
from contenders import new_nonce
from figures import Failure, check_markers, spread
from fleet import LONG, Fleet, chain, service
from goals import NOT_ASKED
from host import read

LEVELS, QUICK_LEVELS = (0, 100, 1000, 3000), (0, 5)


def is_asleep(pid):
    return read(f"/proc/{pid}/cmdline").startswith("/bin/busybox\0sleep\0")


def stages(host, nonce, levels, probes):
    """One fleet: at each level of sleepers a rest of a second, then a chain of starts. [(level, prefix of its services)]"""
    services, prefixes, after, below = {}, [], None, 0
    for level in levels:
        condition = "service_completed_successfully"
        if level > below:
            services[f"sleepers{level}"] = service(host, ["/bin/busybox", "sleep", LONG], after=after, scale=level - below)
            after, below, condition = f"sleepers{level}", level, "service_started"
        services[f"rest{level}"] = service(host, ["/bin/busybox", "sleep", "1"], after=after, condition=condition)
        after = f"rest{level}"
        prefix = f"at{level}x"
        services.update(chain(host, f"{nonce}{level:04x}", probes, prefix=prefix, after=after))
        after = f"{prefix}{probes - 1:04d}"
        prefixes.append((level, prefix))
    return services, prefixes, after


def one_pass(host, levels, probes, starts):
    nonce = new_nonce()
    services, prefixes, last = stages(host, nonce, levels, probes)
    fleet = Fleet(host, "live", services, live=True)
    fleet.until(lambda record: record.get("event") == "die" and record.get("service") == last)
    awake = [record["pid"] for record in fleet.events("start") if record["service"].startswith("sleepers")
             and not is_asleep(record["pid"])]
    for level, prefix in prefixes:
        check_markers(fleet.said(prefix), f"{nonce}{level:04x}", probes)
        starts[level] += [record["took_usec"] for record in fleet.events("start") if record["service"].startswith(prefix)]
    fleet.stop()
    fleet.forget_logs()
    if awake:
        raise Failure(f"{len(awake)} of the sleepers do not sleep")


def measure(host, options, say):
    levels, probes, passes = (QUICK_LEVELS, 3, 1) if options.quick else (LEVELS, 50, 2)
    starts = {level: [] for level in levels}
    not_run = {f"live.ratios.{level}": NOT_ASKED for level in LEVELS if level not in levels}
    for number in range(passes):
        while levels:
            try:
                one_pass(host, levels, probes, starts)
                break
            except Failure as error:  # what this many cannot, fewer may
                not_run[f"live.ratios.{levels[-1]}"] = str(error)
                say(f"  {levels[-1]} live: {error}")
                starts[levels[-1]] = []
                levels = levels[:-1]
        say(f"  pass {number + 1}")
    rows = {str(level): spread(values) for level, values in starts.items() if values}
    return {"start": rows, "ratios": {level: row["p50"] / rows["0"]["p50"] for level, row in rows.items()}, "not_run": not_run}
