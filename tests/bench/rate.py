"""Starts and ends per second with several under way, until the kernel is clean again."""
from contenders import Floor, Shoal, find_peers
from figures import Failure, spread
from fleet import knows
from lives import NOT_BUILT

IN_FLIGHT = 8
PEERS = ("bwrap", "crun")


def measure(host, options, say):
    has_pool = knows(host, x_fleet={"pool": 0})
    cold = {"pool": 0} if has_pool else None
    contenders = {"cold": Shoal(host, "shoal", "", x_fleet=cold),
                  "cold, no network": Shoal(host, "shoal none", "", network=False, x_fleet=cold)}
    not_run = {}
    if has_pool:
        contenders["pooled"] = Shoal(host, "shoal pooled", "")
    else:
        not_run["rate.pooled.per_second"] = f"{NOT_BUILT} x-shoal.pool"
    contenders["floor"] = Floor(host, "floor", "", True)
    theirs, _ = find_peers(host, [name for name in PEERS if options.peers == ["all"] or name in options.peers] or ["none"])
    contenders.update({one.name: one for one in theirs})
    ours_count, peer_count = (24, 16) if options.quick else (400, 160)
    seen = {name: [] for name in contenders}
    for number in range(1 if options.quick else 3):
        for name, contender in list(contenders.items()):
            host.wait_for_namespaces()
            count = peer_count if contender in theirs else ours_count
            try:
                seen[name].append(count / contender.many(count, IN_FLIGHT) * 1e6)
            except Failure as error:
                if isinstance(contender, Shoal):
                    raise
                not_run[name] = str(error)
                del contenders[name]
        say(f"  round {number + 1}")
    return {**{name: {"per_second": spread(values)["p50"], "least": min(values), "most": max(values)}
               for name, values in seen.items() if values}, "in_flight": IN_FLIGHT, "count": ours_count,
            "peer_count": peer_count, "not_run": not_run}
