"""Batches of images, shifted and flipped, mixed and cut."""

import copy
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from skcollapse.fitting import Objective, Problem
from skcollapse.losses import LOSSES
from skcollapse.network import CutMix, Mixup
from skcollapse.targets import ClassGeometry
from skcollapse.training import RandomCropFlip


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def numbered(n, c, h, w, dtype=torch.int64):
    """Return images whose pixels are all different, and none of them zero."""
    return 1 + torch.arange(n * c * h * w).reshape(n, c, h, w).to(dtype)


# --- crop and flip ------------------------------------------------------------------


def crops(image, padding, flip):
    """Return every image that a crop and a flip could make of one."""
    c, h, w = image.shape
    padded = np.zeros((c, h + 2 * padding, w + 2 * padding), image.dtype)
    padded[:, padding : padding + h, padding : padding + w] = image
    found = []
    for top in range(2 * padding + 1):
        for left in range(2 * padding + 1):
            crop = padded[:, top : top + h, left : left + w]
            found += [crop, crop[:, :, ::-1]] if flip else [crop]
    return np.array(found)


@given(
    shape=st.tuples(*(st.integers(1, 5) for _ in range(4))),
    padding=st.integers(0, 3),
    flip=st.booleans(),
    seed=st.integers(0, 2**32),
)
@settings(max_examples=50, deadline=None)
def test_every_image_is_one_of_its_crops(shape, padding, flip, seed):
    images = numbered(*shape)
    augmented = RandomCropFlip(padding, flip)(images, generator(seed))
    assert augmented.shape == images.shape
    for image, result in zip(images.numpy(), augmented.numpy(), strict=True):
        same = crops(image, padding, flip) == result
        assert same.all(axis=(1, 2, 3)).any()


def test_every_crop_is_as_frequent():
    # 4,500 draws of 18 outcomes: a standard deviation is 15.4.
    image = numbered(1, 1, 3, 4)
    augmented = RandomCropFlip(1)(image.expand(4500, 1, 3, 4), generator())
    outcomes = crops(image[0].numpy(), 1, True)
    same = (augmented.numpy()[:, None] == outcomes[None]).all(axis=(2, 3, 4))
    assert (same.sum(axis=1) == 1).all()
    chi_squared = ((same.sum(axis=0) - 250) ** 2 / 250).sum()
    assert chi_squared < 40.8  # the 99.9th percentile of 17 degrees of freedom


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float16, torch.float32])
def test_dtype_stays_and_the_images_too(dtype):
    images = numbered(3, 2, 4, 5, dtype)
    before = images.clone()
    assert RandomCropFlip()(images, generator()).dtype == dtype
    assert torch.equal(images, before)


def test_the_generator_says_it_all():
    images, augment = numbered(8, 1, 6, 6), RandomCropFlip()
    torch.manual_seed(0)
    state = torch.get_rng_state()
    first = augment(images, generator(3))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(augment(images, generator(3)), first)
    assert not torch.equal(augment(images, generator(4)), first)
    # Without one, the global generator does.
    without = augment(images)
    torch.manual_seed(0)
    assert torch.equal(augment(images), without)
    assert not torch.equal(augment(images), without)


def test_memory_format_does_not_matter():
    images = numbered(4, 3, 5, 5)
    last = images.to(memory_format=torch.channels_last)
    augment = RandomCropFlip(2)
    assert torch.equal(augment(last, generator()), augment(images, generator()))


def test_no_images():
    assert RandomCropFlip()(torch.zeros(0, 3, 4, 4)).shape == (0, 3, 4, 4)


def test_is_a_value():
    augment = RandomCropFlip(2, flip=False)
    assert eval(repr(augment)) == augment == pickle.loads(pickle.dumps(augment))
    assert copy.deepcopy(augment) == augment != RandomCropFlip(2)


@pytest.mark.parametrize("padding", [-1, 1.5, "4", None])
def test_bad_padding_is_refused(padding):
    with pytest.raises(ValueError, match=rf"padding must be .* got {padding!r}"):
        RandomCropFlip(padding)


def test_images_of_other_shapes_are_refused():
    with pytest.raises(ValueError, match=r"\(n, c, h, w\); got the shape \(5, 28, 28"):
        RandomCropFlip()(torch.zeros(5, 28, 28))


@pytest.mark.gpu
def test_devices_agree():
    images = numbered(16, 3, 8, 8, torch.float32)
    on_cuda = RandomCropFlip()(images.cuda(), generator())
    assert on_cuda.is_cuda
    assert torch.equal(on_cuda.cpu(), RandomCropFlip()(images, generator()))
    drawn_there = torch.Generator("cuda").manual_seed(0)
    augmented = RandomCropFlip()(images.cuda(), drawn_there).cpu()
    for image, result in zip(images.numpy(), augmented.numpy(), strict=True):
        same = crops(image, 4, True) == result
        assert same.all(axis=(1, 2, 3)).any()


# --- cutmix -------------------------------------------------------------------------


@given(
    seed=st.integers(0, 2**32 - 1),
    share=st.floats(0, 1),
    h=st.integers(1, 9),
    w=st.integers(1, 9),
)
@settings(max_examples=100, deadline=None)
def test_the_share_is_the_area_that_is_left(seed, share, h, w):
    x = numbered(3, 2, h, w)
    partner = torch.tensor([1, 2, 0])
    mixed, own_share = CutMix(1.0, seed).mix(x, partner, share)
    own, other = mixed == x, mixed == x[partner]
    assert (own ^ other).all()
    # One box, the same in every channel of every image.
    assert (own == own[0, 0]).all()
    box = other[0, 0]
    assert box.sum() == box.any(1).sum() * box.any(0).sum()
    assert own_share == pytest.approx(own[0, 0].double().mean().item(), abs=1e-12)
    assert own_share >= share - 1e-12  # sides are rounded down and cut off


def test_sides_follow_the_share():
    # The centre is in the middle for one place in 101; look at the widest box.
    x, partner = numbered(2, 1, 101, 101), torch.tensor([1, 0])
    cutmix = CutMix(1.0, seed=0)
    widest = max(
        (cutmix.mix(x, partner, 0.75)[0] != x)[0, 0].any(0).sum() for _ in range(40)
    )
    assert widest == 50  # √(1 − .75) of the sides


def loss_of(mixing, x, y, weight, rows):
    objective = Objective(rows)
    return mixing.loss(lambda x: x.mean(dim=(2, 3)), objective, x, y, weight)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("kind", [Mixup, CutMix])
def test_mixtures_count_in_both_classes(kind, name):
    rng = np.random.default_rng(0)
    x = torch.tensor(rng.normal(size=(8, 3, 12, 12)))
    y = torch.tensor([0, 1, 2, 0, 1, 2, 0, 0])
    weight = torch.tensor(rng.uniform(1, 3, size=8))
    vectors = ClassGeometry(np.eye(3), np.eye(3))
    rows = Problem(x, y, weight, LOSSES[name](), vectors)
    loss = loss_of(kind(1.0, seed=4), x, y, weight, rows)
    # The same draws once more, and every mixture written twice.
    again = kind(1.0, seed=4)
    share, partner = again.rng.beta(1.0, 1.0), again.rng.permutation(8)
    mixed, share = again.mix(x, torch.from_numpy(partner), share)
    features = mixed.mean(dim=(2, 3)).repeat(2, 1)
    expected = rows.loss(
        features,
        torch.cat([y, y[partner]]),
        rows.class_vectors,
        torch.cat([share * weight, (1 - share) * weight[partner]]),
        rows.log_prior,
    )
    assert 0 < share < 1
    torch.testing.assert_close(loss, expected)


def test_without_alpha_nothing_is_cut():
    x, y = numbered(4, 3, 6, 6, torch.float64), torch.tensor([0, 1, 2, 0])
    weight = torch.ones(4).double()
    vectors = ClassGeometry(np.eye(3), np.eye(3))
    rows = Problem(x, y, weight, LOSSES["cross_entropy"](), vectors)
    loss = loss_of(CutMix(0, seed=0), x, y, weight, rows)
    plain = rows.loss(x.mean(dim=(2, 3)), y, rows.class_vectors, weight)
    torch.testing.assert_close(loss, plain)


def test_cutmix_needs_images():
    with pytest.raises(ValueError, match=r"cutmix needs images.*\(4, 6\)"):
        CutMix(1.0, 0).mix(torch.zeros(4, 6), torch.arange(4), 0.5)
