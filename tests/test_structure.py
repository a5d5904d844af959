"""The rooms of the package: what may import what, and how large things may grow.

The floors are checked by import-linter, see pyproject.toml.
"""

import ast
import importlib
import inspect
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "skcollapse"
FILES = sorted(PACKAGE.rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
TREES = {path: ast.parse(path.read_text(encoding="utf-8")) for path in FILES + TESTS}

MOST_LINES = 350
MOST_FILES = 25
MOST_PARAMETERS = 6
LONGEST_RUN = 5
# Rooms in which no estimator is seen.
BELOW_CLASSIFIERS = {
    *("_utils", "targets", "moments", "losses", "rows", "projectors", "measures"),
    *("extract", "fitting", "linear", "network"),
}
# More parameters than that, and why.
MANY_PARAMETERS = {
    "make_long_tailed": "the choices of an experiment, all of them by keyword",
    "from_estimator": "as the displays of scikit-learn",
    "from_predictions": "as the displays of scikit-learn",
    "fit_network": "what extract_features takes, by keyword",
    "record_network": "what extract_features takes, by keyword",
}
# What may run code that is in a file. Calls are known by the names they go by here.
UNSAFE_MODULES = {"pickle", "dill", "cloudpickle", "marshal", "shelve", "yaml"}
UNSAFE_CALLS = {
    *("eval", "exec", "compile", "__import__", "os.system", "tempfile.mktemp"),
    *("torch.load", "torch.jit.load", "joblib.load", "np.load", "numpy.load"),
    *("pd.read_pickle", "pandas.read_pickle"),
}
# Rooms whose public functions and classes are annotated.
ANNOTATED = ["targets", "losses", "metrics", "datasets", "classifiers"]


def room(path):
    """Name the room of a file of the package: a folder, or a module of its own."""
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imported(path):
    """Yield the dotted names that a file imports from the package, with their lines."""
    for node in ast.walk(TREES[path]):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno} imports relatively"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        yield from ((name, node.lineno) for name in names if "skcollapse." in name)


def is_private(name):
    """Whether a dotted name leads into a room past its face."""
    _, other, *rest = name.split(".")
    hidden = [part for part in rest if part.startswith("_") and not part.endswith("__")]
    return bool(hidden) and other != "_utils"


def functions(path):
    """Yield the functions and methods of a file."""
    kinds = ast.FunctionDef | ast.AsyncFunctionDef
    return (node for node in ast.walk(TREES[path]) if isinstance(node, kinds))


def parameters(function):
    every = function.args.posonlyargs + function.args.args + function.args.kwonlyargs
    return [arg.arg for arg in every if arg.arg not in ("self", "cls")]


def test_rooms_know_only_the_faces_of_each_other():
    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for path in FILES
        for name, line in imported(path)
        if is_private(name) and name.split(".")[1] != room(path)
    ]
    assert not wrong, "\n".join(wrong)


def test_tests_know_only_the_faces_of_rooms():
    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for path in TESTS
        for name, line in imported(path)
        if is_private(name)
    ]
    assert not wrong, "\n".join(wrong)


def test_files_are_short():
    lengths = {
        path: len(path.read_text(encoding="utf-8").splitlines()) for path in FILES
    }
    long = {
        str(path): length for path, length in lengths.items() if length > MOST_LINES
    }
    assert not long


def dotted(node):
    """Return the dotted name that an expression is, or what of it is one."""
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def unsafe(tree):
    """Yield what in a file may run code that is in another one."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            module = getattr(node, "module", None)
            names = [f"{module}.{a.name}" if module else a.name for a in node.names]
            for name in names:
                if name.partition(".")[0] in UNSAFE_MODULES or name in UNSAFE_CALLS:
                    yield name
        elif isinstance(node, ast.Call):
            name = dotted(node.func)
            if name in UNSAFE_CALLS:
                yield name
            for keyword in node.keywords:
                value = getattr(keyword.value, "value", True)
                if keyword.arg == "allow_pickle" and value is not False:
                    yield "allow_pickle"


def test_nothing_runs_what_a_file_says():
    wrong = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in FILES
        for name in unsafe(TREES[path])
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    "code",
    [
        "import pickle",
        "import pickle as p",
        "from pickle import loads",
        "from torch import load",
        "from joblib import load as read",
        "eval('1')",
        "torch.load(path)",
        "np.load(path)",
        "npy.read_array(stream, allow_pickle=True)",
        "npy.read_array(stream, allow_pickle=flag)",
    ],
)
def test_what_runs_code_is_found(code):
    assert list(unsafe(ast.parse(code)))


def test_rooms_are_small():
    rooms = [room(path) for path in FILES]
    assert max(map(rooms.count, rooms)) <= MOST_FILES


def test_functions_take_few_parameters():
    # Constructors of parameter objects list what users set.
    wrong = [
        f"{path.relative_to(ROOT)}:{function.lineno} {function.name}"
        for path in FILES
        for function in functions(path)
        if len(parameters(function)) > MOST_PARAMETERS
        and function.name != "__init__"
        and function.name not in MANY_PARAMETERS
        and "parameters because" not in (ast.get_docstring(function) or "")
    ]
    assert not wrong, "\n".join(wrong)


def test_no_estimator_is_seen_below_the_classifiers():
    wrong = [
        f"{path.relative_to(ROOT)}:{function.lineno} {function.name}"
        for path in FILES
        if room(path) in BELOW_CLASSIFIERS and path.stem != "checks"
        for function in functions(path)
        if "estimator" in parameters(function)
    ]
    assert not wrong, "\n".join(wrong)


def code_lines(path):
    """Return (number, text) of lines, but for signatures, faces and constructors."""
    left_out = set()
    for node in ast.walk(TREES[path]):
        stop = getattr(node, "end_lineno", 0)
        if isinstance(node, ast.FunctionDef) and node.name != "__init__":
            stop = node.body[0].lineno - 1
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            pass  # a docstring
        elif isinstance(node, ast.Assign) and ast.unparse(node).startswith("__all__"):
            pass
        elif not isinstance(node, ast.FunctionDef | ast.Import | ast.ImportFrom):
            continue
        left_out |= set(range(node.lineno, stop + 1))
    lines = enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
    return [
        (k, line.strip()) for k, line in lines if line.strip() and k not in left_out
    ]


def test_nothing_is_written_twice():
    places = defaultdict(list)
    for path in FILES:
        lines = code_lines(path)
        for start in range(len(lines) - LONGEST_RUN):
            run = lines[start : start + LONGEST_RUN + 1]
            where = f"{path.relative_to(ROOT)}:{run[0][0]}"
            places[tuple(text for _, text in run)].append(where)
    twice = [" and ".join(found) for found in places.values() if len(found) > 1]
    assert not twice, "\n".join(twice)


def own_functions(face):
    """Yield the public functions and methods of a face, with their names."""
    for name in face.__all__:
        value = getattr(face, name)
        if inspect.isfunction(value):
            yield name, value
        elif inspect.isclass(value):
            for key, method in inspect.getmembers_static(value):
                # Inside of properties, class methods, and scikit-learn's available_if.
                inner = (
                    getattr(method, key, None) for key in ("fget", "__func__", "fn")
                )
                function = next(filter(None, inner), method)
                public = not key.startswith("_") or key in ("__init__", "__call__")
                if public and "skcollapse" in (
                    getattr(function, "__module__", "") or ""
                ):
                    yield f"{name}.{key}", function


@pytest.mark.parametrize("name", ANNOTATED)
def test_what_is_public_is_annotated(name):
    face = importlib.import_module(f"skcollapse.{name}")
    wrong = []
    for label, function in own_functions(face):
        signature = inspect.signature(function)
        every = [*signature.parameters.values()]
        bare = [p.name for p in every if p.annotation is p.empty and p.name != "self"]
        if bare or signature.return_annotation is signature.empty:
            wrong.append(f"{label}: {bare or 'return'}")
    assert not wrong, "\n".join(wrong)
