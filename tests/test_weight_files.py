"""Files of weights: what comes back, and what a file can do to whoever reads it."""

import json
import os
import resource
import time
from dataclasses import fields

import joblib
import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal, assert_equal
from sklearn.base import clone
from sklearn.datasets import load_iris
from torch import nn

from skcollapse import ETFClassifier, HUGClassifier
from skcollapse.extract import FeatureExtractor
from skcollapse.fitting import Fitted
from skcollapse.projectors import MLP

pytest.importorskip("safetensors", reason="needs safetensors")

from safetensors import safe_open
from safetensors.torch import save_file

from skcollapse._utils.tensor_files import read_checkpoint, write_checkpoint

X, Y = load_iris(return_X_y=True)
NAMES = np.array(["setosa", "versicolor", "virginica"])[Y]
FEW = {"max_iter": 3, "random_state": 0}
MODELS = {
    "kernel": (ETFClassifier(random_state=0), X, Y),
    "perceptron": (ETFClassifier(projector=MLP((6,), residual=True), **FEW), X, NAMES),
    "module": (ETFClassifier(projector=nn.Linear(4, 2), **FEW), X, Y),
    "proxies": (HUGClassifier(proxy="learnable", **FEW), X, NAMES.astype(object)),
    "extractor": (
        ETFClassifier(
            projector="linear", alpha=0.1, extractor=nn.Linear(4, 5), random_state=0
        ),
        X.astype(np.float32),
        Y == 1,
    ),
}
READ = [
    field.name
    for field in fields(Fitted)
    if field.name not in ("extractor", "network", "selection_results", "scorer")
]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Return (fitted, path) by name."""
    folder = tmp_path_factory.mktemp("weights")
    found = {}
    for name, (model, rows, labels) in MODELS.items():
        path = folder / f"{name}.safetensors"
        model = clone(model).fit(rows, labels)
        model.save_weights(path)
        found[name] = model, path
    return found


every_model = pytest.mark.parametrize("name", MODELS)


def flat(value):
    """Return what a value consists of, to be compared."""
    if isinstance(value, nn.Module):
        return {key: tensor.numpy() for key, tensor in value.state_dict().items()}
    if hasattr(value, "__dataclass_fields__"):
        return {f.name: flat(getattr(value, f.name)) for f in fields(value)}
    return [flat(v) for v in value] if isinstance(value, tuple) else value


def assert_same(loaded, model):
    for name in ("classes_", "class_counts_", "n_features_in_"):
        value = getattr(model, name)
        assert_array_equal(getattr(loaded, name), value)
        assert np.asarray(getattr(loaded, name)).dtype == np.asarray(value).dtype
    for name in READ:
        got, expected = (flat(getattr(m._fitted, name)) for m in (loaded, model))
        assert_equal(got, expected, err_msg=name)


def forge(path, target, change):
    """Write a file whose content is changed, and whose digest is right."""
    tensors, meta = read_checkpoint(path)
    change(tensors, meta)
    write_checkpoint(target, tensors, meta)


# --- what comes back ----------------------------------------------------------------


@every_model
def test_every_field_comes_back(files, name):
    model, path = files[name]
    loaded = clone(model).load_weights(path)
    assert_same(loaded, model)
    rows = MODELS[name][1]
    np.testing.assert_allclose(
        loaded.predict_proba(rows), model.predict_proba(rows), rtol=1e-5, atol=1e-6
    )
    assert_array_equal(loaded.predict(rows), model.predict(rows))


@pytest.mark.parametrize(
    "labels",
    [
        np.array(["ä", "b\n", "漢字"]),
        np.array(["a", "b", "c"], dtype="U40"),
        np.array(["a", "b", "c"], dtype=object),
        np.array([-1.0, 0, 2]),
        np.array([0, 200, 255], dtype=np.uint8),
        np.array([0, 1, 2**63], dtype=np.uint64),
    ],
    ids=str,
)
def test_labels_of_every_kind(labels, tmp_path):
    path = tmp_path / "model.safetensors"
    model = ETFClassifier(solver="closed_form", random_state=0).fit(X, labels[Y])
    model.save_weights(path)
    loaded = ETFClassifier().load_weights(path)
    assert loaded.classes_.dtype == model.classes_.dtype
    assert loaded.classes_.tolist() == model.classes_.tolist()
    assert [*map(type, loaded.classes_)] == [*map(type, model.classes_)]


def test_names_of_features_come_back_and_go(files, tmp_path):
    pd = pytest.importorskip("pandas")
    path = tmp_path / "model.safetensors"
    frame = pd.DataFrame(X, columns=["a", "b", "long name", "d"])
    model = ETFClassifier(random_state=0).fit(frame, Y)
    model.save_weights(path)
    loaded = ETFClassifier().load_weights(path)
    assert_array_equal(loaded.predict(frame), model.predict(frame))
    assert loaded.feature_names_in_.tolist() == [*frame]
    loaded.load_weights(files["kernel"][1])
    assert not hasattr(loaded, "feature_names_in_")


def test_labels_that_are_no_plain_values_are_refused(tmp_path):
    dates = np.array(["2020-01-01", "2021-01-01", "2022-01-01"], "M8[D]")[Y]
    model = ETFClassifier(solver="closed_form").fit(X, Y)
    model.classes_ = np.unique(dates)
    with pytest.raises(TypeError, match="classes_ must be numbers or strings"):
        model.save_weights(tmp_path / "model.safetensors")
    assert not list(tmp_path.iterdir())


def test_an_extractor_that_is_no_module_is_refused(tmp_path):
    extractor = FeatureExtractor(torch.tanh)
    model = ETFClassifier(solver="closed_form", extractor=extractor).fit(X, Y)
    with pytest.raises(TypeError, match="extractor must be a torch module"):
        model.save_weights(tmp_path / "model.safetensors")


# --- what a file cannot do ----------------------------------------------------------


class Poisoned:
    def __reduce__(self):
        return pytest.fail, ("a pickle was loaded",)


def test_no_parameter_or_method_is_set(files, tmp_path):
    """Folders of joblib hold pickles: a file must not choose one."""
    model, path = files["kernel"]
    joblib.dump(Poisoned(), tmp_path / "output.pkl")
    evil = tmp_path / "evil.safetensors"
    for name in ("memory", "predict", "fit", "device", "_fitted", "__class__"):
        for place in ("data", "fitted", None):

            def change(tensors, meta, name=name, place=place):
                (meta if place is None else meta.setdefault(place, {}))[name] = str(
                    tmp_path
                )

            forge(path, evil, change)
            loaded = clone(model).load_weights(evil)
            assert_same(loaded, model)
            assert loaded.get_params() == model.get_params()
            assert vars(loaded).keys() <= vars(model).keys()

            def change(tensors, meta, name=name):
                tensors[name] = torch.ones(2)

            forge(path, evil, change)
            with pytest.raises(ValueError, match=f"no part of a fit: '{name}'"):
                clone(model).load_weights(evil)


def put(name, value):
    return lambda tensors, meta: tensors.__setitem__(name, value)


def say(name, value):
    return lambda tensors, meta: meta.__setitem__(name, value)


FORGED = {
    "no temperature": (lambda t, m: t.pop("temperature"), "temperature is missing"),
    "temperature 0": (put("temperature", torch.zeros(()).double()), "not positive"),
    "temperature inf": (put("temperature", torch.tensor(torch.inf)), "not positive"),
    "a list": (put("temperature", torch.ones(3)), "temperature must have the axes"),
    "half": (put("target", torch.ones(3, 2).bfloat16()), "target must have the axes"),
    "NaN": (put("target", torch.full((3, 2), torch.nan)), "not finite"),
    "rows": (put("target", torch.ones(4, 2)), "3, and not 4 along classes"),
    "columns": (put("target", torch.ones(3, 5)), "not 5 along components"),
    "labels": (put("classes_", torch.arange(4)), "classes_ has the length 4"),
    "equal labels": (put("classes_", torch.zeros(3)), "different labels in order"),
    "no text": (put("classes_", torch.full((3, 2), -1).int()), "no strings"),
    "no code": (put("classes_", torch.full((3, 2), 2**30).int()), "no strings"),
    "no width": (put("classes_", torch.ones(3, 0).int()), "no strings"),
    "mixed": (say("objects", 1), "objects must be one of False, True"),
    "names": (put("feature_names_in_", torch.ones(9, 1).int()), "not 4 along columns"),
    "scale": (put("projection.kernels.0.scale", torch.zeros(4)), "not positive"),
    "kind": (say("projection", "Fitted"), "projection must be one of"),
    "kind of kind": (say("projection", ["LinearProjection"]), "projection must be"),
    "other parts": (say("projection", "MLPProjection"), "projection.coefs.0 is missin"),
    "features": (say("n_features_in_", 5), "n_features_in_ is 5"),
    "no features": (say("n_features_in_", None), "n_features_in_ must be an integer"),
    "other class": (say("class", "HUGClassifier"), "it is of 'HUGClassifier'"),
    "no class": (lambda t, m: m.clear(), "it is of None"),
    "extractor": (say("extractor", True), "extractor is not like the one"),
    "a stranger": (put("other", torch.ones(1)), "no part of a fit: 'other'"),
}


@pytest.mark.parametrize(("change", "message"), FORGED.values(), ids=FORGED)
def test_forged_files_are_refused_and_named(files, change, message, tmp_path):
    model, path = files["kernel"]
    evil = tmp_path / "evil.safetensors"
    forge(path, evil, change)
    loaded = clone(model).fit(X[50:], Y[50:])
    before = dict(vars(loaded))
    with pytest.raises(ValueError, match=message) as info:
        loaded.load_weights(evil)
    assert str(info.value).startswith(f"path='{evil}' holds no weights of ETFClassif")
    assert vars(loaded) == before


@pytest.mark.parametrize("head", ["", "0", "nothing", "weight", "__class__", 3, []])
def test_a_file_chooses_no_head_that_the_network_lacks(files, head, tmp_path):
    model, path = files["extractor"]
    evil = tmp_path / "evil.safetensors"
    forge(path, evil, say("head", head))
    with pytest.raises(ValueError, match="head must be one of"):
        clone(model).load_weights(evil)


def test_files_of_others(files, tmp_path):
    model, whole = files["kernel"]
    path = tmp_path / "model.safetensors"

    def assert_refused(message):
        with pytest.raises(ValueError, match=message) as info:
            clone(model).load_weights(path)
        assert len(str(info.value)) < 1000

    with pytest.raises(FileNotFoundError, match="no weights to load"):
        clone(model).load_weights(path)
    path.write_bytes(b"")
    assert_refused("holds no weights of ETFClassifier")
    save_file({"a": torch.ones(1)}, path)
    assert_refused("its header has no 'meta'")
    path.write_bytes((2**40).to_bytes(8, "little") + b"{}")
    assert_refused("its header is too long")
    path.unlink()
    path.mkdir()
    assert_refused("it is no regular file")
    path.rmdir()
    if hasattr(os, "mkfifo"):
        os.mkfifo(path)
        assert_refused("it is no regular file")
    # One file before is not taken in its place.
    path.unlink()
    path.write_bytes(whole.read_bytes()[:-1])
    (tmp_path / "model.safetensors.previous").write_bytes(whole.read_bytes())
    assert_refused("holds no weights of ETFClassifier")


def write_text(path, text):
    """Write metadata that json.dumps would not, with its digest."""
    from skcollapse._utils import tensor_files

    header = {"meta": text, "sha256": tensor_files._digest({}, text)}
    save_file({}, path, header)


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        '{"class":' * 50_000 + "1" + "}" * 50_000,
        "[" * 900 + "]" * 900,
        "",
        "null",
        "1e400",
        "9" * 5000,
        '{"class": "ETFClassifier", "class": {}}',
        "{}" + " " * 1000 + "x",
    ],
    ids=lambda text: text[:9],
)
def test_metadata_of_any_kind(text, tmp_path):
    path = tmp_path / "model.safetensors"
    write_text(path, text)
    with pytest.raises(ValueError, match="holds no weights of ETFClassifier"):
        ETFClassifier().load_weights(path)


def test_networks_with_weights_that_are_not_finite(files, tmp_path):
    model, path = files["extractor"]
    evil = tmp_path / "evil.safetensors"
    forge(path, evil, put("extractor.bias", torch.full((5,), torch.nan)))
    with pytest.raises(ValueError, match="extractor has weights that are not finite"):
        clone(model).load_weights(evil)


def test_numbers_whose_products_overflow(files, tmp_path):
    model, path = files["extractor"]
    evil = tmp_path / "evil.safetensors"
    shape = model.target_.shape
    large = torch.full(shape, -1e300, dtype=torch.float64)  # for features of float32
    forge(path, evil, put("target", large))
    with pytest.raises(ValueError, match="so large that scores overflow"):
        clone(model).load_weights(evil)


# --- mutations ----------------------------------------------------------------------


def change_bytes(data, rng, path):
    for _ in range(rng.integers(1, 4)):
        data[rng.integers(len(data))] ^= 1 << rng.integers(8)


def change_header(data, rng, path):
    """Change bytes where they say most."""
    size = int.from_bytes(data[:8], "little") + 8
    for _ in range(rng.integers(1, 4)):
        data[rng.integers(size)] = rng.integers(256)


def truncate(data, rng, path):
    del data[rng.integers(len(data)) :]


def change_json(data, rng, path):
    """Change an entry of the header: where a tensor is, its shape, type or name."""
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    names = [name for name in header if name != "__metadata__"]
    name, other = rng.choice(names, 2)
    match rng.integers(7):
        case 0:
            header[name], header[other] = header[other], header[name]
        case 1:
            header[name]["shape"] = [int(2.0 ** rng.uniform(0, 62)) for _ in range(2)]
        case 2:
            header[name]["dtype"] = str(
                rng.choice(["F64", "I64", "BOOL", "BF16", "U8"])
            )
        case 3:
            header[name]["data_offsets"] = [0, int(rng.integers(2**40))]
        case 4:
            del header[name]
        case 5:
            header["memory"] = header.pop(name)
        case 6:
            words = header["__metadata__"]
            key = rng.choice([*words])
            words[key] = words[key][rng.integers(9) :] + str(rng.choice(["", "{", "0"]))
    text = json.dumps(header).encode()
    data[:] = len(text).to_bytes(8, "little") + text + data[8 + size :]


def swap(data, rng, path):
    """Give tensors the names of others, under the digest that was there."""
    with safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        names = rng.permutation(sorted(tensors))
        n = rng.integers(2, len(names) + 1)
        moved = dict(zip(np.roll(names[:n], 1), names[:n], strict=True))
        tensors = {moved.get(name, name): value for name, value in tensors.items()}
        save_file(tensors, path, file.metadata())
    data[:] = path.read_bytes()


WITHOUT_DIGEST = [change_bytes, change_header, truncate, change_json, swap]

JUNK = [None, True, 0, -1, 2**70, 1e300, "", "x" * 10_000, [], {}, [[[]]], {"a": []}]


def forge_anything(tensors, meta, rng):
    """Change tensors and metadata; the digest will be right."""
    for _ in range(rng.integers(1, 3)):
        # A file lists them in another order each time.
        name, other = rng.choice(sorted(tensors), 2)
        tensor = tensors[name]
        match rng.integers(8):
            case 0:
                meta[rng.choice([*meta])] = JUNK[rng.integers(len(JUNK))]
            case 1:
                tensors[name], tensors[other] = tensors[other], tensors[name]
            case 2:
                del tensors[name]
                if not tensors:
                    return
            case 3:
                tensors[name] = tensor.reshape(-1)
            case 4:
                kinds = [torch.float16, torch.int32, torch.bool, torch.bfloat16]
                tensors[name] = tensor.to(kinds[rng.integers(4)])
            case 5:
                fill = [torch.nan, torch.inf, -1e300, 0][rng.integers(4)]
                tensors[name] = torch.full(tensor.shape, fill, dtype=torch.float64)
            case 6:
                tensors[f"projection.{rng.integers(9)}"] = tensor
            case 7:
                tensors[name] = torch.ones(tuple(rng.integers(0, 4, tensor.ndim)))


def tries(n):
    slow = [pytest.mark.slow] if n > 200 else []
    return pytest.param(n, marks=slow, id=str(n))


@pytest.mark.parametrize("n", [tries(200), tries(2000)])
def test_mutated_files(files, n, tmp_path, record_property):
    """Nothing is loaded but what was saved, and nothing takes long or much."""
    path = tmp_path / "evil.safetensors"
    counts = {"refused": 0, "the same": 0, "forged and sound": 0}
    # What importing and the first loads take is not the file's.
    for model, whole in files.values():
        clone(model).load_weights(whole)
    before_all = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for k in range(n):
        rng = np.random.default_rng(k)
        name = list(MODELS)[k % len(MODELS)]
        model, whole = files[name]
        content = bytearray(whole.read_bytes())
        path.write_bytes(content)
        forged = k % 3 == 2
        if forged:
            forge(whole, path, lambda t, m, rng=rng: forge_anything(t, m, rng))
        else:
            WITHOUT_DIGEST[k // 3 % 5](content, rng, path)
            path.write_bytes(content)
        loaded = clone(model)
        before = dict(vars(loaded))
        start = time.process_time()
        try:
            loaded.load_weights(path)
        except ValueError:  # and nothing else
            counts["refused"] += 1
            assert vars(loaded) == before
        else:
            assert vars(loaded).keys() <= vars(model).keys() | before.keys()
            assert all(vars(loaded)[key] is value for key, value in before.items())
            if not forged:
                counts["the same"] += 1
                assert_same(loaded, model)
            else:
                counts["forged and sound"] += 1
                rows = MODELS[name][1]
                with np.errstate(all="ignore"):
                    assert set(loaded.predict(rows)) <= set(loaded.classes_)
        assert time.process_time() - start < 1, k
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_all
    assert peak < 200 * 1024, f"{peak} KiB more"
    assert counts["refused"] > 0.7 * n
    record_property("counts", counts)
    print(counts, f"{peak} KiB")
