"""Fleet files that are wrong, as the program answers them: every mistake, with its place; nothing started; status 2."""
import re

import shoal

TEN = """\
name: demo
services:
  web:
    image: registry.example/web:1
    mem_limit: 64Q
    restart: sometimes
    privileged: true
    healthcheck: {test: [CMD, 'true']}
    comand: [sleep]
  db:
    image: builtin:busybox
    networks: [nowhere]
    stop_grace_period: soon
    depends_on: [nobody]
    sysctls: {kernel.panic: 1}
"""


def refused(folder, text):
    path = folder / "bad.yaml"
    path.write_text(text)
    result = shoal.run("up", "-f", path, "--root", folder / "root", "--run", folder / "run")
    assert result.returncode == 2 and result.stdout == ""
    return [line for line in result.stderr.splitlines() if re.match(r".*bad\.yaml:\d+:\d+: ", line)]


def test_ten_mistakes_have_ten_places(fleet_folder):
    lines = refused(fleet_folder, TEN)
    places = [tuple(map(int, re.search(r":(\d+):(\d+): ", line).groups())) for line in lines]
    assert [row for row, _ in places] == [4, 5, 6, 7, 8, 9, 12, 13, 14, 15]
    assert places == sorted(places) and all(column > 1 for _, column in places)
    assert 'services.web.mem_limit: "64Q" is not a size' in lines[1]
    assert "command" in lines[5]  # the nearest known key
    assert not (fleet_folder / "run").exists() and not (fleet_folder / "root").exists()


def test_controller_that_the_host_lacks(fleet_folder):
    missing = {"memory"} - shoal.controllers()
    if not missing:
        return  # this host has all: nothing to refuse
    path = fleet_folder / "needs.yaml"
    path.write_text("name: demo\nservices:\n  a: {image: 'builtin:busybox', command: ['true'], network_mode: none, mem_limit: 64m}\n")
    result = shoal.run("up", "-f", path, "--root", fleet_folder / "root", "--run", fleet_folder / "run")
    assert result.returncode == 2 and result.stdout == ""
    assert "needs.yaml:3:" in result.stderr and "services.a.mem_limit" in result.stderr and "memory controller" in result.stderr
    path.write_text("x-shoal: {degrade: true}\n" + path.read_text())
    result = shoal.run("up", "-f", path, "--root", fleet_folder / "root", "--run", fleet_folder / "run")
    assert result.returncode == 0 and "not carried out" in result.stderr and "services.a.mem_limit" in result.stderr


def test_no_file(fleet_folder):
    result = shoal.run("up", cwd=fleet_folder)
    assert result.returncode == 2 and "no fleet file" in result.stderr


def test_file_is_found_in_a_parent(fleet_folder):
    below = fleet_folder / "a" / "b"
    below.mkdir(parents=True)
    (fleet_folder / "compose.yml").write_text("name: demo\nservices: {a: {image: nothing}}\n")
    result = shoal.run("up", cwd=below)
    assert result.returncode == 2 and "compose.yml:2:" in result.stderr


def test_a_service_without_a_command(fleet_folder):
    path = fleet_folder / "none.yaml"
    path.write_text("name: demo\nservices:\n  a: {image: 'builtin:busybox'}\n")
    result = shoal.run("up", "-f", path, "--root", fleet_folder / "root", "--run", fleet_folder / "run")
    assert result.returncode == 2 and result.stdout == ""
    assert "none.yaml:3:" in result.stderr and "services.a: no command" in result.stderr
    assert not (fleet_folder / "run").exists()
