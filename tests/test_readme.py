"""The README is true: its programs run, its pages are what the command shows."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from async_layers._proof.facts import load_facts

README = Path(__file__).parent.parent / "README.md"
TEXT = README.read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    found: list[str] = re.findall(
        rf"^```{language}\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL
    )
    return found


PROGRAMS = blocks("python")
PAGES = blocks("console")


def run(command: list[str], folder: Path) -> str:
    environment = os.environ | {"COLUMNS": "100", "NO_COLOR": "1"}
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert 0 == done.returncode, done.stderr
    assert "" == done.stderr
    return done.stdout


@pytest.mark.parametrize("number", range(len(PROGRAMS)))
def test_program_runs(number: int, tmp_path: Path) -> None:
    """Each Python block is a program that runs without a warning."""
    file = tmp_path / "program.py"
    file.write_text(PROGRAMS[number], encoding="utf-8")
    printed = run([sys.executable, "-W", "error", str(file)], tmp_path)
    if printed:
        assert printed in blocks("text")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.partition("\n")[0])
def test_page_is_what_the_command_shows(page: str, tmp_path: Path) -> None:
    """Each page is what the command prints on a terminal of 100 columns."""
    command, _, expected = page.partition("\n")
    words = command.removeprefix("$ async-layers ").split()
    seen = run([sys.executable, "-m", "async_layers", *words], tmp_path)
    assert plain(expected) == plain(seen)


def plain(page: str) -> list[str]:
    """Return the lines without what no two runs share: seconds, trailing blanks."""
    timeless = re.sub(r"\d+\.\d+ s\b", "0.00 s", page)
    return [line.rstrip() for line in timeless.splitlines() if line.strip()]


def test_there_are_programs_and_pages() -> None:
    """The README shows all three layers and the command line."""
    assert 4 <= len(PROGRAMS)
    assert 2 <= len(PAGES)


def test_two_commands_are_all_that_a_machine_needs() -> None:
    """There is one command to see it and one to test it."""
    see, test = (command.strip() for command in blocks("sh"))
    start = "python3 -m venv .venv && .venv/bin/pip install -q -e"
    assert f"{start} '.[cli]' && .venv/bin/async-layers tour" == see
    assert f"{start} '.[test]' && .venv/bin/python -m pytest" == test


def test_every_number_of_a_difference_is_explained() -> None:
    """A number that the command line shows stands in the README's table."""
    told = set(re.findall(r"\d+", ",".join(re.findall(r"(?m)^\| ([\d, ]+) \|", TEXT))))
    shown = set[str]()
    for fact in load_facts():
        shown |= set(re.findall(r"'differs': [\"'](\d+):", str(fact.written)))
    assert shown
    assert told == shown
