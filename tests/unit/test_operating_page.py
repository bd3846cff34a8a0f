"""The page about operating names commands and options that there are."""

import re
import shlex
from pathlib import Path

import pytest
import typer
from typer.core import TyperArgument, TyperGroup

from wattpool.cli import app

PAGE = Path(__file__).resolve().parents[2] / "docs" / "operating.md"


def examples() -> list[list[str]]:
    """Return the words of every command on the page."""
    blocks = re.findall(r"```sh\n(.*?)```", PAGE.read_text(), re.DOTALL)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    return [shlex.split(line, comments=True)[1:] for line in lines if line.startswith("wattpool ")]


@pytest.mark.parametrize("words", examples(), ids=" ".join)
def test_a_command_on_the_page_is_one_of_the_program(words: list[str]) -> None:
    command = typer.main.get_command(app)
    rest = [word.strip("[]") for word in words]
    while isinstance(command, TyperGroup):
        command = command.commands[rest.pop(0)]
    known = {name for parameter in command.params for name in parameter.opts if name.startswith("--")}
    assert {word for word in rest if word.startswith("--")} <= known
    needed = {name for one in command.params if one.required for name in one.opts if name.startswith("--")}
    assert needed <= set(rest)
    arguments = [one for one in command.params if isinstance(one, TyperArgument) and one.required]
    assert len([word for word in rest if not word.startswith("--")]) >= len(arguments)


def test_every_command_of_the_day_is_on_the_page() -> None:
    text = PAGE.read_text()
    group = typer.main.get_command(app)
    assert isinstance(group, TyperGroup)
    for name, command in group.commands.items():
        for verb in command.commands if isinstance(command, TyperGroup) else ():
            assert f"{name} {verb}" in text
