"""Fixtures. `fleet` brings a compose text up with the real program; after every test the machine must be as before."""
import glob
import json
import os
import signal

import pytest

import machine
import shoal

CLEAN_SECONDS = 10  # network namespaces and cgroups are taken down by the kernel's own workers, after the program's end


def pytest_configure(config):
    machine.become_subreaper()
    # Run in the background, we were told to ignore it; a shell that is told so too cannot trap it.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items):
    missing = {"memory", "pids", "cpu", "io"} - shoal.controllers()
    for item in items:
        if missing and item.get_closest_marker("needs_controllers"):
            reason = "cgroup v2 lacks " + ", ".join(sorted(missing)) + ": make check-vm"
            item.add_marker(pytest.mark.skip(reason=reason))


def failure(report):
    """Where it failed and what was found, in few lines."""
    crash = getattr(report.longrepr, "reprcrash", None)
    if crash is None:
        return f"{report.when}: {str(report.longrepr)[-600:]}"
    return f"{report.when}: {os.path.basename(crash.path)}:{crash.lineno}: {crash.message[:600]}"


def pytest_runtest_logreport(report):
    """One JSON line for each phase that says something, for tests/run."""
    path = os.environ.get("SHOAL_TEST_RESULTS")
    if not path or (report.when != "call" and report.passed):
        return
    line = {"test": report.nodeid, "outcome": report.outcome}
    if report.skipped and isinstance(report.longrepr, tuple):
        line["reason"] = report.longrepr[2]
    if report.failed:
        line["reason"] = failure(report)
    with open(path, "a") as out:
        out.write(json.dumps(line) + "\n")


@pytest.fixture(autouse=True)
def clean_machine():
    """After each test: the same processes, mounts, links, rules, cgroups, files and locks as before it."""
    before = machine.snapshot()
    yield
    found = []

    def is_clean():
        found[:] = machine.differences(before, machine.snapshot())
        return not found
    shoal.wait_for(is_clean, CLEAN_SECONDS, lambda: "the machine as it was; " + "; ".join(found))


@pytest.fixture
def fleet_folder(tmp_path):
    """A folder for a fleet that a sandbox's own root, nobody on this machine, can walk through."""
    base = os.path.dirname(tmp_path)
    for folder in (base, tmp_path):
        os.chmod(folder, 0o711)
    return tmp_path


@pytest.fixture
def fleet(clean_machine, fleet_folder):
    """fleet(text, *options, program=, environ=): a started shoal.Fleet. Each call has a folder of its own."""
    started = []

    def start(text, *options, **keywords):
        folder = keywords.pop("folder", None)
        if folder is None:
            folder = os.path.join(fleet_folder, f"fleet{len(started)}")
            os.makedirs(folder, mode=0o711)
        started.append(shoal.Fleet(folder, text, *options, **keywords))
        return started[-1]
    yield start
    for one in started:
        one.clean_up()
    for one in started:
        left = glob.glob(os.path.join(one.root, "containers", "*", "*"))
        assert not left or one.process.returncode == -9, f"root file systems left: {left}"
