"""The code that README and documentation show runs as it stands."""

import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parents[1]


@pytest.mark.plain_scope
@pytest.mark.parametrize(
    "page", ["README.md", pytest.param("docs/quickstart.md", marks=pytest.mark.slow)]
)
def test_python_blocks_run(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / page).read_text("utf-8"), re.DOTALL)
    assert blocks
    scope = {}
    for block in blocks:
        exec(block, scope)
    assert scope["model"].score(scope["X"][400:], scope["y"][400:]) > 0.9999
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run.adabasis", "run.html"]
