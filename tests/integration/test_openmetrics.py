"""The numbers as OpenMetrics: on stdout, and asked for over HTTP."""
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
    assert of(last, "shoal_container_restarts_total", name="demo-a-1", service="a", project="demo") == 2
    assert of(last, "shoal_fleet_starts_total", project="demo") == 4
    assert of(last, "shoal_container_state", name="demo-b-1", state="removed") == 1
    assert of(last, "process_resident_memory_bytes") > 1 << 20
