"""The host's pressure, and who is said to cause it."""
import os
import re

import pytest

# A host with other work to do is short of CPUs whatever one hog does: the guest is quiet.
needs_quiet = pytest.mark.needs_controllers
pytestmark = pytest.mark.skipif(not os.path.exists("/proc/pressure/cpu"), reason="this kernel tells no pressure (PSI)")


@needs_quiet
def test_a_noisy_neighbour_is_named(fleet):
    """The host's pressure rises, one container is why: it is named with the limit that would have kept it from that."""
    hogs = " ".join(["(while :; do :; done) &"] * 2 * os.cpu_count())
    text = ("name: demo\nx-shoal: {degrade: true}\nservices:\n"
            "  calm: {image: 'builtin:busybox', network_mode: none, command: [sleep, '1000'], scale: 12}\n"
            "  hog:\n    image: builtin:busybox\n    network_mode: none\n"
            f"    command: [sh, -c, '{hogs} wait']\n")
    started = fleet(text, "--interval", "1h")
    found = started.wait_record("event", timeout=60, check=lambda r: r["event"] == "pressure"
                                and r["culprits"][0]["container"] == "demo-hog-1")
    assert found["resource"] == "cpu" and found["some"] > 0 and "container" not in found
    culprit = found["culprits"][0]
    assert (culprit["service"], culprit["basis"]) == ("hog", "usage")
    assert culprit["share"] > 0.5 and re.fullmatch(r"cpus: \d+\.\d", culprit["limit"])
    assert started.stop(timeout=60).returncode == 0
