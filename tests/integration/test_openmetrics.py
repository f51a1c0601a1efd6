"""The numbers as OpenMetrics: on stdout, and asked for over HTTP."""
import contextlib
import http.client
import json
import os
import re
import signal
import socket
import stat
import subprocess

import pytest

import shoal

parser = pytest.importorskip("prometheus_client.openmetrics.parser", reason="python3-prometheus-client")

HEAD = "name: demo\nx-shoal: {degrade: true}\nservices:\n"
BUSY = "i=0; while [ $$i -lt 50000 ]; do i=$$((i+1)); done"


def families(text):
    """One exposition as a strict reader sees it: {family: {labels: value}}."""
    found = {}
    for family in parser.text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sorted(sample.labels.items()))] = sample.value
    return found


def of(found, family, **labels):
    """The one value of a family whose labels include these."""
    wanted = set(labels.items())
    values = [value for key, value in found[family].items() if wanted <= set(key)]
    assert len(values) == 1, (family, labels, values)
    return values[0]


def test_expositions_on_stdout(fleet_folder, clean_machine):
    """Each ends with EOF; a container that has ended, several times, is still in the last one with all that it used."""
    file = fleet_folder / "compose.yaml"
    file.write_text(HEAD + f"  a: {{image: 'builtin:busybox', network_mode: none, command: [sh, -c, '{BUSY}; exit 3'],\n"
                    "      restart: 'on-failure:2', x-shoal: {restart: {backoff: 10ms}}}\n"
                    "  b: {image: 'builtin:busybox', command: [sleep, '0.5']}\n")
    done = shoal.run("up", "-f", file, "--root", fleet_folder / "root", "--run", fleet_folder / "run",
                     "--metrics", "openmetrics", "--interval", "100ms")
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("# EOF\n")
    expositions = [families(part + "# EOF\n") for part in done.stdout.split("# EOF\n")[:-1]]
    assert len(expositions) >= 2
    usage = [of(e, "container_cpu_usage_seconds_total", name="demo-a-1") for e in expositions
             if "container_cpu_usage_seconds_total" in e]
    assert usage == sorted(usage) and usage[-1] > 0
    last = expositions[-1]
    assert usage[-1] > 3 * 0.01  # of three runs, each shorter than the interval
    assert of(last, "shoal_container_restarts_total", name="demo-a-1", service="a", project="demo") == 2
    assert of(last, "shoal_fleet_starts_total", project="demo") == 4
    assert of(last, "shoal_container_state", name="demo-b-1", state="removed") == 1
    assert of(last, "process_resident_memory_bytes") > 1 << 20


# ---- over HTTP

SLEEPERS = HEAD + "  a: {image: 'builtin:busybox', network_mode: none, command: [sleep, '1000'], scale: 3}\n"


def serve(fleet, *options, text=SLEEPERS, address="127.0.0.1:0"):
    """A fleet that answers scrapes: (fleet, connect), the latter giving a new socket to it."""
    started = fleet(text, "--metrics-listen", address, *options)
    url = started.wait_message(r"metrics at (\S+)/metrics").group(1)
    started.wait_event("start", count=3)

    def connect():
        if url.startswith("unix:"):
            client = socket.socket(socket.AF_UNIX)
            client.connect(url[len("unix:"):])
        else:
            client = socket.create_connection(("127.0.0.1", int(url.rsplit(":", 1)[1])))
        client.settimeout(20 * shoal.SCALE)
        return client
    return started, connect


def read_answer(client):
    """(status, {header: value}, body) of one answer on a connection."""
    answer = http.client.HTTPResponse(client)
    answer.begin()
    return answer.status, {key.lower(): value for key, value in answer.getheaders()}, answer.read().decode()


def ask(client, head="", path="/metrics", method="GET", body=b""):
    client.sendall(f"{method} {path} HTTP/1.1\r\nHost: shoal\r\n{head}\r\n".encode() + body)
    return read_answer(client)


def test_scrape(fleet):
    started, connect = serve(fleet)
    with connect() as client:
        status, head, body = ask(client, "Accept: application/openmetrics-text;version=1.0.0,text/plain;q=0.5\r\n")
        assert status == 200 and head["content-type"].startswith("application/openmetrics-text")
        found = families(body)
        assert of(found, "shoal_fleet_containers", state="running") == 3
        assert len(found["container_cpu_usage_seconds_total"]) == 3
        status, head, older = ask(client)  # on the same connection
        assert status == 200 and head["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert "# EOF" not in older and "# TYPE container_cpu_usage_seconds_total counter" in older
        assert ask(client, method="HEAD")[::2] == (200, "")
        assert ask(client, path="/nowhere")[0] == 404
        status, head, _ = ask(client, "Content-Length: 3\r\n", method="POST", body=b"abc")
        assert status == 405 and head["allow"] == "GET, HEAD"
    checked = subprocess.run(["promtool", "check", "metrics"], input=older, text=True, capture_output=True, check=False)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")
    assert started.stop().returncode == 0


def test_scrapes_leave_the_interval_alone(fleet):
    """Each scrape may cost a round of samples; stdout's are those of its own interval all the same."""
    started, connect = serve(fleet, "--interval", "1h")
    with connect() as client:
        assert ask(client)[0] == 200
    assert [r for r in started.stop().records if r["type"] == "fleet"] == []


def test_unix_socket(fleet, fleet_folder):
    path = fleet_folder / "metrics.sock"
    started, connect = serve(fleet, address=f"unix:{path}")
    assert stat.S_IMODE(path.stat().st_mode) & 0o007 == 0
    with connect() as client:
        assert ask(client)[0] == 200
    assert started.stop().returncode == 0
    assert not path.exists()


@pytest.mark.parametrize("head", [
    "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n",
    "Content-Length: 0\r\nContent-Length: 5\r\n",
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
    "Transfer-Encoding: gzip, chunked\r\n",
    "Content-Length: +5\r\n",
])
def test_a_doubtful_length_is_refused(fleet, head):
    started, connect = serve(fleet)
    with connect() as client:
        status, answer, _ = ask(client, head)
        assert status == 400 and answer["connection"].lower() == "close"
        assert client.recv(1) == b""
    assert started.stop().returncode == 0


def test_bad_clients_slow_nobody(fleet):
    """Some send nothing, some half a head, some ask and never read; the fleet lives, and others are answered."""
    text = SLEEPERS.replace("scale: 3", "scale: 100")  # an answer is more than a socket's buffers hold
    started, connect = serve(fleet, "--interval", "200ms", text=text)
    started.wait_event("start", count=100, timeout=60)
    with contextlib.ExitStack() as stack:
        for number in range(12):
            client = stack.enter_context(connect())
            if number % 3 == 1:
                client.sendall(b"GET /metrics HTTP/1.1\r\nHo")
            elif number % 3 == 2:
                client.sendall(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n" * 20)
        with connect() as good:
            for _ in range(3):
                status, _, body = ask(good)
                assert status == 200 and body.count("\ncontainer_last_seen{") == 100
        os.kill(started.pid_of("demo-a-7"), signal.SIGKILL)
        started.wait_event("die", container="demo-a-7")
        started.wait_record("supervisor", since=started.mark())
        assert started.stop(timeout=60).returncode == 0  # with all of them still there


def test_more_clients_than_are_let_in(fleet):
    started, connect = serve(fleet)
    with contextlib.ExitStack() as stack:
        for _ in range(40):
            stack.enter_context(connect())
    with connect() as client:  # they are gone: there is room again
        assert ask(client)[0] == 200
    assert started.stop().returncode == 0


def test_an_address_in_use(fleet, fleet_folder):
    started, _ = serve(fleet)
    url = started.wait_message(r"metrics at http://(\S+)/metrics").group(1)
    other = fleet_folder / "other.yaml"
    other.write_text(SLEEPERS.replace("demo", "other"))
    done = shoal.run("up", "-f", other, "--root", fleet_folder / "root", "--run", fleet_folder / "run", "--metrics-listen", url)
    assert done.returncode == 1
    assert f"listen on {url}" in done.stderr and "Address already in use" in done.stderr
    started.stop()


# ---- the dashboard

def program_families():
    """Every name that the program can expose: those of its table, with the endings of samples."""
    with open(os.path.join(shoal.REPO, "src/metrics/openmetrics.c")) as source:
        table = re.findall(r'(?:CONTAINER|PRESSURE|\{)\(?"([a-z0-9_]+)",\s*"(counter|gauge)"|PRESSURE\("([a-z0-9_]+)"', source.read())
    return {name + "_total" if kind == "counter" else name if kind else pressure + "_total" for name, kind, pressure in table}


def test_the_dashboard_asks_for_what_there_is(fleet):
    with open(os.path.join(shoal.REPO, "conf/grafana-dashboard.json")) as file:
        dashboard = json.load(file)
    queries = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]
    queries += [variable["query"] for variable in dashboard["templating"]["list"] if variable["type"] == "query"]
    asked = {name for query in queries for name in re.findall(r"\b((?:container|shoal|process)_[a-z0-9_]+)", query)}
    known = program_families()
    assert len(known) > 40 and len(asked) > 20
    assert asked <= known, asked - known
    # and the table is what comes out: whatever this machine can count is exposed
    started, connect = serve(fleet)
    with connect() as client:
        exposed = set(families(ask(client, "Accept: application/openmetrics-text\r\n")[2]))
    assert exposed <= known, exposed - known
    lacking = {"memory", "pids", "io", "cpu"} - shoal.controllers()
    assert lacking or {name for name in asked if "limit" not in name and "network" not in name} <= exposed
    identities = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(identities)) == len(identities)
    started.stop()


def test_the_dashboards_queries_are_promql(tmp_path):
    """promtool reads each as the expression of a rule."""
    with open(os.path.join(shoal.REPO, "conf/grafana-dashboard.json")) as file:
        dashboard = json.load(file)
    rules = []
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            query = target["expr"].replace("$__rate_interval", "1m").replace("$top", "10")
            rules.append({"record": f"panel:{panel['id']}:{target['refId']}", "expr": query})
    path = tmp_path / "rules.yml"
    path.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))  # JSON is YAML
    checked = subprocess.run(["promtool", "check", "rules", str(path)], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr
