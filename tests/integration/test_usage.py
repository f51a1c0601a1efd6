"""What the program says to somebody who types it: exit 2 and a message on stderr for bad usage, stdout kept clean."""
import re

import pytest

import shoal


def test_version_is_one_line_on_stdout():
    done = shoal.run("version")
    assert done.returncode == 0
    assert re.fullmatch(r"shoal \d+\.\d+\.\d+\n", done.stdout)
    assert done.stderr == ""


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], ["up", "--help"]])
def test_help_goes_to_stdout(arguments):
    done = shoal.run(*arguments)
    assert done.returncode == 0
    for word in ("usage: shoal", "up", "version", "--root", "--interval"):
        assert word in done.stdout
    assert done.stderr == ""


@pytest.mark.parametrize("arguments, names", [
    ([], "up"),
    (["swim"], "swim"),
    (["vresion"], "version"),
    (["--swim"], "swim"),
    (["up", "--swim"], "swim"),
    (["up", "-f"], "'f'"),
    (["up", "--interval", "soon"], "soon"),
    (["up", "--metrics", "xml"], "xml"),
    (["version", "now"], "now"),
])
def test_bad_usage_ends_with_2_and_names_the_word(arguments, names):
    done = shoal.run(*arguments)
    assert done.returncode == 2
    assert names in done.stderr
    assert done.stdout == ""


def test_a_file_that_is_not_there_ends_with_2(tmp_path):
    path = tmp_path / "nowhere.yaml"
    done = shoal.run("up", "-f", path, "--root", tmp_path / "root", "--run", tmp_path / "run")
    assert done.returncode == 2
    assert str(path) in done.stderr and "No such file" in done.stderr
    assert done.stdout == ""


def test_no_file_here_or_above_ends_with_2(tmp_path):
    done = shoal.run("up", "--root", tmp_path / "root", "--run", tmp_path / "run", cwd=tmp_path)
    assert done.returncode == 2
    assert "compose.yaml" in done.stderr
    assert done.stdout == ""
