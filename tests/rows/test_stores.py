"""Arrays on disk and chunks of a program are rows, read where they are."""

import os
import pickle

import numpy as np
import pytest

from adabasis import rows

N = 500
RNG = np.random.default_rng(1)
X, Y = RNG.normal(size=(N, 3)), RNG.normal(size=N)


def same_rows(source, x=X, y=Y):
    assert (source.n_rows, source.n_inputs, source.n_outputs) == (len(x), x.shape[1], 1)
    for length in (64, N):
        parts = [pickle.loads(pickle.dumps(part)) for part in source.parts(length)]
        got = [np.concatenate(a) for a in zip(*(part.read() for part in parts), strict=True)]
        assert np.array_equal(got[0], x)
        assert np.array_equal(got[1][:, 0], y)
        assert (got[2] == 1).all()


@pytest.fixture
def memory_map(tmp_path):
    np.save(tmp_path / "x.npy", np.hstack([X, Y[:, None]]))
    return np.load(tmp_path / "x.npy", mmap_mode="r")


def test_a_memory_map_is_read_by_its_file(memory_map):
    source = rows.stored("fit", memory_map[:, :3], memory_map[:, 3], None)
    same_rows(source)
    assert len(pickle.dumps(source.parts(64)[0])) < 1000
    same_rows(rows.stored("fit", memory_map[100:300:2, :3], memory_map[100:300:2, 3], None),
              X[100:300:2], Y[100:300:2])  # fmt: skip


def test_a_memory_map_in_columns(tmp_path):
    file = np.memmap(tmp_path / "f", np.float32, "w+", 16, (N, 3), "F")
    file[:] = X
    file.flush()
    again = np.memmap(tmp_path / "f", np.float32, "r", 16, (N, 3), "F")
    same_rows(rows.stored("fit", again, Y, None), X.astype(np.float32).astype(float))


def test_a_file_that_is_gone_is_named(memory_map):
    part = rows.stored("fit", memory_map[:, :3], Y, None).parts()[0]
    os.remove(memory_map.filename)
    with pytest.raises(FileNotFoundError, match="was there at the first pass and is gone"):
        part.read()


def test_a_file_that_became_shorter_is_named(memory_map):
    part = rows.stored("fit", memory_map[:, :3], Y, None).parts()[0]
    os.truncate(memory_map.filename, 1000)
    with pytest.raises(ValueError, match=r"x\.npy: fewer bytes than at the first pass"):
        part.read()


def test_hdf5_and_zarr(tmp_path):
    h5py, zarr = pytest.importorskip("h5py"), pytest.importorskip("zarr")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["deep/x"], file["y"] = X, Y
        same_rows(rows.stored("fit", file["deep/x"], file["y"], None))
    store = zarr.create_array(str(tmp_path / "a.zarr"), shape=X.shape, chunks=(64, 3), dtype="f8")
    store[:] = X
    same_rows(rows.stored("fit", store, Y, None))
    chunk = next(p for p in (tmp_path / "a.zarr" / "c").rglob("*") if p.is_file())
    chunk.unlink()
    with pytest.raises(ValueError, match="1 of the 8 chunks"):
        rows.stored("fit", zarr.open_array(str(tmp_path / "a.zarr"), mode="r"), Y, None)


def test_chunks_of_a_program():
    class Again:
        def __iter__(self):
            yield from ((X[k : k + 70], Y[k : k + 70]) for k in range(0, N, 70))

    same_rows(rows.IterableSource(list(Again())))
    source = rows.IterableSource(Again())
    assert source.flat
    x = np.concatenate([chunk.x for chunk in source.chunks(32)])
    assert np.array_equal(x, X)


@pytest.mark.parametrize(("given", "words"), [
    (((X, Y) for _ in range(2)), "a generator can be read once"),
    ([], "got no chunk"),
    ([(X, Y), (X[:, :2], Y)], "chunk 1: 2 inputs and 1 targets, where the first has 3 and 1"),
    ([(X, Y[1:])], "expected X of shape .n, D."),
    ([X[0, 0]], "expected pairs .X, y. or triples"),
    ([(np.full((5, 2), "x"), Y[:5])], "X holds entries that are no real numbers"),
    ([(X + 1j, Y)], "X holds entries that are no real numbers .of type complex128"),
    ([(X, np.full(N, np.datetime64("2020")))], "y holds entries that are no real numbers"),
])  # fmt: skip
def test_what_are_no_chunks_is_named(given, words):
    with pytest.raises(ValueError, match=words):
        rows.IterableSource(given)


def test_groups_of_arrays_on_disk_are_keys(memory_map):
    labels = np.repeat(["a", "b"], N // 2)
    source = rows.stored("fit", memory_map[:, :3], Y, None, labels)
    keys = np.concatenate([key for part in source.parts(64) for _, key in part.keyed_chunks(10)])
    assert source.grouped
    assert np.array_equal(keys, np.repeat([0, 1], N // 2))
    with pytest.raises(ValueError, match="groups: expected shape"):
        rows.stored("fit", memory_map[:, :3], Y, None, labels[1:])
