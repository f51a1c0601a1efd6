"""Whole lives, one after the other: ours, the floor's and the peers', interleaved in rounds of one run."""
import random

from contenders import Floor, OneShot, Shoal, find_peers
from figures import Failure, per_one, ratio, spread
from fleet import knows
from goals import NOT_ASKED

NOT_BUILT = "this shoal does not know the key"
# Which of the sets it belongs to, its name, ours, the other, of which column.
RATIOS = (("cold", "cold_to_crun", "shoal", "crun", "life"),
          ("none", "none_to_bwrap", "shoal none", "bwrap", "life"),
          ("warm", "warm_to_crun", "shoal warm", "crun", "life"),
          ("warm", "pooled_to_crun", "shoal pooled", "crun", "life"),
          ("cold", "start_to_floor", "shoal", "floor", "start"),
          ("none", "start_to_floor_none", "shoal none", "floor none", "start"))
PEERS_OF = {"cold": ("crun", "runc", "nspawn", "podman", "ctr"), "none": ("bwrap", "nsjail"), "warm": ("crun",)}


def all_were_parked(records, count):
    """Before the first of the chain started, all of it waited just before execve."""
    most = max((record.get("parked", 0) for record in records if record["type"] == "fleet"), default=0)
    return None if most >= count else f"{most} of {count} were parked"


def some_were_ready(records, count):
    """The pool was filled; how much of it served is the supervisor's to decide, as in use."""
    most = max((record.get("pool", {}).get("ready", 0) for record in records if record["type"] == "fleet"), default=0)
    return None if most > 0 else "no namespace was ever ready"


def make_ours(host, sets):
    """Our own contenders for these sets, and why one is left out."""
    made, left_out = [], {}
    has_pool = knows(host, x_fleet={"pool": 0})
    cold = {"pool": 0} if has_pool else None
    if sets & {"cold", "warm"}:
        made.append(Floor(host, "floor", "the bare system calls of shoal's sandbox, nobody supervises", True))
    if sets & {"cold"}:
        made.append(Shoal(host, "shoal", "everything on: id range, cgroup, veth on a bridge, writable layer, seccomp, log, events",
                          x_fleet=cold))
        made.append(OneShot(host))
    if sets & {"warm"}:
        if has_pool:
            made.append(Shoal(host, "shoal pooled", "the same, from the pool of network namespaces with their links",
                              prove=some_were_ready))
        else:
            left_out["shoal pooled"] = f"{NOT_BUILT} x-shoal.pool"
        if knows(host, x_service={"warm": 1}):
            made.append(Shoal(host, "shoal warm", "the same, parked just before execve", x_service={"warm": 1}, x_fleet=cold,
                              prove=all_were_parked))
        else:
            left_out["shoal warm"] = f"{NOT_BUILT} x-shoal.warm of a service"
    if sets & {"none"}:
        made.append(Floor(host, "floor none", "the bare system calls, own empty network namespace", False))
        made.append(Shoal(host, "shoal none", "everything but the veth: own empty network namespace", network=False, x_fleet=cold))
    return made, left_out


def try_out(contenders, left_out, say):
    """One run of each before the clock counts. A peer that cannot run here is left out with the reason; that one of ours cannot is
    a failure."""
    able = []
    for contender in contenders:
        try:
            contender.set_up()
            contender.turn(2)
            able.append(contender)
        except Failure as error:
            if isinstance(contender, (Shoal, Floor, OneShot)):
                raise Failure(f"{contender.name}: {error}") from None
            left_out[contender.name] = f"cannot run here: {error}"
            contender.tear_down()
            say(f"  {contender.name} is left out: {error}")
    return able


class Tally:
    def __init__(self):
        self.starts, self.inside, self.lives, self.cycles, self.cpu = [], [], [], [], []

    def add(self, turn):
        self.starts += turn.starts
        self.inside += turn.inside
        self.lives += turn.lives
        self.cycles.append(turn.cycle_usec())


def wanted_peers(options, sets):
    return [name for name in dict.fromkeys(name for one in sorted(sets) for name in PEERS_OF[one])
            if options.peers == ["all"] or name in options.peers]


def not_asked(sets, wanted):
    """Figures that nobody asked for: of other sets, and those against peers that were not wanted."""
    paths = [f"lives.ratios.{key}" for one, key, _, theirs, _ in RATIOS
             if one not in sets or not (theirs.startswith("floor") or theirs in wanted)]
    if "warm" not in sets:
        paths.append("lives.created_to_running.p50")
    return {path: NOT_ASKED for path in paths}


def measure(host, options, sets, say):
    """sets: which of cold, none, warm."""
    ours, left_out = make_ours(host, sets)
    wanted = wanted_peers(options, sets)
    theirs, missing = find_peers(host, wanted or ["none"])
    left_out.update({name: why for name, why in missing.items() if why != NOT_ASKED})
    contenders = try_out(ours + theirs, left_out, say)
    try:
        return judge(run_rounds(host, options, contenders, say), contenders, left_out, sets, set(wanted))
    finally:
        for contender in contenders:
            contender.tear_down()


def run_rounds(host, options, contenders, say):
    order = random.Random(options.seed)
    tallies = {contender.name: Tally() for contender in contenders}
    for number in range(options.rounds):
        turns = list(contenders)
        order.shuffle(turns)
        for contender in turns:
            count = contender.per_turn if not options.quick else 2
            for runs in (1, count):  # the first tells what the frame around the runs costs
                host.wait_for_namespaces()  # what the one before left to the kernel is not this one's
                try:
                    turn = contender.turn(runs)
                except Failure as error:
                    raise Failure(f"{contender.name}: {error}") from None
                if runs == 1:
                    frame = turn.cpu_usec
                else:
                    tallies[contender.name].add(turn)
                    tallies[contender.name].cpu.append(per_one(turn.cpu_usec, frame, runs))
        say(f"  round {number + 1} of {options.rounds}")
    return tallies


def judge(tallies, contenders, left_out, sets, wanted):
    rows = {}
    for contender in contenders:
        tally = tallies[contender.name]
        rows[contender.name] = {"does": contender.does, "version": contender.version(),
                                "inside": spread(tally.inside), "life": spread(tally.lives), "cycle": spread(tally.cycles),
                                "cpu": spread(tally.cpu), **({"start": spread(tally.starts)} if tally.starts else {})}

    def compare(ours, theirs, what="life"):
        return ratio(rows.get(ours, {}).get(what), rows.get(theirs, {}).get(what))
    ratios, not_run = {}, not_asked(sets, wanted)
    for one, key, ours, theirs, what in RATIOS:
        if one not in sets or f"lives.ratios.{key}" in not_run:
            continue
        value = compare(ours, theirs, what)
        if value is not None:
            ratios[key] = value
        else:
            not_run[f"lives.ratios.{key}"] = "; ".join(f"{name}: {left_out[name]}" for name in (ours, theirs) if name in left_out)
    result = {"contenders": rows, "ratios": ratios, "left_out": left_out, "not_run": not_run}
    if "shoal warm" in rows:
        result["created_to_running"] = rows["shoal warm"]["start"]
    elif "warm" in sets:
        not_run["lives.created_to_running.p50"] = left_out["shoal warm"]
    return result
