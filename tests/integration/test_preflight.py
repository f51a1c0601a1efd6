"""The limits of the host, held against the fleet: before anything starts, and in every interval."""
import os

import pytest

import shoal

HEAD = "name: demo\nx-shoal: {degrade: true, pool: 0, starts_in_flight: 4}\nservices:\n"


def fleet_file(folder, text):
    path = os.path.join(folder, "fleet.yaml")
    with open(path, "w") as out:
        out.write(text)
    return path


def limited(folder, what):
    """A shoal that starts with other limits than ours."""
    path = os.path.join(folder, "limited")
    with open(path, "w") as out:
        out.write(f'#!/bin/sh\n{what} && exec {shoal.BIN} "$@"\n')
    os.chmod(path, 0o755)
    return path


def table(stdout):
    """{limit: (needed, used, of, verdict)}"""
    rows = {}
    for line in stdout.splitlines()[1:]:
        name, rest = line[:34].strip(), line[34:].replace(" MiB", "").split()
        rows[name] = tuple(int(word.replace(",", "")) if word != "-" else None for word in rest[:3]) + (rest[3],)
    return rows


def test_says_what_fits(fleet_folder):
    path = fleet_file(fleet_folder, HEAD + "  a: {image: 'builtin:busybox', command: [a], scale: 20}\n")
    result = shoal.run("preflight", "-f", path)
    assert result.returncode == 0, result.stderr
    rows = table(result.stdout)
    assert rows["RLIMIT_NOFILE"][0] == 20 * 4 + 96 and rows["RLIMIT_NOFILE"][3] == "fits"
    with open("/proc/sys/kernel/pid_max") as limit:
        assert rows["kernel.pid_max"][2] == int(limit.read())
    assert rows["kernel.pid_max"][0] == 20 and 0 < rows["kernel.pid_max"][1] < rows["kernel.pid_max"][2]
    assert rows["addresses default"] == (20, 0, 65533, "fits")
    assert rows["BR_MAX_PORTS default"] == (20, 0, 1023, "fits")
    assert rows["id_ranges"][0] == 20 and rows["MemTotal"][0] > 0
    assert os.listdir(fleet_folder) == ["fleet.yaml"]


@pytest.mark.parametrize("verb", ["preflight", "up"])
def test_refuses_with_the_numbers(fleet_folder, verb):
    """300 sandboxes are not to be had with 256 descriptors; and the soft limit is raised before it is looked at."""
    path = fleet_file(fleet_folder, HEAD + "  a: {image: 'builtin:busybox', command: [a], scale: 300}\n")
    folders = ["--root", fleet_folder / "root", "--run", fleet_folder / "run"]
    result = shoal.run(verb, "-f", path, *folders, program=limited(fleet_folder, "ulimit -Sn 128; ulimit -Hn 256"))
    assert result.returncode == 2
    assert "the host cannot hold the fleet; nothing was started" in result.stderr
    if verb == "preflight":
        assert table(result.stdout)["RLIMIT_NOFILE"][0::2] == (1296, 256)
        assert "LimitNOFILE=" in result.stdout
    else:
        assert "the fleet needs 1296, " in result.stderr and " of 256 are in use; raise the hard limit" in result.stderr
        assert result.stdout == ""


def test_names_everything_at_once(fleet_folder):
    path = fleet_file(fleet_folder, HEAD +
                      "  a: {image: 'builtin:busybox', scale: 24100}\n"
                      "networks: {default: {x-shoal: {shard: 1000}}}\n")
    result = shoal.run("preflight", "-f", path, program=limited(fleet_folder, "ulimit -n 1000"))
    assert result.returncode == 2
    rows = table(result.stdout)
    assert rows["BR_MAX_PORTS default"] == (1024, 0, 1023, "lacks")
    assert rows["RLIMIT_NOFILE"][3] == "lacks"
    assert "services.a: no command" in result.stderr


def test_warns_where_it_is_tight(fleet, fleet_folder):
    """136 of 160 descriptors: it comes up, and says so."""
    started = fleet(HEAD + "  a: {image: 'builtin:busybox', network_mode: none, command: [sleep, '1000'], scale: 10}\n",
                    program=limited(fleet_folder, "ulimit -n 160"))
    started.wait_event("start", count=10)
    assert started.wait_message(r"warning: RLIMIT_NOFILE: descriptors of shoal: the fleet needs 136, \d+ of 160 are in use")
    assert started.stop().returncode == 0


def test_limits_are_metrics_too(fleet):
    count = 12
    started = fleet(HEAD + f"  a: {{image: 'builtin:busybox', command: [sleep, '1000'], scale: {count}}}\n",
                    "--interval", "200ms")
    started.wait_event("start", count=count)
    record = started.wait_record("host", since=started.mark(), project="demo")
    descriptors = record["limits"]["RLIMIT_NOFILE"]
    assert descriptors["needed"] == 4 * count + 96 and 4 * count < descriptors["used"] < descriptors["limit"]
    assert record["limits"]["kernel.pid_max"]["used"] >= count
    assert record["limits"]["fs.inotify.max_user_watches"]["used"] >= count
    assert record["limits"]["id_ranges"] == {"used": 256, "limit": record["limits"]["id_ranges"]["limit"], "needed": count}
    assert record["networks"]["default"]["addresses"] == {"used": count, "limit": 65533, "needed": count}
    assert record["networks"]["default"]["BR_MAX_PORTS"] == {"used": count, "limit": 1023, "needed": count}
    started.stop()


def test_descriptors_are_raised_for_shoal_alone(fleet, fleet_folder):
    started = fleet(HEAD + "  a: {image: 'builtin:busybox', network_mode: none, command: [sleep, '1000']}\n"
                           "  b: {image: 'builtin:busybox', network_mode: none, command: [sleep, '1000'], ulimits: {nofile: 300}}\n",
                    program=limited(fleet_folder, "ulimit -Sn 512; ulimit -Hn 4000"))
    started.wait_event("start", count=2)

    def limits(pid):
        with open(f"/proc/{pid}/limits") as lines:
            return next(tuple(map(int, line.split()[3:5])) for line in lines if line.startswith("Max open files"))
    assert limits(started.process.pid) == (4000, 4000)
    assert limits(started.pid_of("demo-a-1")) == (512, 4000)
    assert limits(started.pid_of("demo-b-1")) == (300, 300)
    started.stop()
