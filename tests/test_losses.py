"""Every loss keeps the promises of the base class and equals its formula."""

import copy
import math
import pickle
from dataclasses import FrozenInstanceError, dataclass, replace
from itertools import combinations, product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import log_loss

from skcollapse.losses import (
    LDAM,
    LOSSES,
    NONL,
    NTCE,
    CrossEntropy,
    DotRegression,
    HypersphericalUniformityGap,
    Loss,
    SquaredError,
    get_loss,
)
from skcollapse.targets import hyperspherical_code

N, D, K = 12, 4, 5

VARIANTS = [
    CrossEntropy(scale=8.0),
    CrossEntropy(logit_adjustment=-0.7),
    CrossEntropy(scale=3.0, logit_adjustment=1.5),
    LDAM(scale=None, max_margin=2.0),
    LDAM(scale=4.0, max_margin=0.3),
    DotRegression(weighting="class"),
    DotRegression(denominator="code", feature_energy=4.0, vector_energy=9.0),
    DotRegression("class", feature_energy=0.5, vector_energy=2.0),
    SquaredError(weighting="class"),
    NTCE(temperature=1.0),
    NONL(temperature=0.7),
    HypersphericalUniformityGap("mhs", inter_weight=0.3, intra_weight=2.0),
    HypersphericalUniformityGap("mgd", decoupled=False),
    HypersphericalUniformityGap(s=0.0, decoupled=False, weighting="sample"),
    HypersphericalUniformityGap(s=2.5, decoupled=False),
]
EVERY_LOSS = [make() for make in LOSSES.values()] + VARIANTS
every_loss = pytest.mark.parametrize("loss", EVERY_LOSS, ids=repr)


def batch(seed=0, n=N, dtype=torch.float64):
    """Draw features, labels of at least two classes, class vectors and a log prior."""
    rng = np.random.default_rng(seed)
    features = torch.tensor(rng.normal(size=(n, D)), dtype=dtype)
    y = torch.tensor(np.r_[0, 1, rng.integers(K, size=n - 2)])
    class_vectors = torch.tensor(rng.normal(size=(K, D)), dtype=dtype)
    log_prior = torch.tensor(rng.dirichlet(np.ones(K)), dtype=dtype).log()
    return features, y, class_vectors, log_prior


def weights(seed=0, n=N, dtype=torch.float64):
    return torch.tensor(np.random.default_rng(seed).uniform(0.1, 3, n), dtype=dtype)


def value_and_gradient(loss, features, *args):
    features = features.clone().requires_grad_()
    value = loss(features, *args)
    return value.detach(), torch.autograd.grad(value, features)[0]


# The interface


@every_loss
def test_declares_what_it_needs(loss):
    assert loss.vectors in ("classifier", "means")
    for flag in ("unit_features", "convex", "needs_prior", "contrasts_samples"):
        assert isinstance(getattr(loss, flag), bool)
    # Constant along rays from the origin and bounded: no such loss is convex.
    assert not (loss.unit_features and loss.convex)


@every_loss
def test_is_a_value(loss):
    for same in (copy.deepcopy(loss), pickle.loads(pickle.dumps(loss))):
        assert same == loss
        assert hash(same) == hash(loss)
    assert eval(repr(loss)) == loss
    assert sum(loss == other for other in EVERY_LOSS) == 1
    with pytest.raises(FrozenInstanceError):
        loss.temperature = 1.0


@every_loss
def test_needs_prior_is_checked(loss):
    features, y, class_vectors, log_prior = batch()
    if loss.needs_prior:
        with pytest.raises(ValueError, match="needs log_prior"):
            loss(features, y, class_vectors)
    else:
        without = loss(features, y, class_vectors)
        assert without == loss(features, y, class_vectors, None, log_prior)


def test_get_loss():
    for name, make in LOSSES.items():
        assert get_loss(name) == make()
    loss = NTCE(temperature=0.3)
    assert get_loss(loss) is loss
    wrong = {"hinge": "'hinge'", CrossEntropy: "<class", 3: "3", None: "None"}
    for value, written in wrong.items():
        message = (
            f"loss must be one of 'cross_entropy', .*'hug', or a Loss; got {written}"
        )
        with pytest.raises(ValueError, match=message):
            get_loss(value)
    with pytest.raises(ValueError, match="loss must be one of"):
        get_loss(np.array(["hug"]))


NO_POSITIVE_NUMBERS = [0.0, -1.0, math.inf, math.nan, "1", True, np.ones(2)]


@pytest.mark.parametrize(
    ("make", "name", "values"),
    [
        (CrossEntropy, "scale", NO_POSITIVE_NUMBERS),
        (CrossEntropy, "logit_adjustment", [math.nan, math.inf, None]),
        (LDAM, "scale", NO_POSITIVE_NUMBERS),
        (LDAM, "max_margin", [*NO_POSITIVE_NUMBERS, None]),
        (DotRegression, "weighting", ["none", None, np.array(["class"])]),
        (DotRegression, "denominator", ["E_W", 1]),
        (DotRegression, "feature_energy", NO_POSITIVE_NUMBERS),
        (DotRegression, "vector_energy", NO_POSITIVE_NUMBERS),
        (SquaredError, "weighting", ["balanced"]),
        (HypersphericalUniformityGap, "criterion", ["max", None]),
        (HypersphericalUniformityGap, "s", [-1.0, math.inf, "1"]),
        (HypersphericalUniformityGap, "inter_weight", [-0.1, math.nan]),
        (HypersphericalUniformityGap, "intra_weight", [-0.1, np.float32(-1)]),
        (HypersphericalUniformityGap, "decoupled", [None, 1, "yes"]),
        (HypersphericalUniformityGap, "weighting", ["classes"]),
        (NTCE, "temperature", NO_POSITIVE_NUMBERS),
        (NONL, "temperature", NO_POSITIVE_NUMBERS),
    ],
)
def test_parameters_are_checked(make, name, values):
    for value in values:
        seen = value.item() if isinstance(value, np.generic) else value
        with pytest.raises(ValueError, match=f"^{name} must be ") as error:
            make(**{name: value})
        assert str(error.value).endswith(f"; got {seen!r}.")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"features": torch.zeros(N)}, "features must have two axes"),
        ({"features": torch.zeros(N, D, dtype=torch.int64)}, "floating-point .*int64"),
        (
            {"features": torch.zeros(N, D + 1)},
            f"class_vectors must have {D + 1} columns",
        ),
        ({"class_vectors": torch.zeros(D)}, "class_vectors must have two axes"),
        ({"y": torch.zeros(N - 1, dtype=torch.int64)}, rf"y .* shape \({N},\)"),
        ({"y": torch.zeros(N, 1, dtype=torch.int64)}, r"y .* got the shape \(\d+, 1\)"),
        ({"y": torch.zeros(N)}, "y must have .*int64, .*float32"),
        ({"sample_weight": torch.ones(N, 1)}, "sample_weight must have the shape"),
        ({"sample_weight": torch.ones(())}, r"sample_weight .* got the shape \(\)"),
        ({"log_prior": torch.zeros(K + 1)}, rf"log_prior must have the shape \({K},\)"),
    ],
)
@every_loss
def test_batches_are_checked(loss, wrong, message):
    features, y, class_vectors, log_prior = batch()
    given = {"features": features, "y": y, "class_vectors": class_vectors}
    with pytest.raises(ValueError, match=message):
        loss(**given | {"log_prior": log_prior} | wrong)


# Gradients and symmetries


@every_loss
@pytest.mark.parametrize("weighted", [False, True])
def test_gradients(loss, weighted):
    features, y, class_vectors, log_prior = batch(n=7)
    sample_weight = weights(n=7) if weighted else None
    features.requires_grad_()
    class_vectors.requires_grad_()  # they may be learned

    def call(features, class_vectors):
        return loss(features, y, class_vectors, sample_weight, log_prior)

    if getattr(loss, "decoupled", False):  # a stopped gradient is not the slope
        class_vectors = class_vectors.detach()
    assert torch.autograd.gradcheck(call, (features, class_vectors))


@every_loss
@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    counts=st.lists(st.integers(0, 3), min_size=8, max_size=8),
)
def test_weights_are_multiplicities(loss, seed, counts):
    features, y, class_vectors, log_prior = batch(seed, n=8)
    repeats = torch.tensor(counts)
    value, gradient = value_and_gradient(
        loss, features, y, class_vectors, repeats, log_prior
    )
    repeated, repeated_gradient = value_and_gradient(
        lambda rows: loss(
            rows.repeat_interleave(repeats, dim=0),
            y.repeat_interleave(repeats),
            class_vectors,
            None,
            log_prior,
        ),
        features,
    )
    torch.testing.assert_close(value, repeated, rtol=1e-12, atol=1e-13)
    torch.testing.assert_close(gradient, repeated_gradient, rtol=1e-11, atol=1e-12)


@every_loss
def test_weights_of_one_change_nothing(loss):
    features, y, class_vectors, log_prior = batch()
    without = loss(features, y, class_vectors, None, log_prior)
    ones = loss(features, y, class_vectors, torch.ones(N), log_prior)
    torch.testing.assert_close(ones, without, rtol=1e-14, atol=0)


@every_loss
def test_order_of_rows_is_irrelevant(loss):
    features, y, class_vectors, log_prior = batch()
    w, order = weights(), torch.randperm(N, generator=torch.manual_seed(0))
    torch.testing.assert_close(
        loss(features[order], y[order], class_vectors, w[order], log_prior),
        loss(features, y, class_vectors, w, log_prior),
    )


@every_loss
def test_names_of_classes_are_irrelevant(loss):
    features, y, class_vectors, log_prior = batch()
    w, order = weights(), torch.randperm(K, generator=torch.manual_seed(1))
    renamed = order.argsort()[y]
    torch.testing.assert_close(
        loss(features, renamed, class_vectors[order], w, log_prior[order]),
        loss(features, y, class_vectors, w, log_prior),
    )


@every_loss
def test_joint_rotation_changes_nothing(loss):
    features, y, class_vectors, log_prior = batch()
    w = weights()
    rotation = torch.linalg.qr(batch(1)[0][:D]).Q
    torch.testing.assert_close(
        loss(features @ rotation, y, class_vectors @ rotation, w, log_prior),
        loss(features, y, class_vectors, w, log_prior),
    )


@every_loss
def test_unit_features_means_direction_only(loss):
    features, y, class_vectors, log_prior = batch()
    lengths = weights()[:, None]
    before = loss(features, y, class_vectors, None, log_prior)
    after = loss(lengths * features, y, class_vectors, None, log_prior)
    assert torch.isclose(before, after, rtol=1e-12) == loss.unit_features


@every_loss
def test_contrasts_samples_means_others_change_the_pull(loss):
    features, y, class_vectors, log_prior = batch()
    others = torch.cat([features[:1], batch(1)[0][1:]])
    _, gradient = value_and_gradient(loss, features, y, class_vectors, None, log_prior)
    _, changed = value_and_gradient(loss, others, y, class_vectors, None, log_prior)
    same = torch.allclose(gradient[0], changed[0], rtol=1e-12, atol=0)
    assert same != loss.contrasts_samples


@pytest.mark.parametrize("loss", [loss for loss in EVERY_LOSS if loss.convex], ids=repr)
def test_convex_in_the_features(loss):
    for seed in range(50):
        features, y, class_vectors, log_prior = batch(seed)
        other = 5 * batch(seed + 1000)[0]
        end, start, middle = (
            loss(point, y, class_vectors, weights(seed), log_prior)
            for point in (features, other, (features + other) / 2)
        )
        assert middle <= (start + end) / 2 + 1e-12


# Numerics and edges


@every_loss
def test_float32_agrees_with_float64(loss):
    features, y, class_vectors, log_prior = batch()
    w = weights()
    exact, exact_gradient = value_and_gradient(
        loss, features, y, class_vectors, w, log_prior
    )
    value, gradient = value_and_gradient(
        loss, features.float(), y, class_vectors, w, log_prior
    )
    assert value.dtype == gradient.dtype == torch.float32
    assert exact.dtype == exact_gradient.dtype == torch.float64
    torch.testing.assert_close(value.double(), exact, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(gradient.double(), exact_gradient, rtol=1e-4, atol=1e-5)


@every_loss
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(loss, dtype):
    features, y, class_vectors, log_prior = batch(dtype=dtype)
    value, gradient = value_and_gradient(
        loss, features, y, class_vectors, None, log_prior
    )
    assert value.dtype == torch.float32
    assert gradient.dtype == dtype
    single = loss(features.float(), y, class_vectors.float(), None, log_prior.float())
    assert value == single
    with torch.autocast("cpu", dtype=torch.bfloat16):
        autocast = loss(features.float(), y, class_vectors, None, log_prior)
    assert autocast == single


@every_loss
def test_zero_features_have_finite_gradients(loss):
    features, y, class_vectors, log_prior = batch()
    features[:3] = 0.0
    value, gradient = value_and_gradient(
        loss, features, y, class_vectors, None, log_prior
    )
    assert value.isfinite()
    assert gradient.isfinite().all()
    if loss.unit_features:
        assert (gradient[:3] == 0).all()


@every_loss
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_one_class_in_the_batch(loss, dtype):
    features, y, class_vectors, log_prior = batch(dtype=dtype)
    absent = (y == 2).to(dtype)  # the other classes are there without weight
    for labels, w in ((torch.full_like(y, 2), None), (y, absent)):
        value, gradient = value_and_gradient(
            loss, features, labels, class_vectors, w, log_prior
        )
        assert value.isfinite()
        assert gradient.isfinite().all()


@every_loss
def test_a_batch_of_nothing_is_zero(loss):
    features, y, class_vectors, log_prior = batch()
    value, gradient = value_and_gradient(
        loss, features, y, class_vectors, torch.zeros(N), log_prior
    )
    assert value == 0
    assert (gradient == 0).all()
    assert loss(features[:0], y[:0], class_vectors, None, log_prior) == 0


@every_loss
@pytest.mark.parametrize("length", [1e-6, 1e6])
def test_extreme_lengths_are_finite(loss, length):
    features, y, class_vectors, log_prior = batch(dtype=torch.float32)
    value, gradient = value_and_gradient(
        loss, length * features, y, class_vectors, None, log_prior
    )
    assert value.isfinite()
    assert gradient.isfinite().all()


@every_loss
def test_memory_is_linear_in_the_samples(loss):
    n = 1000
    features, y, class_vectors, log_prior = batch(n=n)
    sizes = []

    def pack(tensor):
        sizes.append(tensor.numel())
        return tensor

    features.requires_grad_()
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        loss(features, y, class_vectors, weights(n=n), log_prior)
    assert max(sizes) <= n * max(K, D)


# Truth: the formulas, written again as loops over NumPy arrays


def numpy_loss(loss, features, y, class_vectors, w, log_prior):
    """Average ``row_loss`` over samples, or over classes of their means."""
    row_loss = {
        CrossEntropy: cross_entropy_row,
        LDAM: ldam_row,
        DotRegression: dot_regression_row,
        SquaredError: squared_row,
        NTCE: ntce_row,
        NONL: nonl_row,
        HypersphericalUniformityGap: distance_row,
    }[type(loss)]
    arrays = [a.numpy() for a in (features, y, class_vectors, w, log_prior)]
    rows = np.array([row_loss(loss, i, *arrays) for i in range(len(features))])
    y, w = arrays[1], arrays[3]
    alone = vectors_alone(loss, arrays[2])
    if getattr(loss, "weighting", "sample") == "sample":
        return alone + np.average(rows, weights=w)
    return alone + np.mean(
        [np.average(rows[y == k], weights=w[y == k]) for k in np.unique(y)]
    )


def vectors_alone(loss, class_vectors):
    """Return what the loss has of the class vectors, whatever the features."""
    if not isinstance(loss, HypersphericalUniformityGap):
        return 0.0
    units = [v / math.sqrt(v @ v) for v in class_vectors]
    distances = [math.dist(v, w) for v, w in combinations(units, 2)]
    if loss.criterion == "mhs":
        energy = -min(distances)
    elif loss.criterion == "mgd":
        epsilon = max(1.0, K ** (1 / (D - 1)) / 4)
        gram = [
            [math.exp(-((epsilon * math.dist(v, w)) ** 2)) for v in units]
            for w in units
        ]
        energy = -np.linalg.slogdet(gram)[1] / K
    elif loss.s == 0:
        energy = np.mean([-math.log(r) for r in distances])
    else:
        energy = np.mean([r**-loss.s for r in distances])
    return loss.inter_weight * energy


def cosine(a, b):
    return a @ b / math.sqrt((a @ a) * (b @ b))


def cross_entropy_row(loss, i, features, y, class_vectors, w, log_prior):
    exponentials = []
    for k in range(K):
        if loss.scale is None:
            logit = features[i] @ class_vectors[k]
        else:
            logit = loss.scale * cosine(features[i], class_vectors[k])
        prior = math.exp(log_prior[k])
        exponentials.append(math.exp(logit) * prior**loss.logit_adjustment)
    return -math.log(exponentials[y[i]] / sum(exponentials))


def ldam_row(loss, i, features, y, class_vectors, w, log_prior):
    sizes = [math.exp(p) for p in log_prior]
    margin = loss.max_margin * (min(sizes) / sizes[y[i]]) ** 0.25
    if loss.scale is None:
        logits = [features[i] @ v for v in class_vectors]
    else:
        logits = [loss.scale * cosine(features[i], v) for v in class_vectors]
        margin *= loss.scale
    logits[y[i]] -= margin
    return -math.log(math.exp(logits[y[i]]) / sum(math.exp(z) for z in logits))


def dot_regression_row(loss, i, features, y, class_vectors, w, log_prior):
    e_h, e_w = loss.feature_energy, loss.vector_energy
    h, v = features[i], class_vectors[y[i]]
    h, v = math.sqrt(e_h / (h @ h)) * h, math.sqrt(e_w / (v @ v)) * v
    denominator = {"paper": math.sqrt(e_w * e_h), "code": math.sqrt(e_h)}
    return 0.5 * (v @ h - math.sqrt(e_w * e_h)) ** 2 / denominator[loss.denominator]


def squared_row(loss, i, features, y, class_vectors, w, log_prior):
    return 0.5 * sum((features[i] - class_vectors[y[i]]) ** 2)


def distance_row(loss, i, features, y, class_vectors, w, log_prior):
    h, v = features[i], class_vectors[y[i]]
    unit_h, unit_v = h / math.sqrt(h @ h), v / math.sqrt(v @ v)
    return loss.intra_weight * math.dist(unit_h, unit_v)


def ntce_row(loss, i, features, y, class_vectors, w, log_prior):
    similarities = [
        math.exp(cosine(class_vectors[y[i]], u) / loss.temperature) for u in features
    ]
    return -math.log(similarities[i] / sum(w * similarities))


def nonl_row(loss, i, features, y, class_vectors, w, log_prior):
    similarities = [
        math.exp(cosine(class_vectors[y[i]], u) / loss.temperature) for u in features
    ]
    negatives = [w[j] * similarities[j] for j in range(len(y)) if y[j] != y[i]]
    return -math.log(similarities[i] / sum(negatives))


@every_loss
@pytest.mark.parametrize("weighted", [False, True])
def test_equals_the_formula(loss, weighted):
    features, y, class_vectors, log_prior = batch(3)
    w = weights(3) if weighted else torch.ones(N, dtype=torch.float64)
    value = loss(features, y, class_vectors, w if weighted else None, log_prior)
    expected = numpy_loss(loss, features, y, class_vectors, w, log_prior)
    # The Gram determinant is kept from zero by 1e-10 on the diagonal.
    small = getattr(loss, "criterion", "") == "mgd"
    assert value.item() == pytest.approx(expected, rel=1e-8 if small else 1e-12)


def test_cross_entropy_is_the_log_loss_of_scikit_learn():
    features, y, class_vectors, _ = batch()
    w = weights()
    proba = (features @ class_vectors.T).softmax(dim=1)
    expected = log_loss(y, proba, sample_weight=w, labels=range(K))
    value = CrossEntropy()(features, y, class_vectors, w)
    assert value.item() == pytest.approx(expected, rel=1e-12)


def test_logit_adjustment_at_one_is_the_balanced_softmax():
    features, y, class_vectors, _ = batch()
    counts = torch.bincount(y, minlength=K).double()
    terms = counts * (features @ class_vectors.T).exp()
    expected = -(terms[torch.arange(N), y] / terms.sum(dim=1)).log().mean()
    value = CrossEntropy(logit_adjustment=1.0)(
        features, y, class_vectors, None, (counts / N).log()
    )
    torch.testing.assert_close(value, expected)


def test_a_class_of_prior_zero_is_out_of_the_softmax():
    features, _, class_vectors, log_prior = batch()
    y, log_prior[K - 1] = torch.arange(N) % (K - 1), -torch.inf
    loss = CrossEntropy(logit_adjustment=1.0)
    value, gradient = value_and_gradient(
        loss, features, y, class_vectors, None, log_prior
    )
    expected, expected_gradient = value_and_gradient(
        loss, features, y, class_vectors[:-1], None, log_prior[:-1]
    )
    torch.testing.assert_close(value, expected)
    torch.testing.assert_close(gradient, expected_gradient)


def test_margins_by_hand():
    log_prior = torch.tensor([10_000.0, 625.0, 16.0, 1.0, 0.0]).log()
    margins = LDAM(max_margin=0.5).margins(log_prior)
    # 1/10, 1/5 and 1/2 of the largest, which a class without rows has too
    torch.testing.assert_close(margins, torch.tensor([0.05, 0.1, 0.25, 0.5, 0.5]))
    torch.testing.assert_close(LDAM().margins(log_prior + 7), margins)
    # One row, orthogonal to its class vector and to the other one.
    features, vectors = torch.tensor([[0.0, 0.0, 3.0]]), torch.eye(3)[:2]
    two = torch.tensor([81.0, 1.0]).log()
    for label, margin in ((0, 1 / 6), (1, 1 / 2)):
        value = LDAM(scale=30.0)(features, torch.tensor([label]), vectors, None, two)
        expected = math.log(1 + math.exp(30 * margin))
        assert value.item() == pytest.approx(expected, rel=1e-6)


def test_ldam_without_margin_is_cross_entropy():
    features, y, class_vectors, log_prior = batch()
    for scale in (None, 5.0):
        value = LDAM(scale, 1e-12)(features, y, class_vectors, None, log_prior)
        expected = CrossEntropy(scale)(features, y, class_vectors)
        torch.testing.assert_close(value, expected)


def test_ldam_learns_nothing_from_a_class_of_prior_zero():
    features, _, class_vectors, log_prior = batch()
    y, log_prior[K - 1] = torch.arange(N) % (K - 1), -torch.inf
    value, gradient = value_and_gradient(
        LDAM(), features, y, class_vectors, None, log_prior
    )
    assert value.isfinite()
    assert gradient.isfinite().all()
    # A held-out row of that class is no infinite loss either.
    assert LDAM()(features, (y + 1) % K, class_vectors, None, log_prior).isfinite()


def test_logits_of_a_linear_head_are_features_on_an_orthonormal_target():
    # softmax regression: K orthonormal class vectors, and a linear projector onto them
    features, y, _, log_prior = batch()
    head = torch.nn.Linear(D, K, dtype=torch.float64)
    for loss in (CrossEntropy(), CrossEntropy(logit_adjustment=1.0)):
        adjustment = loss.logit_adjustment * log_prior
        value = loss(head(features), y, torch.eye(K).double(), None, log_prior)
        expected = torch.nn.functional.cross_entropy(head(features) + adjustment, y)
        torch.testing.assert_close(value, expected)


def test_dot_regression_is_half_the_squared_excess_of_the_cosine():
    features, y, class_vectors, _ = batch()
    cos = torch.cosine_similarity(features, class_vectors[y])
    expected = ((cos - 1) ** 2).mean() / 2
    torch.testing.assert_close(DotRegression()(features, y, class_vectors), expected)
    longer = weights(n=K)[:, None] * class_vectors
    torch.testing.assert_close(DotRegression()(features, y, longer), expected)
    paper = DotRegression(feature_energy=4.0, vector_energy=9.0)
    code = DotRegression(denominator="code", feature_energy=4.0, vector_energy=9.0)
    torch.testing.assert_close(paper(features, y, class_vectors), 6 * expected)
    torch.testing.assert_close(code(features, y, class_vectors), 18 * expected)


@pytest.mark.parametrize("make", [DotRegression, SquaredError])
def test_class_weighting_is_the_mean_of_class_means(make):
    features, y, class_vectors, _ = batch()
    present, counts = y.unique(return_counts=True)
    by_sample, by_class = make(), make(weighting="class")
    means = [by_sample(features[y == k], y[y == k], class_vectors) for k in present]
    value = by_class(features, y, class_vectors)
    torch.testing.assert_close(value, torch.stack(means).mean())
    # γ / n_k per sample, with γ = samples / classes present
    gamma = N / len(present)
    scale = (gamma / counts)[torch.searchsorted(present, y)]
    torch.testing.assert_close(value, by_sample(features, y, class_vectors, scale))
    # Weights of whole classes cancel.
    weighted = by_class(features, y, class_vectors, weights(n=K)[y])
    torch.testing.assert_close(weighted, value)


def test_ntce_compares_each_class_vector_with_all_samples():
    features, y, class_vectors, _ = batch()
    normalize = torch.nn.functional.normalize
    u, v = normalize(features), normalize(class_vectors)
    every_pair = v[y] @ u.T / 0.1
    expected = torch.nn.functional.cross_entropy(every_pair, torch.arange(N))
    torch.testing.assert_close(NTCE()(features, y, class_vectors), expected)


def test_nonl_is_zero_without_negatives_and_may_be_negative():
    features, y, class_vectors, _ = batch()
    assert NONL()(features, torch.full_like(y, 3), class_vectors) == 0
    collapsed = class_vectors[torch.arange(K)]
    assert NONL()(collapsed, torch.arange(K), class_vectors) < 0


@pytest.mark.parametrize("criterion", ["mhe", "mhs", "mgd"])
def test_class_vectors_learn_from_each_other_alone(criterion):
    features, y, class_vectors, _ = batch()
    class_vectors.requires_grad_()
    loss = HypersphericalUniformityGap(criterion, inter_weight=0.7)
    assert torch.autograd.gradcheck(loss.of_vectors, class_vectors)
    (alone,) = torch.autograd.grad(loss.of_vectors(class_vectors), class_vectors)
    (whole,) = torch.autograd.grad(loss(features, y, class_vectors), class_vectors)
    torch.testing.assert_close(whole, alone)
    coupled = replace(loss, decoupled=False)
    (pulled,) = torch.autograd.grad(coupled(features, y, class_vectors), class_vectors)
    assert not torch.allclose(pulled, alone)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    "loss",
    [
        HypersphericalUniformityGap("mhs"),
        HypersphericalUniformityGap("mgd"),
        *(HypersphericalUniformityGap(s=s) for s in (0.0, 1.0, 2.0, 100.0)),
    ],
    ids=repr,
)
def test_class_vectors_may_coincide(loss, dtype):
    features, y, class_vectors, _ = batch(dtype=dtype)
    for gap in (0.0, 1e-30, 1e-9, 1e-7, 1e-5):
        vectors = class_vectors.clone()
        vectors[1] = vectors[0]
        vectors[1, 0] += gap
        vectors.requires_grad_()
        value = loss(features, y, vectors)
        (gradient,) = torch.autograd.grad(value, vectors)
        assert value.isfinite()
        assert gradient.isfinite().all()


@pytest.mark.parametrize("criterion", ["mhe", "mhs", "mgd"])
def test_a_thousand_class_vectors_need_no_third_axis(criterion):
    n_classes, n_components = 1000, 64
    rng = np.random.default_rng(0)
    vectors = torch.tensor(rng.normal(size=(n_classes, n_components)))
    sizes = []

    def pack(tensor):
        sizes.append(tensor.numel())
        return tensor

    vectors.requires_grad_()
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        HypersphericalUniformityGap(criterion).of_vectors(vectors).backward()
    assert max(sizes) <= n_classes**2
    assert vectors.grad.isfinite().all()


def test_the_uniform_code_is_stationary():
    for criterion, n_classes, n_components in product(
        ("mhe", "mgd"), (4, 6), (3,)
    ):  # the simplex and the octahedron
        code = torch.tensor(
            hyperspherical_code(n_classes, n_components, criterion=criterion)
        ).requires_grad_()
        loss = HypersphericalUniformityGap(criterion)
        (gradient,) = torch.autograd.grad(loss.of_vectors(code), code)
        assert gradient.abs().max() < 1e-8
        value = loss.of_vectors(code).item()
        other = torch.tensor(np.random.default_rng(0).normal(size=code.shape))
        assert loss.of_vectors(other).item() > value


def test_a_new_loss_is_one_small_class():
    @dataclass(frozen=True)
    class Linear(Loss):
        gain: float = 1.0

        def per_sample(self, features, y, class_vectors, log_prior):
            return -self.gain * (features * class_vectors[y]).sum(dim=1)

    features, y, class_vectors, _ = batch()
    w = weights()
    expected = -2 * (w @ (features * class_vectors[y]).sum(dim=1)) / w.sum()
    torch.testing.assert_close(Linear(2.0)(features, y, class_vectors, w), expected)
    with pytest.raises(NotImplementedError):
        Loss()(features, y, class_vectors)
