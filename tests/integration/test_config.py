"""`shoal config`: what it prints of a fleet, and what it says. Nothing is started, so no sandbox is left behind."""
import json
import os
import pty
import subprocess

import shoal


def write(folder, **files):
    for name, text in files.items():
        (folder / (name.replace("_", ".") + ".yaml")).write_text(text)


def test_yaml_and_json_say_the_same(tmp_path):
    write(tmp_path, compose="name: demo\nservices: {web: {image: web, ports: ['80:80'], mem_limit: 64m}}\n")
    printed = shoal.run("config", cwd=tmp_path)
    assert printed.returncode == 0
    assert "not carried out yet" in printed.stderr and "compose.yaml:2:" in printed.stderr
    again = shoal.run("config", "--format", "json", cwd=tmp_path)
    web = json.loads(again.stdout)["services"]["web"]
    assert web["mem_limit"] == "67108864" and web["ports"][0]["published"] == "80"
    (tmp_path / "printed.yaml").write_text(printed.stdout)
    assert shoal.run("config", "-f", "printed.yaml", "--format", "json", cwd=tmp_path).stdout == again.stdout


def test_files_are_merged_and_an_override_is_found(tmp_path):
    write(tmp_path, compose="name: demo\nservices: {a: {image: one, environment: {A: 1}}}\n",
          compose_override="services: {a: {environment: {B: 2}}}\n", third="services: {a: {image: three}}\n")
    assert json.loads(shoal.run("config", "--format", "json", cwd=tmp_path).stdout)["services"]["a"]["environment"] == {
        "A": "1", "B": "2"}
    done = shoal.run("config", "-f", "compose.yaml", "-f", "third.yaml", "--images", cwd=tmp_path)
    assert done.returncode == 0 and done.stdout == "three\n"


def test_parts_one_a_line(tmp_path):
    write(tmp_path, compose="name: demo\nservices:\n  b: {image: i, volumes: ['vol:/v'], networks: [n]}\n  a: {build: .}\n"
          "  c: {image: z, profiles: [p, q]}\nvolumes: {vol: , unused: }\nnetworks: {n: }\n")
    for part, lines in {"--services": "a\nb\n", "--volumes": "vol\n", "--networks": "default\nn\n", "--images": "demo-a\ni\n",
                        "--profiles": "p\nq\n"}.items():
        assert shoal.run("config", part, cwd=tmp_path).stdout == lines, part
    assert shoal.run("config", "--services", "--profile", "p", cwd=tmp_path).stdout == "a\nb\nc\n"
    hashes = shoal.run("config", "--hash", "*", cwd=tmp_path).stdout.split()
    assert hashes[0::2] == ["a", "b"] and all(len(h) == 64 for h in hashes[1::2])
    assert shoal.run("config", "--hash", "b", cwd=tmp_path).stdout.split() == hashes[2:]
    assert shoal.run("config", "b", "--services", cwd=tmp_path).stdout == "b\n"
    write(tmp_path, compose="services: {a: {image: i}, b: {image: i, env_file: absent.env}}\n")
    assert shoal.run("config", "--images", cwd=tmp_path).stdout == "i\ni\n"  # one for each service
    refused = shoal.run("config", "--environment", cwd=tmp_path)
    assert refused.returncode == 2 and "absent.env: there is no such file" in refused.stderr
    (tmp_path / "absent.env").touch()
    assert shoal.run("config", "-q", cwd=tmp_path).stdout == ""


def test_variables_may_stay(tmp_path):
    write(tmp_path, compose="name: demo\nservices: {a: {image: \"i:${TAG:-1}\", ports: [\"${PORT}:80\"]}}\n")
    done = shoal.run("config", "--no-interpolate", cwd=tmp_path)
    assert done.returncode == 0 and "i:${TAG:-1}" in done.stdout and "${PORT}:80" in done.stdout
    (tmp_path / ".env").write_text("TAG=from-file\n")
    assert "\nTAG=from-file\n" in shoal.run("config", "--environment", cwd=tmp_path).stdout


def test_a_name_stays_as_written_where_nothing_is_normalised(tmp_path):
    write(tmp_path, compose="name: The Reef!\nservices: {a: {image: i}}\n")
    for options, name in {(): "thereef", ("--no-normalize",): "The Reef!", ("--no-normalize", "-p", "bay"): "bay"}.items():
        assert json.loads(shoal.run("config", "--format", "json", *options, cwd=tmp_path).stdout)["name"] == name
    write(tmp_path, compose="services: {a: {image: i}}\n")
    assert "name" not in json.loads(
        shoal.run("config", "--no-normalize", "--no-interpolate", "--format", "json", cwd=tmp_path).stdout)


def test_every_mistake_of_every_file_in_one_run(tmp_path):
    write(tmp_path, compose="services:\n  a: {imagee: x}\n  b: {image: x, depends_on: [c]}\n",
          more="services:\n  b: {mem_limit: \"${SIZE:-64Q}\"}\n")
    done = shoal.run("config", "-f", "compose.yaml", "-f", "more.yaml", cwd=tmp_path)
    assert done.returncode == 2 and done.stdout == ""
    assert 'compose.yaml:2:7: services.a.imagee: unknown key; did you mean "image"?\n' in done.stderr
    assert 'compose.yaml:3:30: services.b.depends_on.c: there is no service "c"' in done.stderr
    assert "more.yaml:2:7: services.b.mem_limit: \"64Q\" is not a size" in done.stderr
    assert "(from more.yaml:2:7, variable SIZE)" in done.stderr


def test_a_terminal_sees_the_line(tmp_path):
    write(tmp_path, compose="services:\n  a: {image: x, prots: [80]}\n")
    ours, theirs = pty.openpty()
    done = subprocess.run([shoal.BIN, "config"], cwd=tmp_path, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=theirs, check=False)
    os.close(theirs)
    said = os.read(ours, 4096).decode().replace("\r\n", "\n")
    os.close(ours)
    assert done.returncode == 2
    assert said == ('compose.yaml:2:17: services.a.prots: unknown key; did you mean "ports"?\n'
                    "     2 |   a: {image: x, prots: [80]}\n       |                 ^\n")
