import os
import re
import subprocess
import tomllib
from pathlib import Path
from shutil import copytree

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = [ROOT / "scripts" / name for name in ("demo", "lint", "lock", "mutate", "setup.sh", "test", "uv.sh")]
PROJECTS = [ROOT / "pyproject.toml", *sorted(ROOT.glob("*/*/pyproject.toml"))]
LOCKS = [ROOT / "requirements.lock", ROOT / "requirements-bootstrap.lock"]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of the scripts in a folder with a space, whose set-up and programs only say what they are asked for."""
    tree = tmp_path / "a tree"
    copytree(ROOT / "scripts", tree / "scripts")
    copytree(ROOT / ".ci", tree / ".ci")
    write_program(tree / "scripts" / "setup.sh", "echo setup >&2")
    for name in ("wattpool", "pytest", "ruff", "mypy"):
        write_program(tree / ".venv" / "bin" / name, f'echo {name} "$@"')
    return tree


def write_program(path: Path, command: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{command}\n")
    path.chmod(0o755)


def run(command: Path, *arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 -- our own scripts
        [command, *arguments],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize("script", [*SCRIPTS, ROOT / ".ci" / "run"], ids=lambda path: path.name)
def test_a_script_can_be_run_and_stops_at_the_first_error(script: Path) -> None:
    assert os.access(script, os.X_OK)
    lines = script.read_text().splitlines()
    assert lines[0] == "#!/bin/sh"
    assert lines[1].startswith("# ")
    assert "set -eu" in lines


def test_the_demo_passes_its_arguments_on_and_stays_where_it_was_called(tree: Path, tmp_path: Path) -> None:
    write_program(tree / ".venv" / "bin" / "wattpool", 'pwd; printf "<%s>" "$@"')
    link = tmp_path / "link"
    link.symlink_to(tree / "scripts" / "demo")
    result = run(link, "--profiles", "my homes.csv", cwd=tmp_path)
    assert result.stdout == f"{tmp_path}\n<simulate><--profiles><my homes.csv>"
    assert result.stderr == "setup\n"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], "pytest -m not long\n"),
        (["-x", "tests/unit"], "pytest -m not long -x tests/unit\n"),
        (["--long"], "pytest \n"),
        (["--long", "-x"], "pytest -x\n"),
    ],
)
def test_long_tests_run_only_when_asked_for(tree: Path, tmp_path: Path, arguments: list[str], expected: str) -> None:
    result = run(tree / "scripts" / "test", *arguments, cwd=tmp_path)
    assert result.stdout.replace("pytest\n", "pytest \n") == expected


def test_every_change_is_linted_then_tested(tree: Path, tmp_path: Path) -> None:
    result = run(tree / ".ci" / "run", cwd=tmp_path)
    assert result.returncode == 0
    first, second, third, fourth = result.stdout.splitlines()
    assert (first, second, fourth) == ("ruff check", "ruff format --check", "pytest -m not long")
    assert third.startswith("mypy chaincode meter-agent network orchestrator tests")


@pytest.mark.parametrize("failing", ["ruff", "mypy", "pytest"])
def test_what_fails_fails_the_whole_run(tree: Path, tmp_path: Path, failing: str) -> None:
    write_program(tree / ".venv" / "bin" / failing, "exit 5")
    assert run(tree / ".ci" / "run", cwd=tmp_path).returncode == 5


@pytest.mark.parametrize(
    ("verdicts", "returncode", "scores"),
    [
        ({"a.m.one": ["killed"] * 16 + ["timeout"] + ["survived"] * 3}, 0, [" 85.0 %    17 of    20  a.m.one"]),
        ({"a.m.one": ["killed"] * 16 + ["survived"] * 3}, 1, [" 84.2 %    16 of    19  a.m.one"]),
        (
            {"a.one": ["killed"], "a.two": ["no tests"]},
            1,
            ["100.0 %     1 of     1  a.one", "  0.0 %     0 of     1  a.two"],
        ),
        ({"a.one": ["killed", "not checked"]}, 1, [" 50.0 %     1 of     2  a.one"]),
        ({}, 1, []),
    ],
)
def test_a_module_of_which_too_many_mutants_survive_fails(
    tree: Path, verdicts: dict[str, list[str]], returncode: int, scores: list[str]
) -> None:
    lines = [
        f"    {module}.x_f__mutmut_{number}: {status}"
        for module, statuses in verdicts.items()
        for number, status in enumerate(statuses, 1)
    ]
    (tree / "verdicts").write_text("".join(f"{line}\n" for line in lines))
    write_program(tree / "scripts" / "uv.sh", "case $* in *results*) cat ../verdicts ;; esac")
    result = run(tree / "scripts" / "mutate", cwd=tree)
    noticed = re.compile(": (killed|timeout|not checked)$")
    assert result.stdout.splitlines() == [*(line for line in lines if not noticed.search(line)), *scores]
    assert result.returncode == returncode


def test_modules_that_were_not_chosen_are_not_judged(tree: Path) -> None:
    (tree / "verdicts").write_text("    a.one.x_f__mutmut_1: killed\n    a.two.x_g__mutmut_1: not checked\n")
    write_program(
        tree / "scripts" / "uv.sh", 'case $* in *results*) cat ../verdicts ;; *) echo "${*##* mutmut }" ;; esac'
    )
    result = run(tree / "scripts" / "mutate", "one", "three", cwd=tree)
    chosen = "run wattpool_chaincode.*.one.* wattpool_chaincode.*.three.*"
    assert result.stdout.splitlines() == [chosen, "100.0 %     1 of     1  a.one"]
    assert result.returncode == 0


@pytest.mark.parametrize(
    ("python", "message"),
    [
        ("", "wattpool: Python 3.11 or later with the modules venv and ensurepip is missing\n"),
        ("old", "wattpool: PYTHON=old is no Python 3.11 or later with the modules venv and ensurepip\n"),
    ],
)
def test_set_up_without_a_fitting_python_says_so_in_one_line(tree: Path, python: str, message: str) -> None:
    copytree(ROOT / "scripts", tree / "scripts", dirs_exist_ok=True)
    programs = tree / "bin"
    for name in ("python3.13", "python3.12", "python3.11", "python3", "old"):
        write_program(programs / name, "exit 1")
    for name in ("cat", "dirname", "readlink", "rm"):
        (programs / name).symlink_to(which(name))
    result = run(tree / "scripts" / "demo", cwd=tree, PATH=str(programs), PYTHON=python)
    assert (result.returncode, result.stderr) == (2, message)


def which(name: str) -> Path:
    return next(path for folder in os.get_exec_path() if (path := Path(folder, name)).exists())


@pytest.mark.parametrize("project", PROJECTS, ids=lambda path: path.parent.name)
def test_every_dependency_is_locked(project: Path) -> None:
    description = tomllib.loads(project.read_text())
    groups = description.get("dependency-groups", {})
    wanted = {
        re.split(r"[^A-Za-z0-9-]", dependency)[0]
        for dependencies in (
            description["project"]["dependencies"],
            description.get("build-system", {}).get("requires", []),
            *groups.values(),
        )
        for dependency in dependencies
    }
    ours = {tomllib.loads(path.read_text())["project"]["name"] for path in PROJECTS}
    locked = set(re.findall(r"^([a-z0-9-]+)==", LOCKS[0].read_text(), flags=re.MULTILINE))
    assert wanted - ours <= locked


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_a_lock_pins_every_package_with_hashes_and_names_no_address(lock: Path) -> None:
    text = lock.read_text()
    assert "://" not in text
    entries = re.split(r"\n(?=\S)", text.strip())
    assert all(re.match(r"[a-z0-9-]+==\S+.*( \\\n    --hash=sha256:[0-9a-f]{64})+$", entry) for entry in entries)
