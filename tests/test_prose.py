"""What README and quick start show of Python and the command line is what a run prints."""

import importlib.util
import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parents[1]
SLOW = ("docs/quickstart.md", "docs/from-deepxde.md")
SPEC = importlib.util.spec_from_file_location("shown", ROOT / "scripts" / "shown.py")
shown = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(shown)


@pytest.mark.plain_scope
@pytest.mark.parametrize(
    "page", ["README.md", *(pytest.param(page, marks=pytest.mark.slow) for page in SLOW)]
)
def test_output_is_as_shown(page, tmp_path):
    blocks = shown.run(ROOT / page, tmp_path)
    assert len(blocks) >= 3
    wrong = [line for block in blocks for line in shown.differences(block.before, block.after)]
    assert not wrong


@pytest.mark.parametrize(
    ("before", "after", "n_wrong"),
    [
        ("error 0.0081 on 80 rows", "error 0.0080\n  on 80 rows", 0),
        ("error 0.0081 on 80 rows", "error 0.0121 on 80 rows", 1),
        ("0.0081 on 80 rows.", "0.0081 on 80 rows; 0.012 by its own\n  evidence (32 rows).", 0),
        ("about 4e-14.", "about 9e-15.", 0),
        ("about 4e-14.", "about 4e-4.", 1),
        ("Solved: error 1", "Not solved: error 1", 5),
        ("Model:   mean of 10", "Model:   mean of 9", 0),
        ("Model:   a mean of\n         three\nnext", "Model:   a line\nnext", 0),
        ("Verdict: at\n         least 3", "Verdict: at\n         most 3", 1),
        ("[0.372 1]", "[0.371 1]", 0),
    ],
)
def test_only_numbers_may_differ_and_by_little(before, after, n_wrong):
    assert len(shown.differences(before, after)) == n_wrong


def test_links_of_the_readme_lead_somewhere():
    text = (ROOT / "README.md").read_text("utf-8")
    links = re.findall(r"\]\((?!https?://)([^)#]+)", text)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_commands_that_install_name_targets_that_exist():
    text = (ROOT / "README.md").read_text("utf-8")
    targets = set(re.findall(r"`make ([a-z-]+)", text))
    made = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    assert targets
    assert targets <= made | {"test", "test-slow"}
