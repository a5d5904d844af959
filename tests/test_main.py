"""The command line, in this process and once in another."""

import json
import pickle
import subprocess
import sys

import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

from skcollapse import NeuralCollapseScorer, __version__
from skcollapse.__main__ import main


@pytest.fixture(scope="module")
def iris():
    return load_iris(return_X_y=True)


@pytest.fixture(scope="module")
def head(iris):
    return LogisticRegression(max_iter=1000).fit(*iris)


@pytest.fixture
def folder(tmp_path, monkeypatch, iris, head):
    X, y = iris
    monkeypatch.chdir(tmp_path)
    np.savez("all.npz", X=X, y=y, W=head.coef_, b=head.intercept_)
    np.savez_compressed("other.npz", Z=X, names=np.array(["a", "b", "c"])[y])
    np.save("X.npy", X.astype(np.float32))
    np.save("y.npy", y)
    return tmp_path


def test_report_of_a_file(folder, iris, head, capsys):
    assert main(["score", "all.npz", "--weights", "W", "--bias", "b"]) == 0
    expected = NeuralCollapseScorer((head.coef_, head.intercept_)).fit(*iris)
    assert capsys.readouterr().out == f"{expected.report_!r}\n"


def test_json(folder, iris, capsys):
    assert main(["score", "all.npz", "--json", "--split", "test"]) == 0

    def refuse(constant):
        raise AssertionError(constant)

    found = json.loads(capsys.readouterr().out, parse_constant=refuse)
    expected = NeuralCollapseScorer().fit(*iris).report_
    assert found["split"] == "test"
    for name, value in expected.to_dict().items():
        assert found["measures"][name] == (None if np.isnan(value) else value)
    assert found["classes"]["class"] == [0, 1, 2]
    assert found["classes"]["norm"] == expected.classes["norm"].tolist()


@pytest.mark.parametrize(
    "arguments",
    [
        ["X.npy", "--labels", "y.npy"],
        ["other.npz", "--features", "Z", "--labels", "names"],
        ["other.npz", "--features", "Z", "--labels", "y.npy"],
        ["other.npz", "--features", "X.npy", "--labels", "names"],
    ],
)
def test_forms_of_files(folder, iris, capsys, arguments):
    assert main(["score", *arguments, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    expected = NeuralCollapseScorer().fit(*iris).report_
    assert found["measures"]["nc1"] == pytest.approx(expected["nc1"], rel=1e-5)


def test_safetensors(folder, iris, capsys):
    safetensors = pytest.importorskip("safetensors.numpy")
    X, y = iris
    safetensors.save_file({"X": X, "y": y}, "a.safetensors")
    assert main(["score", "a.safetensors", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["measures"]["cdnv"]
    assert found == pytest.approx(NeuralCollapseScorer().fit(X, y).report_["cdnv"])


def test_plot(folder, capsys):
    pytest.importorskip("matplotlib").use("Agg")
    arguments = ["score", "all.npz", "--weights", "W", "--plot"]
    assert main([*arguments, "report.png"]) == 0
    assert (folder / "report.png").read_bytes().startswith(b"\x89PNG")
    assert main([*arguments, "report.nothing"]) == 2
    assert main([*arguments, "no/folder/report.png"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert "'nothing' is not supported" in lines[0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none.npz"], "none.npz: there is no such file"),
        (["all.npz", "--labels", "z"], "all.npz: holds no array 'z'; it has 'W', 'X'"),
        (["all.npz", "--labels", "X"], "all.npz: 'X' must have 1 axes"),
        (["all.npz", "--features", "y"], "all.npz: 'y' must have 2 axes"),
        (["all.npz", "--labels", "b"], "150 rows of features and 3 labels"),
        (["all.npz", "--bias", "b"], "give --weights as well"),
        (["all.npz", "--weights", "few.npy"], "2 class vectors and y 3 classes"),
        (["X.npy"], "X.npy: holds one array without a name, so none named 'y'"),
        (["all.txt"], "all.txt: the suffix must be one of"),
        (["pickled.npz"], "Python objects, which are never loaded"),
        (["pickled.npy", "--labels", "y.npy"], "Python objects, which are never"),
        (["damaged.npz"], "damaged.npz: cannot be read"),
        (["nan.npz"], "Input X contains NaN"),
        (["all.npz", "--ridge", "-1"], "ridge must be a finite number"),
        (["one.npz"], "at least two classes"),
        (["flipped.npz"], "flipped.npz: cannot be read (Bad CRC-32"),
        (["negative.npy", "--labels", "y.npy"], "the shape (-1, 4)"),
        (["huge.npy", "--labels", "y.npy"], "huge.npy: cannot be read (an array of"),
        (["zero.npy", "--labels", "y.npy"], "zero.npy: cannot be read (it is no reg"),
    ],
)
def test_bad_files(folder, iris, capsys, arguments, message):
    X, y = iris
    np.savez("nan.npz", X=np.where(X > 7, np.nan, X), y=y)
    np.save("few.npy", np.eye(2, 4))
    np.savez("one.npz", X=X, y=np.zeros(150, int))
    np.savez("pickled.npz", X=X.astype(object), y=y)
    np.save("pickled.npy", _Trap(), allow_pickle=True)
    (folder / "damaged.npz").write_bytes((folder / "all.npz").read_bytes()[:3000])
    (folder / "all.txt").write_text("1 2 3")
    content = bytearray((folder / "all.npz").read_bytes())
    content[2000] ^= 1
    (folder / "flipped.npz").write_bytes(content)
    content = (folder / "X.npy").read_bytes()
    for name, shape in (("negative", b"( -1, 4)"), ("huge", b"(9999,4)")):
        changed = content.replace(b"(150, 4)", shape)
        (folder / f"{name}.npy").write_bytes(changed)
    (folder / "zero.npy").symlink_to("/dev/zero")
    assert main(["score", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    assert line.startswith("skcollapse: error: ")
    assert message in line


def test_checksums_can_be_left_out(folder, capsys):
    assert main(["score", "all.npz", "--json"]) == 0
    expected = capsys.readouterr().out
    assert main(["score", "all.npz", "--json", "--no-verify"]) == 0
    assert capsys.readouterr().out == expected
    content = bytearray((folder / "all.npz").read_bytes())
    content[2000] ^= 1
    (folder / "all.npz").write_bytes(content)
    assert main(["score", "all.npz", "--json"]) == 2
    assert main(["score", "all.npz", "--json", "--no-verify"]) == 0


class _Trap:
    def __reduce__(self):
        return pickle.loads, (b"never",)


def test_bad_options(capsys):
    for arguments in ([], ["score"], ["measure", "a.npz"]):
        with pytest.raises(SystemExit) as stop:
            main(arguments)
        assert stop.value.code == 2
        assert "error:" in capsys.readouterr().err


def test_as_a_process(folder):
    command = [sys.executable, "-m", "skcollapse", "score", "none.npy"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == "skcollapse: error: none.npy: there is no such file\n"


# What takes long to import, and is not needed to answer.
SLOW = ("torch", "numpy", "scipy", "sklearn", "skcollapse._utils.devices")


@pytest.mark.parametrize(
    ("arguments", "answer", "unneeded"),
    [
        (["--help"], "usage: skcollapse", SLOW),
        (["score", "--help"], "FEATURES", SLOW),
        (["--version"], __version__, SLOW),
        ([], "required: COMMAND", SLOW),
        (["score"], "required: FEATURES", SLOW),
        (["score", "a.npz", "--ridge", "much"], "invalid float value", SLOW),
        (["score", "a.npz", "--bias", "b"], "give --weights as well", SLOW),
        (["score", "none.npz"], "there is no such file", ("torch", "sklearn")),
    ],
    ids=" ".join,
)
def test_answers_without_slow_imports(arguments, answer, unneeded):
    code = f"""if True:
        import sys
        from skcollapse.__main__ import main
        try:
            status = main({arguments})
        finally:
            print("\\nimported:", [name for name in {unneeded} if name in sys.modules])
        """
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert answer in done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "imported: []"


def test_the_package_is_lazy():
    code = """if True:
        import sys
        import skcollapse
        assert not {"torch", "numpy", "sklearn"} & set(sys.modules)
        names = "targets", "losses", "moments", "measures", "metrics", "datasets"
        for name in (*names, "extract", "projectors", "training", "classifiers"):
            assert name in dir(skcollapse), name
        for name in ("display", "scorer", "monitor", *skcollapse.__all__):
            assert name in dir(skcollapse), name
        for name in names:
            assert getattr(skcollapse, name) is sys.modules[f"skcollapse.{name}"]
        from skcollapse import NeuralCollapseScorer
        assert "skcollapse.display" not in sys.modules
        assert "matplotlib" not in sys.modules
        try:
            skcollapse.nothing
        except AttributeError as error:
            assert "'skcollapse' has no attribute 'nothing'" in str(error)
        """
    subprocess.run([sys.executable, "-c", code], check=True)
