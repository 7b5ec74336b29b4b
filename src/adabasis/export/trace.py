"""From a model to its program: what JAX records of the function at one point, made simpler.

Whatever can be differentiated can be exported: new bases and activations need no code of their own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from .._runtime.compute import double_precision
from ..models.classifier import Classifier
from ..models.fitted import Fitted
from .program import Builder, Node, Program

#: Primitives of JAX that are one operation of a program, entry by entry.
_SAME = {
    "add": "add",
    "add_any": "add",
    "sub": "sub",
    "mul": "mul",
    "max": "max",
    "min": "min",
    "pow": "pow",
    "atan2": "atan2",
    "eq": "eq",
    "ne": "ne",
    "lt": "lt",
    "le": "le",
    "gt": "gt",
    "ge": "ge",
    "and": "and",
    "or": "or",
    "not": "not",
    "neg": "neg",
    "exp": "exp",
    "expm1": "expm1",
    "log": "log",
    "log1p": "log1p",
    "tanh": "tanh",
    "logistic": "logistic",
    "sin": "sin",
    "cos": "cos",
    "tan": "tan",
    "atan": "atan",
    "sinh": "sinh",
    "cosh": "cosh",
    "sqrt": "sqrt",
    "abs": "abs",
    "sign": "sign",
    "floor": "floor",
    "erf": "erf",
    "erfc": "erfc",
}
_NOTHING = ("stop_gradient", "copy", "copy_p", "optimization_barrier", "reduce_precision")
_REDUCTIONS = {
    "reduce_sum": "sum",
    "reduce_prod": "prod",
    "reduce_max": "largest",
    "reduce_min": "least",
}
_CALLS = ("jit", "pjit", "closed_call", "custom_jvp_call", "custom_vjp_call", "remat", "checkpoint")


class NotExportable(ValueError):
    """A model computes what a format cannot hold; the message says what, and what to do."""


def program_of(model: Fitted) -> Program:
    """Return what a model computes of one point, in the user's units.

    Raises
    ------
    NotExportable
        Naming the operation that no program has.
    """
    with double_precision():
        builder = Builder(model.n_inputs)
        z, values = _recorded(builder, model)
        if not isinstance(model, Classifier):
            return Program(model.n_inputs, {"values": values}, z)
        scores, probabilities = _of_classes(builder, values)
        return Program(model.n_inputs, {"scores": scores, "probabilities": probabilities}, z)


def function_of(model: Fitted) -> Callable[[Array], Array]:
    """Return the model as JAX's function of one point, (D,) → (Q,)."""

    def function(x: Array) -> Array:
        z = model.input_map(x)
        return model.output_map.inverse(
            model.basis.sum_at(z, model.parameters, jnp.asarray(model.coefficients))
        )

    return function


def _recorded(builder: Builder, model: Fitted) -> tuple[Node, Node]:
    """Return mapped inputs and values of a model, the members of a mean one after the other."""
    maps = {"input": model.input_map, "output": model.output_map}
    z = _call(builder, lambda x, m: m["input"](x), builder.input, maps)
    total: Node | None = None
    start, members = 0, model.basis.members(model.parameters)
    coordinates = len(model.input_map.shift)
    sizes = [one.size(coordinates) for one, _ in members]
    if sum(sizes) != len(model.coefficients):
        members, sizes = [(model.basis, model.parameters)], [len(model.coefficients)]
    for k, ((basis, parameters), size) in enumerate(zip(members, sizes, strict=True), 1):
        own = {"": parameters, "coefficients": model.coefficients[start : start + size]}
        if len(members) > 1:
            own = {f"member_{k}": own[""], f"member_{k}_coefficients": own["coefficients"]}

        def of_member(z: Array, own: Any, basis: Any = basis) -> Array:
            xi, c = own.values()
            return basis.sum_at(z, xi, jnp.asarray(c))

        part = _call(builder, of_member, z, own)
        total = part if total is None else builder.elementwise("add", total, part)
        start += size
    assert total is not None
    return z, _call(builder, lambda t, m: m["output"].inverse(t), total, maps)


def _of_classes(builder: Builder, scores: Node) -> tuple[Node, Node]:
    """Return the scores and the probabilities of all classes."""

    def softmax(values: Array, _: Any) -> Array:
        return jax.nn.softmax(values)

    each = scores
    if scores.shape == (1,):  # the first of two classes has the score 0
        each = builder.concatenate([builder.constant(np.zeros(1)), scores], 0)
    return scores, _call(builder, softmax, each, {})


def _call(
    builder: Builder, function: Callable[[Array, Any], Array], point: Node, known: Any
) -> Node:
    """Return the value of JAX's function of one value and of what is ``known`` by name."""
    leaves, structure = jax.tree_util.tree_flatten_with_path(known)

    def flat(x: Array, *arrays: Array) -> Array:
        return function(x, jax.tree.unflatten(structure, arrays))

    arrays = [jnp.asarray(leaf) for _, leaf in leaves]
    closed = jax.make_jaxpr(flat)(jnp.zeros(point.shape), *arrays)
    named = [builder.constant(leaf, _name(path)) for path, leaf in leaves]
    (found,) = _Reader(builder).read(closed, [point, *named])
    return found


def _name(path: Sequence[Any]) -> str:
    """Return what a parameter is called: "hidden_weight" of ``.hidden.weight``."""
    parts = [
        str(getattr(key, "name", getattr(key, "key", getattr(key, "idx", "")))) for key in path
    ]
    return "_".join(filter(None, parts)) or "parameters"


class _Reader:
    """Reads what JAX recorded."""

    def __init__(self, builder: Builder) -> None:
        self.make = builder

    def read(self, closed: Any, args: Sequence[Node]) -> list[Node]:
        """Return the outputs of a recorded function for given inputs."""
        jaxpr = closed.jaxpr
        known: dict[Any, Node] = {}
        for variable, value in zip(jaxpr.constvars, closed.consts, strict=True):
            known[variable] = self.make.constant(value)
        known.update(zip(jaxpr.invars, args, strict=True))

        def of(atom: Any) -> Node:
            return self.make.constant(atom.val) if hasattr(atom, "val") else known[atom]

        for equation in jaxpr.eqns:
            found = self._one(equation, [of(atom) for atom in equation.invars])
            known.update(zip(equation.outvars, found, strict=True))
        return [of(atom) for atom in jaxpr.outvars]

    def _one(self, equation: Any, args: list[Node]) -> list[Node]:
        name, params, make = equation.primitive.name, equation.params, self.make
        if name in _SAME:
            return [make.elementwise(_SAME[name], *args)]
        if name in _NOTHING:
            return args
        if name in _REDUCTIONS:
            return [make.reduce(_REDUCTIONS[name], args[0], params["axes"])]
        if name in _CALLS:
            inner = params.get("jaxpr", params.get("call_jaxpr", params.get("fun_jaxpr")))
            if not hasattr(inner, "consts"):
                inner = jax.extend.core.ClosedJaxpr(inner, ())
            return self.read(inner, args)
        method = getattr(self, f"_{name}", None)
        if method is None:
            raise NotExportable(
                f"the model computes '{name}' (of jax.lax), which no exported program has. Write "
                "the basis or the activation by other functions, or export to '.jax'."
            )
        found = method(params, *args)
        return found if isinstance(found, list) else [found]

    # --- One primitive each ----------------------------------------------------------------------

    def _div(self, params: Any, a: Node, b: Node) -> Node:
        if a.kind == "i":
            raise NotExportable(
                "the model divides whole numbers, which exported programs do not. Divide "
                "floating-point numbers, or export to '.jax'."
            )
        return self.make.elementwise("div", a, b)

    def _square(self, params: Any, a: Node) -> Node:
        return self.make.power(a, 2)

    def _integer_pow(self, params: Any, a: Node) -> Node:
        return self.make.power(a, int(params["y"]))

    def _rsqrt(self, params: Any, a: Node) -> Node:
        root = self.make.elementwise("sqrt", a)
        return self.make.elementwise("div", self.make.constant(1.0), root)

    def _exp2(self, params: Any, a: Node) -> Node:
        return self.make.elementwise("pow", self.make.constant(2.0), a)

    def _clamp(self, params: Any, low: Node, a: Node, high: Node) -> Node:
        return self.make.elementwise("min", self.make.elementwise("max", a, low), high)

    def _is_finite(self, params: Any, a: Node) -> Node:
        make = self.make
        return make.elementwise("eq", make.elementwise("sub", a, a), make.constant(0.0))

    def _convert_element_type(self, params: Any, a: Node) -> Node:
        kind = np.dtype(params["new_dtype"]).kind
        return self.make.cast(a, {"b": "b", "i": "i", "u": "i"}.get(kind, "f"))

    def _select_n(self, params: Any, which: Node, *cases: Node) -> Node:
        if len(cases) != 2 or which.kind != "b":
            raise NotExportable(
                "the model chooses between more than two values by a number, which exported "
                "programs do not. Use jnp.where, or export to '.jax'."
            )
        return self.make.elementwise("select", which, cases[1], cases[0])

    def _iota(self, params: Any) -> Node:
        axis, shape = params["dimension"], params["shape"]
        one = [n if i == axis else 1 for i, n in enumerate(shape)]
        kind = np.dtype(params["dtype"]).kind
        numbers = np.arange(shape[axis]).reshape(one).astype(float if kind == "f" else int)
        return self.make.constant(np.broadcast_to(numbers, shape))

    def _broadcast_in_dim(self, params: Any, a: Node, *_: Node) -> Node:
        shape = params["shape"]
        if a.op == "constant" and a.number is not None:
            return self.make.expand(a, shape)
        inner = [1] * len(shape)
        for size, axis in zip(a.shape, params["broadcast_dimensions"], strict=True):
            inner[axis] = size
        return self.make.expand(self.make.reshape(a, tuple(inner)), shape)

    def _reshape(self, params: Any, a: Node, *_: Node) -> Node:
        return self.make.reshape(self._whole(a), tuple(params["new_sizes"]))

    def _squeeze(self, params: Any, a: Node) -> Node:
        left = [n for i, n in enumerate(a.shape) if i not in params["dimensions"]]
        return self.make.reshape(self._whole(a), tuple(left))

    def _expand_dims(self, params: Any, a: Node) -> Node:
        shape = list(a.shape)
        for axis in sorted(params["dimensions"]):
            shape.insert(axis, 1)
        return self.make.reshape(self._whole(a), tuple(shape))

    def _transpose(self, params: Any, a: Node) -> Node:
        return self.make.transpose(self._whole(a), params["permutation"])

    def _slice(self, params: Any, a: Node) -> Node:
        start, stop = params["start_indices"], params["limit_indices"]
        if params["strides"] is not None and any(step != 1 for step in params["strides"]):
            cut = tuple(map(slice, start, stop, params["strides"]))
            return self.make.take(self._whole(a), _numbers(a.shape)[cut])
        return self.make.slice(self._whole(a), start, stop)

    def _rev(self, params: Any, a: Node) -> Node:
        return self.make.take(self._whole(a), np.flip(_numbers(a.shape), params["dimensions"]))

    def _concatenate(self, params: Any, *args: Node) -> Node:
        return self.make.concatenate([self._whole(a) for a in args], params["dimension"])

    def _stack(self, params: Any, *args: Node) -> Node:
        axis = params["axis"]
        shape = (*args[0].shape[:axis], 1, *args[0].shape[axis:])
        each = [self.make.reshape(self._whole(a), shape) for a in args]
        return self.make.concatenate(each, axis)

    def _gather(self, params: Any, a: Node, indices: Node) -> Node:
        if indices.varies:
            raise NotExportable(
                "the model picks entries by numbers that depend on the point, in a way that "
                "exported programs do not. Pick whole rows by one number (table[number]), or "
                "export to '.jax'."
            )
        from jax import lax

        known = {k: v for k, v in params.items() if k != "fill_value"}
        chosen = lax.gather_p.bind(
            jnp.asarray(_numbers(a.shape)), jnp.asarray(_constant(indices)), fill_value=0, **known
        )
        return self.make.take(self._whole(a), np.asarray(chosen))

    def _dynamic_slice(self, params: Any, table: Node, *starts: Node) -> Node:
        sizes = params["slice_sizes"]
        moving = [axis for axis, start in enumerate(starts) if start.varies]
        if not moving:
            first = [int(_constant(start)) for start in starts]
            first = [
                min(max(0, at), n - k) for at, n, k in zip(first, table.shape, sizes, strict=True)
            ]
            stop = [at + k for at, k in zip(first, sizes, strict=True)]
            return self.make.slice(self._whole(table), first, stop)
        if len(moving) > 1 or sizes[moving[0]] != 1 or table.varies:
            raise NotExportable(
                "the model picks entries by several numbers that depend on the point, which "
                "exported programs do not. Pick whole rows by one number (table[number]), or "
                "export to '.jax'."
            )
        (axis,) = moving
        first = [0 if i == axis else int(_constant(start)) for i, start in enumerate(starts)]
        stop = [
            n if i == axis else at + k
            for i, (at, n, k) in enumerate(zip(first, table.shape, sizes, strict=True))
        ]
        others = [i for i in range(len(sizes)) if i != axis]
        rows = self.make.transpose(self.make.slice(table, first, stop), [axis, *others])
        number = self.make.elementwise("max", starts[axis], self.make.constant(0))
        last = self.make.constant(table.shape[axis] - 1)
        number = self.make.elementwise("min", number, last)
        return self.make.reshape(self.make.pick(rows, number), tuple(sizes))

    def _dot_general(self, params: Any, a: Node, b: Node) -> Node:
        (over_a, over_b), (batch_a, batch_b) = params["dimension_numbers"]
        a, b = self._whole(a), self._whole(b)
        free_a = [i for i in range(len(a.shape)) if i not in (*over_a, *batch_a)]
        free_b = [i for i in range(len(b.shape)) if i not in (*over_b, *batch_b)]
        if b.varies and not a.varies:  # rows come first: rows times a constant
            found = self._product(b, a, (over_b, over_a), (batch_b, batch_a), (free_b, free_a))
            n, m, k = len(batch_a), len(free_b), len(free_a)
            return self.make.transpose(
                found, [*range(n), *range(n + m, n + m + k), *range(n, n + m)]
            )
        return self._product(a, b, (over_a, over_b), (batch_a, batch_b), (free_a, free_b))

    def _product(self, a: Node, b: Node, over: Any, batch: Any, free: Any) -> Node:
        make = self.make
        own = tuple(a.shape[i] for i in batch[0])
        free_a, free_b = (tuple(n.shape[i] for i in f) for n, f in zip((a, b), free, strict=True))
        k = math.prod(a.shape[i] for i in over[0])
        left = make.transpose(a, [*batch[0], *free[0], *over[0]])
        right = make.transpose(b, [*batch[1], *over[1], *free[1]])
        right = make.reshape(right, (*own, k, math.prod(free_b)))
        if not own and not free_a and not b.varies:
            product = make.matmul(make.reshape(left, (k,)), right)
        else:
            product = make.matmul(make.reshape(left, (*own, math.prod(free_a), k)), right)
        return make.reshape(product, (*own, *free_a, *free_b))

    def _scan(self, params: Any, *args: Node) -> list[Node]:
        n_fixed, n_carried = params["num_consts"], params["num_carry"]
        fixed, carried = list(args[:n_fixed]), list(args[n_fixed : n_fixed + n_carried])
        along, collected = args[n_fixed + n_carried :], []
        steps = range(params["length"])
        for k in reversed(steps) if params["reverse"] else steps:
            each = []
            for a in along:
                cut = self.make.slice(
                    self._whole(a), [k] + [0] * (len(a.shape) - 1), [k + 1, *a.shape[1:]]
                )
                each.append(self.make.reshape(cut, a.shape[1:]))
            found = self.read(params["jaxpr"], [*fixed, *carried, *each])
            carried = found[:n_carried]
            collected.append(found[n_carried:])
        if params["reverse"]:
            collected.reverse()
        stacked = [self._stack({"axis": 0}, *values) for values in zip(*collected, strict=True)]
        return [*carried, *stacked]

    def _whole(self, a: Node) -> Node:
        """Return a constant that repeats an entry with all of its entries."""
        return self.make.constant(_constant(a), a.name) if not a.varies else a


def _numbers(shape: tuple[int, ...]) -> np.ndarray:
    return np.arange(math.prod(shape)).reshape(shape)


def _constant(node: Node) -> np.ndarray:
    if node.op == "expand":
        return np.broadcast_to(_constant(node.args[0]), node.shape)
    return node.value
