"""The house rules, read from the source: who may import whom, what a page may hold, what nothing may say."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from attacks import ATTACKS
from data_files import FORMATS as DATA_FORMATS
from explainers import EXPLAINERS
from models import FORMATS as MODEL_FORMATS

ROOT = Path(__file__).parents[1]

# core <- models | data_files | explainers | attacks <- engine <- access <- reports <- ui <- pages <- app.py
# core <- storage <- engine        assay.py uses command, access, engine, reports, storage
METHODS = {"models", "data_files", "explainers", "attacks"}
BELOW_ENGINE = {"core", "storage"} | METHODS
MAY_IMPORT = {
    "core": set(),
    **dict.fromkeys(METHODS, {"core"}),
    "storage": {"core"},
    "engine": BELOW_ENGINE,
    "access": BELOW_ENGINE | {"engine"},
    "reports": BELOW_ENGINE | {"engine", "access"},
    "ui": BELOW_ENGINE | {"engine", "reports", "access"},
    "pages": BELOW_ENGINE | {"engine", "reports", "access", "ui"},
    "app": BELOW_ENGINE | {"engine", "reports", "access", "ui", "pages"},
    "command": BELOW_ENGINE | {"engine", "reports", "access"},
    "assay": BELOW_ENGINE | {"engine", "reports", "access", "command"},
}
WEB = {"streamlit", "starlette", "uvicorn", "plotly"}
HEAVY = {
    "torch", "captum", "shap", "xgboost", "lightgbm", "sklearn", "numba", "llvmlite", "matplotlib", "typst", "scipy",
}  # fmt: skip
KERNELS = ("explainers/trees/", "models/onnx/network/")
# The main script puts the pages into the navigation; it finds them in their folder and knows none by name.
NAVIGATION = "ui/main.py"


def product() -> list[Path]:
    """Every module of the product, tests, benchmarks and training scripts left out."""
    folders = [path for room in MAY_IMPORT for path in (ROOT / room).rglob("*.py")]
    return sorted(folders + [path for path in (ROOT / "app.py", ROOT / "assay.py") if path.exists()])


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def room(path: Path) -> str:
    return Path(name(path)).parts[0].removesuffix(".py")


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=name(path))


def imported(node: ast.AST) -> list[str]:
    """The dotted names that one statement imports."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        return [f"{node.module}.{alias.name}" for alias in node.names]
    return []


def imports(path: Path) -> list[str]:
    return [each for node in ast.walk(tree(path)) for each in imported(node)]


def at_import(node: ast.AST) -> Iterator[ast.AST]:
    """The statements that run when a module is imported."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        yield child
        yield from at_import(child)


def calls(path: Path) -> Iterator[str]:
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func)


MODULES = pytest.mark.parametrize("path", product(), ids=name)
PAGES = pytest.mark.parametrize("path", [path for path in product() if room(path) == "pages"], ids=name)
SCREENS = pytest.mark.parametrize("path", [path for path in product() if room(path) in ("pages", "ui")], ids=name)


@MODULES
def test_imports_run_one_way(path):
    allowed = MAY_IMPORT[room(path)] | {room(path)} | ({"pages"} if name(path) == NAVIGATION else set())
    rooms = {each.split(".")[0] for each in imports(path)} & MAY_IMPORT.keys()
    assert rooms <= allowed, f"{name(path)} imports {sorted(rooms - allowed)}"


@MODULES
def test_every_import_is_by_its_full_name(path):
    relative = [node for node in ast.walk(tree(path)) if isinstance(node, ast.ImportFrom) and node.level]
    assert not relative


@MODULES
def test_the_web_stays_in_its_rooms(path):
    if room(path) not in ("app", "pages", "ui"):
        assert not {each.split(".")[0] for each in imports(path)} & WEB


@MODULES
def test_heavy_libraries_wait_until_they_are_needed(path):
    if not name(path).startswith(KERNELS):
        early = {each.split(".")[0] for node in at_import(tree(path)) for each in imported(node)} & HEAVY
        assert not early, f"{name(path)} imports {sorted(early)} before anybody asked"


def test_the_web_process_loads_no_heavy_library():
    modules = [name(path).removesuffix(".py").removesuffix("/__init__").replace("/", ".") for path in product()]
    kernels = tuple(folder.rstrip("/").replace("/", ".") for folder in KERNELS)
    light = [each for each in modules if not each.startswith(kernels) and each not in ("ui.main", "app")]
    script = f"import importlib, sys\nfor each in {light!r}: importlib.import_module(each)\n"
    script += f"print(sorted({HEAVY!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"


def methods() -> list[Path]:
    """The files of the methods in the two lists, and of the formats of models and data."""
    listed = {ROOT / f"{each.__module__.replace('.', '/')}.py" for each in (*EXPLAINERS, *ATTACKS)}
    formats = {Path(module.__file__) for module in (*MODEL_FORMATS.values(), *DATA_FORMATS.values())}
    return sorted(listed | formats)


def dotted(path: Path) -> str:
    """A module's name; a package goes by its folder's."""
    return name(path).removesuffix(".py").removesuffix("/__init__").replace("/", ".")


@pytest.mark.parametrize("path", methods(), ids=name)
def test_methods_do_not_know_each_other(path):
    others = {dotted(other) for other in methods() if other != path}
    known = {each for each in imports(path) for other in others if each == other or each.startswith(f"{other}.")}
    assert not known


@MODULES
def test_nothing_imports_a_page(path):
    assert not [each for each in imports(path) if each.startswith("pages.")]


@MODULES
def test_capabilities_are_declared_and_never_probed(path):
    assert "hasattr" not in set(calls(path))


@SCREENS
def test_screens_catch_only_what_they_expect(path):
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.ExceptHandler):
            caught = ast.unparse(node.type) if node.type else "everything"
            assert not re.search(r"\b(everything|Exception|BaseException)\b", caught), f"line {node.lineno}"


@PAGES
def test_a_page_is_inert(path):
    """Docstring, imports, PAGE and functions: importing a page does nothing."""
    module = tree(path)
    assert ast.get_docstring(module)
    for node in module.body[1:]:
        allowed = isinstance(node, ast.Import | ast.ImportFrom | ast.FunctionDef)
        constant = isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == ["PAGE"]
        assert allowed or constant, f"{name(path)}, line {node.lineno}"


@PAGES
def test_a_page_reads_widgets_asks_and_draws(path):
    if path.stem == "__init__":
        return
    functions = {node.name: node for node in tree(path).body if isinstance(node, ast.FunctionDef)}
    render = functions["render"]
    assert [argument.arg for argument in render.args.args] == ["ctx"]
    assert render.end_lineno - render.lineno < 60
    assert not any(node.decorator_list and "cache" in ast.unparse(node) for node in functions.values())


@PAGES
def test_a_page_does_no_arithmetic_on_arrays(path):
    assert not {each for each in calls(path) if each.startswith(("np.", "numpy."))}


@PAGES
def test_a_page_keeps_no_state_and_opens_no_file(path):
    words = {ast.unparse(node) for node in ast.walk(tree(path)) if isinstance(node, ast.Attribute)}
    assert not {word for word in words if "session_state" in word or ".cache_" in word}
    assert not {"open", "Path", "read_text", "read_bytes"} & {each.split(".")[-1] for each in calls(path)}


@MODULES
def test_every_module_says_what_it_is(path):
    assert ast.get_docstring(tree(path))


def declared(path: Path) -> list[ast.FunctionDef]:
    """The functions and methods of a module; not those inside a function, nor the kernels' private ones."""
    module = tree(path)
    bodies = [module.body, *(node.body for node in ast.walk(module) if isinstance(node, ast.ClassDef))]
    functions = [node for body in bodies for node in body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    kernel = name(path).startswith(KERNELS)
    return [node for node in functions if not (kernel and node.name.startswith("_"))]


@MODULES
def test_every_function_is_typed(path):
    for node in declared(path):
        given = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        bare = [each.arg for each in given if each.annotation is None and each.arg not in ("self", "cls")]
        assert not bare, f"{node.name}, line {node.lineno}: {bare}"
        assert node.returns is not None, f"{node.name}, line {node.lineno}"


def tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [ROOT / each for each in listed.split("\0") if each and (ROOT / each).is_file()]


def test_no_file_speaks_of_a_machine():
    """No path of somebody's machine, and nothing outside the repository."""
    places = re.compile(
        "|".join(["/wo" + "rk/", "/ro" + "ot/", "/ho" + "me/[a-z]", "/Us" + "ers/", "\\.\\./sha" + "red"])
    )
    found = []
    for path in tracked():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # a picture, a font, a model
        found += [f"{name(path)}:{i}" for i, line in enumerate(text.splitlines(), 1) if places.search(line)]
    assert not found
