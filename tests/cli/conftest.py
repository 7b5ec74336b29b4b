import jax
import pytest


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ADABASIS_CACHE", jax.config.values["jax_compilation_cache_dir"])
    monkeypatch.setenv("COLUMNS", "80")
    return tmp_path
