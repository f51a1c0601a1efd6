"""Arithmetic: what becomes of many measured values. No input, no output."""
import math
import statistics


class Failure(Exception):
    """Something did not run, or contradicts itself: the benchmark has no figure for it."""


def percentile(values, percent):
    """The nearest-rank percentile: the smallest value that percent % of the values do not exceed. It is always a value that
    was measured; with fewer than 100 values p99 is the largest one."""
    ordered = sorted(values)
    if not ordered:
        raise Failure("no value was measured")
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def spread(values):
    """The figures that the tables show."""
    return {"p50": statistics.median(values) if values else percentile(values, 50), "p10": percentile(values, 10),
            "p99": percentile(values, 99), "n": len(values)}


def ratio(ours, theirs):
    """Median to median; None when there is nothing to divide by."""
    if not ours or not theirs or not theirs["p50"]:
        return None
    return ours["p50"] / theirs["p50"]


def per_one(total_of_many, total_of_one, many):
    """What one run costs, when the cost of the frame around all of them is taken away: (many - one) / (n - 1)."""
    if many < 2:
        raise Failure(f"{many} runs: the frame's cost cannot be taken away")
    return (total_of_many - total_of_one) / (many - 1)


def check_markers(said, nonce, count):
    """said: what each run wrote from inside, in any order, as "NONCE-N TIME". Returns {N: time in microseconds}. Failure unless
    each of count runs wrote its own marker exactly once, so that none can be counted that did not run."""
    times = {}
    for line in said:
        name, _, time_nsec = line.partition(" ")
        word, _, number = name.rpartition("-")
        if word != nonce or not number.isdigit() or not time_nsec.isdigit():
            raise Failure(f"a run wrote {line!r} instead of its marker {nonce}-N")
        if int(number) in times:
            raise Failure(f"run {number} wrote its marker twice")
        times[int(number)] = int(time_nsec) / 1000
    missing = [number for number in range(count) if number not in times]
    if missing or len(times) != count:
        raise Failure(f"{len(times)} markers of {count} runs; without one: {missing[:8]}")
    return times


def check_order(begin_usec, marker_usec, end_usec, slack_usec=50):
    """The three clocks agree: decision, then the program inside, then the end. slack: they are read at different places."""
    if not begin_usec - slack_usec <= marker_usec <= end_usec + slack_usec:
        raise Failure(f"the program inside says {marker_usec - begin_usec:.0f} us behind the decision, "
                      f"its end came {end_usec - begin_usec:.0f} us behind it")
