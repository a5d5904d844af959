"""Multilayer perceptrons and modules, and what is kept of them for prediction."""

import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from torch import nn

from skcollapse.projectors import (
    MLPProjection,
    MLPProjector,
    ModuleProjection,
    export,
)

P, D = 6, 3
TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-12}
dtypes = pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
hidden = pytest.mark.parametrize("sizes", [(), (7,), (7, 5)], ids=str)
residual = pytest.mark.parametrize("residual", [False, True])
batch_norm = pytest.mark.parametrize("batch_norm", [False, True])


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def shaken(module, dtype=torch.float64, seed=1):
    """Return a module whose parameters and statistics are all away from their start."""
    module, draw = module.to(dtype), generator(seed)
    with torch.no_grad():
        for tensor in [*module.parameters(), *module.buffers()]:
            if tensor.is_floating_point():
                noise = torch.rand(tensor.shape, generator=draw, dtype=torch.float64)
                tensor.add_(noise.to(dtype) / 2)
    return module.eval()


def mlp(sizes=(7,), dtype=torch.float64, **parameters):
    projector = MLPProjector(P, sizes, D, generator=generator(), **parameters)
    return shaken(projector, dtype)


class Odd(nn.Module):
    """A module of a user: two inputs' worth of nothing that an MLP could hold."""

    def __init__(self):
        super().__init__()
        self.linear = nn.utils.skip_init(nn.Linear, P, D)
        nn.init.normal_(self.linear.weight, generator=generator(3))
        nn.init.zeros_(self.linear.bias)
        self.norm = nn.BatchNorm1d(D)
        self.dropout = nn.Dropout(0.5)

    def forward(self, x):
        return torch.tanh(self.dropout(self.norm(self.linear(x))))


def rows(dtype=torch.float64, n=40):
    """Return rows and the scaling they need."""
    draw = np.random.default_rng(0)
    X = draw.normal(2.0, 3.0, size=(n, P)).astype(str(dtype).removeprefix("torch."))
    return X, X.mean(axis=0), X.std(axis=0)


def forward(module, X, center, scale):
    dtype = next(module.parameters()).dtype
    with torch.no_grad():
        return module(torch.from_numpy((X - center) / scale).to(dtype)).numpy()


@dtypes
@hidden
@residual
@batch_norm
def test_numpy_forward_equals_torch(dtype, sizes, residual, batch_norm):
    module = mlp(sizes, dtype, residual=residual, batch_norm=batch_norm, dropout=0.3)
    X, center, scale = rows(dtype)
    projection = export(module, center, scale)
    assert isinstance(projection, MLPProjection)
    projected = projection(X)
    assert projected.dtype == X.dtype
    np.testing.assert_allclose(
        projected,
        forward(module, X, center, scale),
        rtol=TOLERANCE[dtype],
        atol=TOLERANCE[dtype] * 10,
    )


@dtypes
@hidden
@residual
def test_followed_by_multiplies_the_output(dtype, sizes, residual):
    X, center, scale = rows(dtype)
    projection = export(mlp(sizes, dtype, residual=residual), center, scale)
    matrix = np.random.default_rng(1).normal(size=(D, 5))
    both = projection.followed_by(matrix)
    assert both(X).shape == (len(X), 5)
    assert both(X).dtype == X.dtype
    np.testing.assert_allclose(
        both(X), projection(X) @ matrix, rtol=0, atol=20 * TOLERANCE[dtype]
    )


@dtypes
def test_user_module_is_run_as_it_is(dtype):
    module = shaken(Odd(), dtype)
    X, center, scale = rows(dtype)
    projection = export(module, center, scale)
    assert isinstance(projection, ModuleProjection)
    projected = projection(X)
    assert isinstance(projected, np.ndarray)
    assert projected.dtype == X.dtype
    np.testing.assert_allclose(
        projected, forward(module, X, center, scale), atol=TOLERANCE[dtype]
    )
    one, two = np.random.default_rng(1).normal(size=(2, D, D))
    both = projection.followed_by(one).followed_by(two)
    np.testing.assert_allclose(
        both(X), projected @ one @ two, atol=20 * TOLERANCE[dtype]
    )
    assert projection(X[:0]).shape == (0, D)


def test_a_subclass_is_not_mistaken_for_a_perceptron():
    class Squared(MLPProjector):
        def forward(self, x):
            return super().forward(x).square()

    module = Squared(P, (7,), D, generator=generator())
    X, center, scale = rows(torch.float32)
    projected = export(module, center, scale)(X)
    np.testing.assert_allclose(
        projected, forward(module, X, center, scale), rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("module", [mlp(batch_norm=True), Odd()], ids=["mlp", "module"])
def test_export_keeps_apart_from_the_module_and_pickles(module):
    module.train()
    X, center, scale = rows()
    projection = export(module, center, scale)
    assert module.training
    assert all(p.requires_grad for p in module.parameters())
    before = projection(X)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(1.0)
    np.testing.assert_array_equal(projection(X), before)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(projection))(X), before)


def test_many_rows_go_in_batches_and_threads():
    X, center, scale = rows(n=5000)
    for module in (mlp(), shaken(Odd())):
        projection = export(module, center, scale)
        whole = projection(X)
        np.testing.assert_allclose(
            whole, np.concatenate([projection(X[:17]), projection(X[17:])]), atol=1e-12
        )
        with ThreadPoolExecutor(4) as pool:
            for part in pool.map(projection, [X] * 4):
                np.testing.assert_array_equal(part, whole)


def test_half_precision_is_kept_in_single():
    X, center, scale = rows(torch.float32)
    for module in (mlp(dtype=torch.bfloat16), shaken(Odd(), torch.bfloat16)):
        projected = export(module, center, scale)(X)
        assert projected.dtype == np.float32
        np.testing.assert_allclose(
            projected,
            forward(module.float(), X, center, scale),
            rtol=1e-4,
            atol=1e-4,
        )


def test_initial_weights_come_from_the_generator_alone():
    def build(seed):
        return MLPProjector(
            P, (9,), D, generator=generator(seed), residual=True, batch_norm=True
        )

    state = torch.get_rng_state()
    first = build(0).state_dict()
    assert torch.equal(torch.get_rng_state(), state)
    torch.set_default_dtype(torch.float64)
    try:
        again = build(0).state_dict()
    finally:
        torch.set_default_dtype(torch.float32)
    assert all(torch.equal(first[name], again[name]) for name in first)
    other = build(1).state_dict()
    assert not torch.equal(first["hidden.0.weight"], other["hidden.0.weight"])


def test_residual_starts_as_the_linear_path():
    projector = MLPProjector(P, (9,), D, generator=generator(), residual=True)
    x = torch.rand(4, P, generator=generator())
    torch.testing.assert_close(projector(x), projector.shortcut(x))


def test_dropout_is_for_training_only():
    projector = mlp(dropout=0.5)
    x = torch.rand(4, P, generator=generator(), dtype=torch.float64)
    assert torch.equal(projector(x), projector(x))
    with torch.random.fork_rng([]):
        projector.train()
        assert not torch.equal(projector(x), projector(x))


@pytest.mark.parametrize(
    "parameters",
    [
        {"hidden_layer_sizes": (0,)},
        {"n_components": 0},
        {"dropout": 1.0},
        {"dropout": -0.1},
    ],
    ids=str,
)
def test_bad_parameters_are_refused(parameters):
    defaults = {"n_features": P, "hidden_layer_sizes": (4,), "n_components": D}
    with pytest.raises(ValueError, match=r"positive sizes|dropout"):
        MLPProjector(**defaults | parameters, generator=generator())
