"""x-shoal.groups and x-shoal.budget: directories around those of the containers, what is said of them, what their limits do."""
import os

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

import shoal
from test_control import Controlled

HEAD = ("name: demo\nx-shoal:\n  degrade: true\n  pool: 0\n  groups:\n    browsers: {}\n    important/containers: {}\nservices:\n")


def service(name, group="", script="sleep 1000", extra=""):
    x = f"    x-shoal: {{group: {group}}}\n" if group else ""
    return (f"  {name}:\n    image: builtin:busybox\n    network_mode: none\n    command: [sh, -c, '{script}']\n{x}{extra}")


FLEET = service("a", "browsers") + service("b", "important/containers", extra="    deploy: {replicas: 2}\n") + service("c")
NAMES = ("demo-a-1", "demo-b-1", "demo-b-2", "demo-c-1")


def project_of(started):
    return os.path.dirname(started.cgroup_of("demo-c-1"))


def start(fleet, text=HEAD + FLEET, **keywords):
    started = fleet(text, "--interval", "100ms", **keywords)
    for name in NAMES:
        started.wait_event("start", container=name)
    return started


def test_each_in_its_directory(fleet):
    started = start(fleet)
    project = project_of(started)
    assert started.cgroup_of("demo-a-1") == f"{project}/browsers/demo-a-1"
    assert started.cgroup_of("demo-b-2") == f"{project}/important/containers/demo-b-2"
    started.stop()
    assert not os.path.exists(project)


def test_records(fleet):
    burns = service("a", "browsers", "while :; do :; done")
    started = start(fleet, HEAD + burns + FLEET.split("\n", 5)[5])
    for group in ("browsers", "important", "important/containers"):
        assert "usage_usec" in started.wait_record("group", group=group, project="demo")["cpu"]
    assert started.wait_record("container", container="demo-a-1")["group"] == "browsers"
    assert started.wait_record("container", container="demo-b-1")["group"] == "important/containers"
    assert "group" not in started.wait_record("container", container="demo-c-1")
    busy = started.wait_record("group", group="browsers", check=lambda r: r["cpu"]["usage_usec"] > 100_000)
    idle = started.wait_record("group", group="important", since=started.mark())
    again = started.wait_record("group", group="browsers", check=lambda r: r["cpu"]["usage_usec"] > busy["cpu"]["usage_usec"])
    member = started.wait_record("container", container="demo-a-1", since=started.mark())
    assert idle["cpu"]["usage_usec"] < again["cpu"]["usage_usec"]
    assert member["cpu"]["usage_usec"] >= again["cpu"]["usage_usec"] - 50_000  # the sum of one is that one
    started.stop()


def test_what_goes_over_links_is_never_counted_back(fleet):
    """A container's counters begin anew with each run; its groups' go on."""
    talks = service("a", "important/containers", "while :; do nc -w 1 10.77.0.1 9; sleep 0.02; done",
                    "    restart: always\n").replace("    network_mode: none\n", "")
    text = HEAD.replace("  groups:", "  restart: {backoff: 10ms, factor: 1}\n  groups:")
    started = fleet(text + talks + "networks: {default: {ipam: {config: [{subnet: 10.77.0.0/24}]}}}\n", "--interval", "100ms")
    for count in range(1, 4):
        started.wait_event("start", container="demo-a-1", count=count)
        started.wait_record("container", since=started.mark(), check=lambda r: r.get("net", {}).get("tx_packets", 0) > 3)
        os.kill(started.pid_of("demo-a-1"), 9)
        started.wait_event("die", container="demo-a-1", count=count)
    started.wait_record("group", group="important", since=started.mark())
    result = started.stop()
    ended = [r["net"]["tx_bytes"] for r in result.events("die") if "net" in r]
    for group in ("important", "important/containers"):
        records = [r["net"] for r in result.records if r["type"] == "group" and r["group"] == group and "net" in r]
        for counter in ("rx_bytes", "tx_bytes", "tx_packets"):
            seen = [r[counter] for r in records]
            assert seen == sorted(seen), seen
        assert len(ended) >= 3 and records[-1]["tx_bytes"] >= sum(ended[:3]) > 0
    assert not [r for r in result.records if r["type"] == "group" and r["group"] == "browsers" and "net" in r]


def test_a_killed_supervisor_leaves_nothing_for_the_next(fleet):
    started = start(fleet)
    project = project_of(started)
    started.kill()
    again = start(fleet, HEAD.replace("important/containers", "other") + service("a", "other") + service("c") +
                  service("b", "other", extra="    deploy: {replicas: 2}\n"), folder=started.folder)
    for name in NAMES:
        again.wait_message(f"{name}: left by a supervisor that was killed")
    assert sorted(e for e in os.listdir(project) if os.path.isdir(f"{project}/{e}")) == ["browsers", "demo-c-1", "other"]
    again.stop()
    assert not os.path.exists(project)


def test_requests_to_a_group(fleet):
    it = Controlled(lambda text, **keywords: fleet(HEAD + FLEET, **keywords), "")
    for name in NAMES:
        it.fleet.wait_event("start", container=name)
    answer = it.ask("pause", "important", kind="group")
    assert (answer["done"], answer["count"]) == (2, 2)
    assert {event["container"] for event in it.fleet.events("pause")} == {"demo-b-1", "demo-b-2"}
    assert it.ask("restart", "important/containers", kind="group")["done"] == 2
    assert it.answer(it.send("stop", "nosuch", kind="group"))["error"] == "no such group: nosuch"
    assert it.ask("kill", "browsers", kind="group") == "done"
    it.fleet.stop()


def test_openmetrics(fleet_folder):
    file = fleet_folder / "fleet.yaml"
    file.write_text(HEAD + service("a", "browsers", "exit 0") + service("b", "important/containers", "exit 0"))
    ran = shoal.run("up", "-f", file, "--root", fleet_folder / "root", "--run", fleet_folder / "run", "--metrics", "openmetrics",
                    "--interval", "100ms")
    assert ran.returncode == 0, ran.stderr
    last = ran.stdout.split("# EOF\n")[-2]
    for group in ("browsers", "important", "important/containers"):
        assert f'shoal_group_cpu_usage_seconds_total{{project="demo",group="{group}"}} ' in last
    assert 'shoal_container_state{project="demo",group="browsers",service="a",name="demo-a-1",state="' in last
    families = {family.name for family in text_string_to_metric_families(last + "# EOF\n")}
    assert {"shoal_group_cpu_usage_seconds", "shoal_group_pressure_waiting_seconds"} <= families


@pytest.mark.skipif(not os.path.exists(shoal.FAULTS_BIN), reason="no test build: make faults")
@pytest.mark.parametrize("stage", ["cgroup", "link", "exec"])
def test_a_start_that_fails_in_a_group_with_rates(fleet, stage):
    """The fixtures see to it that nothing is left: directories, links, ifbs."""
    text = ("name: demo\nx-shoal: {degrade: true, groups: {a/b: {}}}\nservices:\n  web:\n    image: builtin:busybox\n"
            "    command: [sleep, '1000']\n    x-shoal: {group: a/b, net: {egress: 1mbit, ingress: 1mbit}}\n")
    started = fleet(text, program=shoal.FAULTS_BIN, environ={"SHOAL_FAULT": f"stage:{stage}"})
    died = started.wait_event("die", container="demo-web-1", group="a/b")
    assert died["error"] == f"demo-web-1: {stage}: injected: Input/output error"
    assert started.wait().returncode == 1


def test_errors(fleet_folder):
    file = fleet_folder / "bad.yaml"
    file.write_text("name: demo\nx-shoal: {groups: {a.b: {}, demo-a-1: {}, ww: {image: x, mem_limit: 1}}, budget: {ulimits: {}}}\nservices:\n" +
                    service("a", "nosuch") + service("b", extra="    container_name: ww\n"))
    ran = shoal.run("up", "-f", file)
    assert ran.returncode == 2
    for words in ("2:20: x-shoal.groups.a.b: \"a.b\" is no path of a group", "2:48: x-shoal.groups.ww.image: is no limit of a group",
                  "4:3: services.a: a group and a container would both be \"demo-a-1\"",
                  "services.b: a group and a container would both be \"ww\"",
                  "2:58: x-shoal.groups.ww.mem_limit: 1 bytes are too little", "x-shoal.budget.ulimits: is no limit of a group",
                  "x-shoal.group: there is no group \"nosuch\" in x-shoal.groups"):
        assert words in ran.stderr, ran.stderr


def test_a_host_without_controllers(fleet_folder):
    if shoal.controllers() >= {"memory"}:
        pytest.skip("this host has them")
    file = fleet_folder / "fleet.yaml"
    file.write_text("name: demo\nx-shoal: {groups: {w: {mem_limit: 64m}}}\nservices:\n" + service("a", "w"))
    ran = shoal.run("preflight", "-f", file)
    assert ran.returncode == 2 and "fleet.yaml:2:24: x-shoal.groups.w.mem_limit: needs the memory controller" in ran.stderr, ran.stderr


@pytest.mark.parametrize("key, words", [
    ("blkio_config: {weight: 100}", "blkio_config.weight: needs io.weight or io.bfq.weight of cgroup v2, which this host lacks"),
    ("x-shoal: {rdma: {a: {hca_handle: 1}}}", "x-shoal.rdma.a: needs the rdma controller of cgroup v2, which this host lacks"),
    ("x-shoal: {misc: {sev: 1}}", "x-shoal.misc.sev: needs the misc controller of cgroup v2, which this host lacks"),
], ids=["weight", "rdma", "misc"])
def test_what_a_host_without_controllers_says(fleet, fleet_folder, key, words):
    if shoal.controllers() & {"io", "rdma", "misc"}:
        pytest.skip("this host has them")
    text = "name: demo\nx-shoal: {%s}\nservices:\n" + service("a", extra=f"    {key}\n")
    file = fleet_folder / "fleet.yaml"
    file.write_text(text % "pool: 0")
    ran = shoal.run("preflight", "-f", file)
    assert ran.returncode == 2 and "services.a." + words in ran.stderr, ran.stderr
    started = fleet(text % "pool: 0, degrade: true")
    started.wait_event("start")
    assert [line for line in started.messages if "not carried out: this host lacks" in line]
    started.stop()


LIMITED = ("name: demo\nx-shoal:\n  budget: {mem_limit: 300m, pids_limit: 200}\n  groups:\n    browsers: {mem_limit: 64m, cpus: 0.5}\n"
           "services:\n")


@pytest.mark.needs_controllers
def test_limits(fleet):
    eat = "until dd if=/dev/zero of=/tmp/x bs=1M count=100 2>/dev/null; do :; done; sleep 1000"
    started = fleet(LIMITED + service("a", "browsers", eat, "    tmpfs: [/tmp]\n") + service("b", "browsers"), "--interval", "200ms")
    started.wait_event("start", container="demo-b-1")
    died = started.wait_event("die", container="demo-a-1", timeout=30)
    assert died["cause"] == "oom" and died["oom"]["level"] == "group", died
    project = os.path.dirname(os.path.dirname(started.cgroup_of("demo-b-1")))
    values = {name: open(f"{project}/{name}").read().strip()
              for name in ("memory.max", "pids.max", "browsers/memory.max", "browsers/cpu.max", "browsers/cgroup.controllers")}
    assert values.pop("browsers/cgroup.controllers").split() >= ["cpu"]
    assert values == {"memory.max": str(300 << 20), "pids.max": "200", "browsers/memory.max": str(64 << 20),
                      "browsers/cpu.max": "50000 100000"}
    assert started.wait_record("group", group="browsers")["memory"]["max"] == 64 << 20
    assert started.wait_record("group", group="/")["memory"]["max"] == 300 << 20
    folder = started.folder
    started.kill()
    again = fleet("name: demo\nx-shoal: {pool: 0}\nservices:\n" + service("b"), folder=folder)
    again.wait_event("start", since=1)
    assert open(os.path.dirname(again.cgroup_of("demo-b-1")) + "/memory.max").read().strip() == "max"  # no budget is left over
    again.stop()
