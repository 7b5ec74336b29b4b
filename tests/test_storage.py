"""A model file is whole or refused, and what is read is what was written."""

import dataclasses
import json
import os

import numpy as np
import pytest

from adabasis.basis import NeuralBasis
from adabasis.basis.layers import AbstractInitializer, initializer_named
from adabasis.models import files as storage
from adabasis.models.files import ModelFileError, read_model, write_atomic, write_model
from adabasis.models.fitted import Fitted
from adabasis.models.loading import load

from .laws import assert_same_bits
from .registry import FUNCTIONS, REGISTRY, fitted, points

pytestmark = pytest.mark.strict_promotion

BASIS = FUNCTIONS["frozen tanh"]


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "run.adabasis"
    fitted(BASIS).save(path)
    return path


def parts(model):
    """Return every field, the nested records as dictionaries."""
    fields = {field.name: getattr(model, field.name) for field in dataclasses.fields(Fitted)}
    for name in ("history", "input_map", "output_map"):
        fields[name] = dataclasses.asdict(fields[name])
    basis, texts = fields.pop("basis"), {}
    for name in ("validation_kind", "record", "notes", "status", "stop_reason"):
        texts[name] = fields.pop(name)
    return basis, texts, fields


@pytest.mark.parametrize("name", REGISTRY)
def test_what_is_read_is_what_was_written(name, tmp_path):
    model, path = fitted(REGISTRY[name]), tmp_path / "run.adabasis"
    model.save(path)
    again = load(path)
    (basis, texts, numbers), (basis2, texts2, numbers2) = parts(model), parts(again)
    assert basis2 == basis
    assert texts2 == texts
    assert_same_bits(numbers2, numbers)
    x = points(model.box)
    assert_same_bits(again(x), model(x))
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize("n_outputs", [None, 1, 3])
def test_the_shape_of_answers_survives(n_outputs, tmp_path):
    model, path = fitted(BASIS, n_outputs), tmp_path / "run.adabasis"
    model.save(path)
    x = points(model.box)
    expected = (64,) if n_outputs is None else (64, n_outputs)
    assert load(path)(x).shape == model(x).shape == expected


def test_nan_and_missing_records_survive(tmp_path):
    path = tmp_path / "run.adabasis"
    model = fitted(BASIS, validation_error=np.nan, initial_parameters=None)
    model.save(path)
    again = load(path)
    assert np.isnan(again.validation_error)
    assert again.initial_parameters is None


def test_a_file_in_its_place_is_replaced(saved):
    other = fitted(BASIS, seed=5)
    other.save(saved)
    assert_same_bits(load(saved).coefficients, other.coefficients)
    assert os.listdir(saved.parent) == [saved.name]


def test_saving_twice_gives_the_same_bytes(saved):
    first = saved.read_bytes()
    fitted(BASIS).save(saved)
    assert saved.read_bytes() == first


def damaged(content):
    """Yield 200 truncations and 200 single flipped bits, the header's share of them half."""
    rng = np.random.default_rng(0)
    header = 8 + int.from_bytes(content[:8], "little")
    places = [0, 1, 7, 8, 9, header - 1, header, len(content) - 1]
    lengths = [*places, *rng.integers(0, header, 96), *rng.integers(header, len(content), 96)]
    for length in lengths:
        yield f"the first {length} bytes", content[:length]
    for place in lengths:
        changed = bytearray(content)
        changed[place] ^= 1 << rng.integers(8)
        yield f"byte {place} changed", bytes(changed)


def test_every_damage_is_refused(saved):
    content, accepted = saved.read_bytes(), []
    cases = [*damaged(content), ("one more", content + b"\0"), ("twice", 2 * content)]
    assert len(cases) == 402
    for what, bad in cases:
        saved.write_bytes(bad)
        message = f"accepted: {what}"
        try:
            load(saved)
        except ModelFileError as error:
            message = str(error)
        if f"load({str(saved)!r}): not a whole adabasis model file" not in message:
            accepted.append(message)
    assert not accepted


@pytest.mark.parametrize(
    "content",
    [
        b"not a model at all",
        b"\x80\x04\x95 a pickle",
        (2).to_bytes(8, "little") + b"{}",
        (2).to_bytes(8, "little") + b"[]",
        (4).to_bytes(8, "little") + b"null",
        (2**63).to_bytes(8, "little") + b"{}",
        (20000).to_bytes(8, "little") + 10000 * b"[]",
        (20000).to_bytes(8, "little") + 20000 * b"[",
    ],
)
def test_other_files_are_refused(content, tmp_path):
    path = tmp_path / "other"
    path.write_bytes(content)
    with pytest.raises(ModelFileError, match="not a whole adabasis model file"):
        load(path)


def test_a_file_of_another_kind_of_document_is_refused(tmp_path):
    """The right container, another text in it."""
    for metadata in (None, {"adabasis": "[]"}, {"adabasis": "{}"}, {"adabasis": '{"sha256": 3}'}):
        header = {} if metadata is None else {"__metadata__": metadata}
        text = json.dumps(header).encode()
        path = tmp_path / "other"
        path.write_bytes(len(text).to_bytes(8, "little") + text)
        with pytest.raises(ModelFileError, match="not a whole adabasis model file"):
            load(path)


def test_a_newer_format_is_refused_with_advice(tmp_path, monkeypatch):
    path = tmp_path / "run.adabasis"
    monkeypatch.setattr(storage, "FORMAT", storage.FORMAT + 1)
    fitted(BASIS).save(path)
    load(path)
    monkeypatch.undo()
    with pytest.raises(ModelFileError, match=r"format 3.*reads up to 2.*Upgrade"):
        load(path)


def test_a_missing_file_says_so(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        load(tmp_path / "nowhere")


def test_a_model_that_answers_differently_here_is_refused(saved):
    document, arrays = read_model(saved)
    document = {k: v for k, v in document.items() if k not in {"sha256", "format"}}
    write_model(saved, document, arrays)
    load(saved)
    for factor in (1.001, np.nan):
        wrong = arrays | {"coefficients": factor * arrays["coefficients"]}
        write_model(saved, document, wrong)
        with pytest.raises(ModelFileError, match="answers differently here"):
            load(saved)


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()])
@pytest.mark.parametrize("where", ["replace", "fsync"])
def test_an_interrupted_write_leaves_the_old_file_alone(saved, monkeypatch, where, error):
    before = saved.read_bytes()

    def fail(*arguments):
        raise error

    monkeypatch.setattr(os, where, fail)
    with pytest.raises(type(error)):
        fitted(BASIS, seed=5).save(saved)
    monkeypatch.undo()
    assert saved.read_bytes() == before
    assert os.listdir(saved.parent) == [saved.name]


def test_a_new_file_has_the_permissions_of_the_users_mask(tmp_path):
    path, mask = tmp_path / "file", os.umask(0o027)
    try:
        write_atomic(path, b"content")
    finally:
        os.umask(mask)
    assert path.stat().st_mode & 0o777 == 0o640
    assert path.read_bytes() == b"content"


def test_any_document_and_any_arrays_come_back(tmp_path):
    path = tmp_path / "file"
    document = {
        "a": "0" * 64,
        "z": "0" * 64,
        "number": 0.1,
        "none": None,
        "list": [1, "β", {"a": []}],
    }
    arrays = {
        "empty": np.zeros((0, 3)),
        "whole": np.arange(3),
        "strided": np.arange(12.0).reshape(3, 4).T[::2],
        "scalar": np.array(2.5),
    }
    write_model(path, document, arrays)
    document2, arrays2 = read_model(path)
    assert {name: document2[name] for name in document} == document
    assert_same_bits(arrays2, arrays)


def cubic(z):
    return z**3


class MyInitializer(AbstractInitializer):
    def __call__(self, key, box, net):
        return initializer_named("he")(key, box, net)


@pytest.mark.parametrize(
    ("basis", "words"),
    [
        (NeuralBasis(8, 1, activation=cubic), ["activation=", "cubic", "ACTIVATIONS"]),
        (NeuralBasis(8, 1, init=MyInitializer()), ["init=", "MyInitializer", "INITIALIZERS"]),
    ],
)
def test_what_no_file_can_name_is_refused_at_save(basis, words, tmp_path):
    with pytest.raises(ValueError, match=r"Fitted\.save") as caught:
        fitted(basis).save(tmp_path / "run.adabasis")
    for word in words:
        assert word in str(caught.value)
    assert not os.listdir(tmp_path)
