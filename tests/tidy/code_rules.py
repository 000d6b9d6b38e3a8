"""Tidy rules over the product's own code. Each takes a tree and answers with its findings."""

from __future__ import annotations

import ast
import re
import statistics
import sys
import tomllib
from collections.abc import Iterator
from importlib import metadata

from tests.tidy.tree import Function, Module, Tree

FUNCTION_LINES_MAX = 70
FUNCTION_LINES_MEDIAN_MAX = 10
MODULE_LINES_MAX = 600
CONSTRUCTOR_ARGUMENTS_MAX = 7

INTEGERS_ONLY = (
    "kernel/",
    "messages/",
    "business/",
    "market/quoting/",
    "market/execution/",
    "market/tracking/",
)
TEST_WORDS_MIN = 2
SKIPS = frozenset({"pytest.skip", "pytest.mark.skip", "pytest.mark.skipif", "pytest.importorskip"})
OPENERS = frozenset(
    {
        "aiohttp.ClientSession",
        "ClientSession",
        "asyncio.open_connection",
        "asyncio.open_unix_connection",
        "asyncpg.connect",
        "asyncpg.create_pool",
        "socket.create_connection",
        "urllib.request.urlopen",
    }
)
POINTER = re.compile(r"See [^.]*\.?|See `+[\w.]+`+\.?")
SUPERVISOR_MARK = "# supervisor"
BROAD = frozenset({"Exception", "BaseException"})


def integers_only(tree: Tree) -> Iterator[str]:
    """Money, intents and what they are made of know neither float nor true division."""
    for module in tree.modules:
        if not module.within(*INTEGERS_ONLY):
            continue
        for node in module.nodes:
            if isinstance(node, ast.Constant) and isinstance(node.value, float):
                yield module.at(node.lineno, f"the float {node.value}; use integer units")
            if isinstance(node, ast.Name) and node.id == "float":
                yield module.at(node.lineno, "float; use Amount, Price, Quantity or an int")
            if isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.Div):
                yield module.at(node.lineno, "true division; use split, or // with its rounding")


def _length(function: Function) -> int:
    return (function.end_lineno or function.lineno) - function.lineno + 1


def short_functions(tree: Tree) -> Iterator[str]:
    """A function is at most 70 lines long, and half of all at most 10."""
    lengths: list[int] = []
    for module in tree.modules:
        for function in module.functions():
            lengths.append(_length(function))
            if lengths[-1] > FUNCTION_LINES_MAX:
                found = f"{function.name} has {lengths[-1]} lines, {FUNCTION_LINES_MAX} are allowed"
                yield module.at(function.lineno, found)
    median = statistics.median(lengths or [0])
    if median > FUNCTION_LINES_MEDIAN_MAX:
        yield f"src: functions have {median} lines in the median, not {FUNCTION_LINES_MEDIAN_MAX}"


def short_modules(tree: Tree) -> Iterator[str]:
    """A module is at most 600 lines long."""
    for module in tree.modules:
        if len(module.lines) > MODULE_LINES_MAX:
            yield module.at(1, f"{len(module.lines)} lines, {MODULE_LINES_MAX} are allowed")


def few_dependencies(tree: Tree) -> Iterator[str]:
    """A constructor takes at most seven arguments."""
    for module in tree.modules:
        for function in module.functions():
            arguments = function.args
            count = len(arguments.posonlyargs) + len(arguments.args) + len(arguments.kwonlyargs) - 1
            if function.name == "__init__" and count > CONSTRUCTOR_ARGUMENTS_MAX:
                yield module.at(function.lineno, f"a constructor with {count} arguments")


def imports_at_the_top(tree: Tree) -> Iterator[str]:
    """No import hides in a function, where contracts and readers do not look for it."""
    for module in tree.modules:
        for function in module.functions():
            for node in ast.walk(function):
                if isinstance(node, ast.Import | ast.ImportFrom):
                    yield module.at(node.lineno, f"an import inside {function.name}")


def _names_broad(expression: ast.expr | None) -> bool:
    if expression is None:
        return True
    if isinstance(expression, ast.Tuple):
        return any(_names_broad(part) for part in expression.elts)
    return isinstance(expression, ast.Name) and expression.id in BROAD


def _catches_all(node: ast.AST) -> bool:
    if isinstance(node, ast.ExceptHandler):
        last = node.body[-1]
        # Cleaning up and raising the same again hides nothing.
        return _names_broad(node.type) and not (isinstance(last, ast.Raise) and last.exc is None)
    if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("suppress"):
        return any(_names_broad(argument) for argument in node.args)
    return False


def supervisors_only_catch_all(tree: Tree) -> Iterator[str]:
    """Only a marked supervisor may catch everything and go on."""
    for module in tree.modules:
        for node in module.nodes:
            broad = _catches_all(node)
            line = getattr(node, "lineno", 0)
            if broad and SUPERVISOR_MARK not in module.lines[line - 1]:
                yield module.at(line, f"catches everything without the mark {SUPERVISOR_MARK!r}")


def no_bare_assert(tree: Tree) -> Iterator[str]:
    """``python -O`` removes asserts; ``kernel.checks`` stays."""
    for module in tree.modules:
        for node in module.nodes:
            if isinstance(node, ast.Assert):
                yield module.at(node.lineno, "assert; use kernel.checks.require or ensure")


def class_names_are_unique(tree: Tree) -> Iterator[str]:
    """One public class name is one class, in the platform and in the worlds each."""
    seen: dict[tuple[bool, str], str] = {}
    for module in tree.modules:
        for node in module.nodes:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                key = module.within("sandbox/"), node.name
                if key in seen:
                    yield module.at(node.lineno, f"class {node.name} is also in {seen[key]}")
                seen.setdefault(key, module.name)


def docstrings_say_something(tree: Tree) -> Iterator[str]:
    """A docstring that only points to a port is left out: the port keeps the text."""
    for module in tree.modules:
        for node in module.nodes:
            if isinstance(node, ast.ClassDef | Function):
                text = (ast.get_docstring(node) or "").strip()
                if POINTER.fullmatch(text):
                    yield module.at(
                        node.lineno, f"{node.name}: its docstring only points elsewhere"
                    )


def _foreign(module: Module, allowed: tuple[str, ...]) -> Iterator[tuple[int, str]]:
    for line, name in module.imports():
        top = name.split(".", maxsplit=1)[0]
        if top == "poolmaker":
            if name != "poolmaker" and not name.startswith(allowed):
                yield line, name
        elif top not in sys.stdlib_module_names and top not in allowed:
            yield line, name


def ground_is_plain(tree: Tree) -> Iterator[str]:
    """``kernel`` knows the standard library, ``messages`` adds msgspec, and nothing else."""
    grounds = {
        "kernel/": ("poolmaker.kernel",),
        "messages/": ("poolmaker.kernel", "poolmaker.messages", "msgspec"),
    }
    for module in tree.modules:
        for place, allowed in grounds.items():
            if module.within(place):
                for line, name in _foreign(module, allowed):
                    yield module.at(line, f"{place[:-1]} imports {name}")


def imports_are_declared(tree: Tree) -> Iterator[str]:
    """What the product imports it also asks for; another's dependency may be gone tomorrow."""
    project = tomllib.loads(tree.text("pyproject.toml"))["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    names = (re.split(r"[\[<>=~! ]", text)[0] for group in groups for text in group)
    wanted = {name.lower().replace("-", "_") for name in names}
    distributions = metadata.packages_distributions()
    for module in tree.modules:
        for line, name in module.imports():
            top = name.partition(".")[0]
            if top == "poolmaker" or top in sys.stdlib_module_names:
                continue
            found = {name.lower().replace("-", "_") for name in distributions.get(top, [top])}
            if wanted.isdisjoint(found):
                yield module.at(line, f"imports {top}, which pyproject.toml does not ask for")


def stores_are_private(tree: Tree) -> Iterator[str]:
    """A room's ``_store`` is imported by that room alone."""
    for module in tree.modules:
        for line, name in module.imports():
            room, separator, _ = name.partition("._store")
            home = room.removeprefix("poolmaker.").replace(".", "/") + "/"
            if separator and room.startswith("poolmaker.") and not module.within(home):
                yield module.at(line, f"imports the store of {home[:-1]}")


def queues_are_bounded(tree: Tree) -> Iterator[str]:
    """A queue that nobody bounds grows until the process dies."""
    kinds = {"Queue", "LifoQueue", "PriorityQueue", "SimpleQueue"}
    for module in tree.modules:
        for node in module.nodes:
            if not isinstance(node, ast.Call) or node.args or node.keywords:
                continue
            target = node.func.value if isinstance(node.func, ast.Subscript) else node.func
            if ast.unparse(target).rpartition(".")[2] in kinds:
                yield module.at(node.lineno, "a queue without a bound; give maxsize")


def _bounded_waits(module: Module) -> set[ast.AST]:
    """Everything that stands inside ``async with asyncio.timeout(…)``."""
    return {
        inner
        for node in module.nodes
        if isinstance(node, ast.AsyncWith)
        and any("timeout" in ast.unparse(item.context_expr) for item in node.items)
        for inner in ast.walk(node)
    }


def waits_have_a_timeout(tree: Tree) -> Iterator[str]:
    """A connection that is opened without a timeout waits for ever when nobody answers."""
    for module in tree.modules:
        for node in module.nodes:
            if not isinstance(node, ast.Call) or ast.unparse(node.func) not in OPENERS:
                continue
            limited = any("timeout" in (keyword.arg or "") for keyword in node.keywords)
            if not limited and node not in _bounded_waits(module):
                yield module.at(node.lineno, f"{ast.unparse(node.func)} without a timeout")


def _skip_without_help(node: ast.AST) -> int | None:
    if not isinstance(node, ast.Call) or ast.unparse(node.func) not in SKIPS:
        return None
    helps = any(word in ast.unparse(node) for word in ("install", "as root"))
    return None if helps else node.lineno


def tests_are_sentences(tree: Tree) -> Iterator[str]:
    """The name of a test says what holds; no test is skipped without saying what to do."""
    for path, text in tree.python():
        if path.parts[0] != "tests" or not path.name.startswith("test_"):
            continue
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, Function) and node.name.startswith("test_"):
                if node.name.count("_") < TEST_WORDS_MIN:
                    yield f"{path}:{node.lineno}: {node.name} is no sentence"
            elif line := _skip_without_help(node):
                yield f"{path}:{line}: skipped without saying what to do"


def ticks_with_rules(tree: Tree) -> Iterator[str]:
    """A value of the market wing that holds ticks or lots holds the rules that they count in."""
    for module in tree.modules:
        if not module.within("market/"):
            continue
        for node in module.nodes:
            if not isinstance(node, ast.ClassDef):
                continue
            fields = {
                line.target.id: line.lineno
                for line in node.body
                if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name)
            }
            for name, line in fields.items():
                counted = name.rpartition("_")[2] in {"ticks", "lots"}
                if counted and "market" not in fields:
                    yield module.at(line, f"{node.name}.{name} counts in rules that are not there")
