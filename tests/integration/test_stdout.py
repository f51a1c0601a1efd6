"""What goes to stdout, and what a bad reader does to it; the containers' logs."""
import json
import os
import re
import signal
import subprocess

import shoal

HEAD = "name: demo\nx-shoal: {degrade: true}\nservices:\n"
TIME = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$")


def service(name, script, extra=""):
    quoted = script.replace("'", "''").replace("$", "$$")
    return (f"  {name}:\n    image: builtin:busybox\n    network_mode: none\n    command: [sh, -c, '{quoted}']\n{extra}")


def test_records_are_as_documented(fleet):
    text = HEAD + "  a: {image: 'builtin:busybox', command: [sh, -c, 'i=0; while :; do i=$$((i+1)); done']}\n"
    started = fleet(text, "--interval", "100ms")
    start = started.wait_event("start", container="demo-a-1")
    sample = started.wait_record("container", container="demo-a-1",
                                 check=lambda r: r["state"] == "running" and r.get("cpu", {}).get("usage_usec", 0) > 0)
    boss = started.wait_record("supervisor", check=lambda r: "loop_lag_usec" in r)  # absent while nothing was measured
    started.stop()
    for record in started.records:
        assert TIME.match(record["time"]) and list(record)[:2] == ["time", "type"], record
    assert (start["project"], start["service"], start["container"]) == ("demo", "a", "demo-a-1")
    assert re.fullmatch("[0-9a-f]{64}", start["id"]) and start["took_usec"] > 0
    assert sample["id"] == start["id"]
    assert {"some_avg10", "some_total"} <= set(sample["pressure"]["cpu"])
    assert sample["net"]["tx_packets"] >= 0 and "rx_bytes" in sample["net"]
    assert boss["rss"] > 0 and boss["fds"] > 0 and boss["stdout_dropped"] == 0
    assert set(boss["loop_lag_usec"]) == {"p50", "p99", "max"}
    died = started.events("die")[0]
    assert died["wall_usec"] > 0 and died["usage_usec"] > 0


def test_absent_counters_are_absent(fleet):
    missing = {"memory", "pids", "io"} - shoal.controllers()
    started = fleet(HEAD + service("a", "sleep 100"), "--interval", "100ms")
    sample = started.wait_record("container", state="running")
    started.stop()
    for name in missing:
        assert name not in sample, name


def test_metrics_off_says_nothing(fleet):
    result = fleet(HEAD + service("a", "exit 0"), "--metrics", "off").wait()
    assert result.records == [] and result.returncode == 0


def up(folder, text, **keywords):
    """shoal up with descriptors of the test's own."""
    folder.mkdir(mode=0o711)
    (folder / "compose.yaml").write_text(text)
    return subprocess.Popen([shoal.BIN, "up", "-f", str(folder / "compose.yaml"), "--root", str(folder / "root"),
                             "--run", str(folder / "run"), "--interval", "100ms"], stdin=subprocess.DEVNULL, **keywords)


def test_a_closed_stdout_kills_nothing(fleet_folder, clean_machine):
    read_end, write_end = os.pipe()
    process = up(fleet_folder / "closed", HEAD + service("a", "exit 7", "    restart: on-failure:2\n"), stdout=write_end,
                 stderr=subprocess.DEVNULL)
    os.close(write_end)
    os.close(read_end)
    assert process.wait(30 * shoal.SCALE) == 0


def test_a_reader_that_does_not_read_costs_records_not_time(fleet_folder, clean_machine):
    """Stdout is a full pipe: the fleet lives and dies all the same; when the reader wakes, a gap names what is lost."""
    text = (HEAD.replace("degrade: true", "degrade: true, restart: {backoff: 1ms, max: 1ms}") +
            "  a: {image: 'builtin:busybox', network_mode: none, scale: 20, command: ['true'], restart: always}\n")
    process = up(fleet_folder / "slow", text, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    seq = fleet_folder / "slow" / "run" / "demo" / "seq"
    wanted = 20_000  # events: more than pipe and buffer hold
    try:
        shoal.wait_for(lambda: seq.exists() and int.from_bytes(seq.read_bytes()[:8], "little") > wanted, timeout=300,
                       what="a supervisor that goes on although nobody reads")
    finally:
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=30 * shoal.SCALE)
    assert process.returncode == 0
    records = [json.loads(line) for line in output.decode().splitlines()]
    gaps = [r for r in records if r["type"] == "gap"]
    assert gaps and all(g["from"] <= g["to"] for g in gaps)
    last = 0
    for record in records:  # events and gaps together leave nothing out
        if record["type"] == "gap":
            assert record["from"] == last + 1
            last = record["to"]
        elif record["type"] == "event":
            assert record["seq"] == last + 1
            last = record["seq"]


def test_stdout_on_a_full_disk(fleet_folder, clean_machine):
    with open("/dev/full", "w") as full:
        process = up(fleet_folder / "full", HEAD + service("a", "exit 0"), stdout=full, stderr=subprocess.DEVNULL)
        assert process.wait(30 * shoal.SCALE) == 0


def test_logs_are_json_file(fleet):
    started = fleet(HEAD + service("a", "echo out; echo err >&2; printf tail"))
    started.wait()
    records = started.log_records("demo-a-1")
    assert sorted((r["stream"], r["log"]) for r in records) == [("stderr", "err\n"), ("stdout", "out\n"), ("stdout", "tail")]


def test_logs_rotate(fleet):
    extra = "    logging: {driver: json-file, options: {max-size: 4k, max-file: '3'}}\n"
    started = fleet(HEAD + service("a", "for i in $(seq 1000); do echo line number $i; done", extra))
    started.wait()
    folder = os.path.join(started.root, "logs", "demo")
    sizes = {name: os.path.getsize(os.path.join(folder, name)) for name in os.listdir(folder)}
    assert len(sizes) == 3 and all(size <= 4096 for size in sizes.values())
    assert started.log_records("demo-a-1")[-1]["log"] == "line number 1000\n"


def test_no_log(fleet):
    started = fleet(HEAD + service("a", "echo unheard", "    logging: {driver: none}\n"))
    started.wait()
    assert not os.path.exists(os.path.join(started.root, "logs", "demo", "demo-a-1-json.log"))


def test_logs_option_shows_output_with_names(fleet):
    result = fleet(HEAD + service("a", "echo hello; printf there"), "--logs").wait()
    assert "demo-a-1  | hello" in result.messages and "demo-a-1  | there" in result.messages


def test_a_flood_slows_itself_only(fleet):
    extra = "    logging: {driver: json-file, options: {max-size: 1m, max-file: '2'}}\n"
    text = HEAD + service("flood", "while :; do cat /bin/busybox; done", extra) + service("quiet", "sleep 0.5; exit 3")
    started = fleet(text, "--interval", "200ms")
    died = started.wait_event("die", container="demo-quiet-1", timeout=20)
    assert died["exitCode"] == 3
    boss = started.wait_record("supervisor", since=started.mark())
    assert boss["rss"] < 64 << 20 or "san" in shoal.BIN  # sanitizers keep freed memory for a while
    assert started.stop(timeout=20).returncode == 0
