"""Compiled code is kept between processes, and nothing about its folder makes a call fail."""

import pathlib
import stat
import subprocess
import sys
import warnings

import jax
import numpy as np
import pytest

from adabasis._runtime import cache
from adabasis._runtime.compute import double_precision

pytestmark = pytest.mark.plain_scope

_FOLDER, _LEAST = "jax_compilation_cache_dir", "jax_persistent_cache_min_compile_time_secs"


@pytest.fixture(autouse=True)
def user(monkeypatch, tmp_path):
    """Stand for a user: the tests' own folder is not in JAX's settings."""
    before = {name: getattr(jax.config, name) for name in (_FOLDER, _LEAST)}
    jax.config.update(_FOLDER, None)
    jax.config.update(_LEAST, 1.0)
    cache._opened.cache_clear()
    monkeypatch.setattr(cache, "_depth", 0)  # whatever interrupted calls of other tests left
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path / "kept"))
    yield tmp_path / "kept"
    for name, value in before.items():
        jax.config.update(name, value)
    cache._opened.cache_clear()


def compute(factor=1.0):
    """Compile and run a program whose compiled code is in no memory of this process."""
    jax.clear_caches()
    with warnings.catch_warnings(), double_precision():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", cache._TROUBLE)  # as the block does, which "error" hides
        return float(jax.jit(lambda x: jax.numpy.sin(x) * factor)(2.0))


def entries(folder):
    return sorted(folder.glob("*/*-cache"))


def test_programs_are_kept_and_found_again(user):
    assert compute() == pytest.approx(np.sin(2.0), abs=1e-15)
    kept = entries(user)
    assert kept
    hits = []
    jax.monitoring.register_event_listener(listen := lambda event, **_: hits.append(event))
    try:
        compute()
    finally:
        jax.monitoring.unregister_event_listener(listen)
    assert "/jax/compilation_cache/cache_hits" in hits
    assert entries(user) == kept


def test_settings_and_filters_are_as_before(user):
    filters = list(warnings.filters)
    with double_precision(), double_precision():
        assert pathlib.Path(getattr(jax.config, _FOLDER)).parent == user
        assert getattr(jax.config, _LEAST) == 0.0
    assert getattr(jax.config, _FOLDER) is None
    assert getattr(jax.config, _LEAST) == 1.0
    assert list(warnings.filters) == filters
    jax.clear_caches()
    before = entries(user)
    jax.config.update(_LEAST, 0.0)
    jax.jit(lambda x: x * 3.5)(2.0)  # of the user's, who keeps nothing
    assert entries(user) == before


def test_a_folder_given_to_jax_goes_before_ours(user, tmp_path):
    jax.config.update(_FOLDER, str(tmp_path / "own"))
    compute()
    assert not user.exists()
    assert getattr(jax.config, _FOLDER) == str(tmp_path / "own")


@pytest.mark.parametrize("named", ["off", "OFF", "0", "none"])
def test_it_can_be_switched_off(monkeypatch, user, named):
    monkeypatch.setenv(cache.VARIABLE, named)
    compute()
    assert cache.folder() == cache.Folder(None, why=f"ADABASIS_CACHE={named}")
    assert not user.exists()


def test_jax_told_to_keep_nothing_keeps_nothing(user):
    with jax.enable_x64(True):
        jax.config.update("jax_enable_compilation_cache", False)
    try:
        compute()
    finally:
        jax.config.update("jax_enable_compilation_cache", True)
    assert not user.exists()


@pytest.mark.parametrize("content", [b"", b"\0" * 50, "half"])
def test_broken_entries_are_replaced(user, content):
    compute(2.5)
    kept = entries(user)
    for path in kept:
        path.write_bytes(path.read_bytes()[:-20] if content == "half" else content)
    assert compute(2.5) == pytest.approx(2.5 * np.sin(2.0))
    assert not entries(user)  # noticed
    compute(2.5)
    assert entries(user) == kept


def test_a_file_in_the_place_of_the_folder(user):
    user.write_bytes(b"")
    compute()
    assert "cannot be made" in cache.folder().why


def test_a_home_that_is_none(monkeypatch):
    monkeypatch.delenv(cache.VARIABLE)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)

    def home():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(pathlib.Path, "home", home)
    assert "no folder" in cache.folder().why
    compute()


def test_a_name_that_no_folder_can_have(monkeypatch):
    monkeypatch.setenv(cache.VARIABLE, "x" * 300)
    compute()
    assert cache.folder().path is None


def test_a_full_disk_is_only_read(monkeypatch, user):
    compute()
    kept = entries(user)
    cache._opened.cache_clear()
    monkeypatch.setattr(cache, "ROOM", 2**62)
    assert "full" in cache.folder().why
    compute(7.5)
    assert entries(user) == kept


def test_a_folder_that_cannot_be_written_is_only_read(monkeypatch, user):
    compute()
    kept = entries(user)
    cache._opened.cache_clear()

    def refuse(**_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(cache.tempfile, "TemporaryFile", refuse)
    assert cache.folder().why.endswith("cannot be written (Permission denied)")
    compute(8.5)
    assert entries(user) == kept


def test_a_disk_that_fills_up_meanwhile(monkeypatch, user):
    def fail(self, content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pathlib.Path, "write_bytes", fail)
    assert compute(9.5) == pytest.approx(9.5 * np.sin(2.0))


def test_a_folder_that_vanishes_meanwhile(user):
    with double_precision():
        for path in sorted(user.rglob("*"), reverse=True):
            path.rmdir()
        jax.clear_caches()
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", cache._TROUBLE)
            jax.jit(lambda x: x + 11.5)(1.0)


def test_the_folder_is_the_users_own(user):
    assert stat.S_IMODE(cache.folder().path.stat().st_mode) == 0o700


def test_entries_of_long_ago_go_first(tmp_path):
    for number in range(6):
        path = tmp_path / f"{number}-cache"
        path.write_bytes(bytes(100))
        cache.os.utime(path, (1000 + number, 1000 + number))
    cache._prune(tmp_path, 600, 250)
    assert len(list(tmp_path.iterdir())) == 6
    cache._prune(tmp_path, 599, 250)
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["4-cache", "5-cache"]


def test_two_processes_at_once(user):
    code = """
import warnings; warnings.simplefilter("error")
from adabasis._runtime.compute import double_precision
import jax
with double_precision():
    for factor in range(6):
        jax.jit(lambda x: jax.numpy.sin(x) * factor)(2.0)
"""
    command = [sys.executable, "-W", "error", "-c", code]
    both = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    for process in both:
        assert process.communicate(timeout=120) == (None, "")
        assert process.returncode == 0
    assert len(entries(user)) >= 6
