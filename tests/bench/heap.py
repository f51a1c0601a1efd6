"""Whether a start costs more in a program that has grown: libshoal in a host program with a small and a large heap."""
import os

from contenders import new_nonce
from figures import check_markers, spread
from fleet import Fleet, chain
from host import TOOLS

SIZES_MIB = (10, 1024)


def measure(host, options, say):
    rounds, count = (1, 2) if options.quick else (5, 20)
    starts = {mib: [] for mib in SIZES_MIB}
    for number in range(rounds):
        for mib in SIZES_MIB if number % 2 == 0 else reversed(SIZES_MIB):
            nonce = new_nonce()
            host.wait_for_namespaces()
            fleet = Fleet(host, "heap", chain(host, nonce, count), program=[os.path.join(TOOLS, "heap"), str(mib)])
            fleet.wait()
            check_markers(fleet.said(), nonce, count)
            starts[mib] += [record["took_usec"] for record in fleet.events("start")]
            fleet.forget_logs()
    rows = {str(mib): spread(values) for mib, values in starts.items()}
    return {"start": rows, "ratio": rows[str(SIZES_MIB[1])]["p50"] / rows[str(SIZES_MIB[0])]["p50"]}
