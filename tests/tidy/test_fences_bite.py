"""Every fence bites: each violation, planted in a copy of the tree, fails exactly its own check."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.tidy.rules import RULES
from tests.tidy.tree import REPOSITORY, Tree

CONFIGURATION = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))["tool"]
CONTRACTS = {contract["id"] for contract in CONFIGURATION["importlinter"]["contracts"]}
BANNED = CONFIGURATION["ruff"]["lint"]["flake8-tidy-imports"]["banned-api"]
VERDICT = re.compile(r"^(\w+) .* (KEPT|BROKEN)\b", re.MULTILINE)
TOOLS = Path(sys.executable).parent


class Copy:
    """A copy of the tree in which violations are planted and taken out again."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._before: dict[Path, str | None] = {}

    def plant(self, name: str, text: str) -> None:
        """Append ``text`` to a file, or make the file."""
        path = self.root / name
        before = path.read_text("utf-8") if path.exists() else None
        self._before.setdefault(path, before)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text((before or "") + text, "utf-8")

    def replace(self, name: str, old: str, new: str) -> None:
        """Put ``new`` where ``old`` stands in a file."""
        text = (self.root / name).read_text("utf-8")
        assert old in text
        self._before.setdefault(self.root / name, text)
        (self.root / name).write_text(text.replace(old, new, 1), "utf-8")

    def restore(self) -> None:
        """Take out what was planted."""
        for path, before in self._before.items():
            if before is not None:
                path.write_text(before, "utf-8")
                continue
            path.unlink()
            if not any(path.parent.iterdir()):
                path.parent.rmdir()
        self._before.clear()

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run one of the checking tools inside the copy."""
        environment = {"PATH": str(TOOLS), "PYTHONPATH": str(self.root / "src"), "COLUMNS": "200"}
        return subprocess.run(
            [str(TOOLS / command[0]), *command[1:]],
            cwd=self.root,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture(scope="module")
def whole_copy(tmp_path_factory: pytest.TempPathFactory) -> Copy:
    root = tmp_path_factory.mktemp("copy")
    for name in Tree(REPOSITORY).files:
        if name.parts[:2] != ("tests", "vectors"):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(REPOSITORY / name, root / name)
    return Copy(root)


@pytest.fixture
def copy(whole_copy: Copy) -> Iterator[Copy]:
    yield whole_copy
    whole_copy.restore()


# ------------------------------------------------------------------------------- import contracts
def _imports(module: str) -> str:
    return f"import {module}\n"


Plants = dict[str, str]
HIDDEN = "from typing import TYPE_CHECKING\n\nif TYPE_CHECKING:\n    import {}\n"
IN_A_FUNCTION = "def hidden() -> None:\n    import {}\n"

# (what is planted where, the contracts that must break and no others)
IMPORTS: dict[str, tuple[Plants, set[str]]] = {
    "a view asks the business wing": (
        {"views/planted.py": _imports("poolmaker.business.pools")},
        {"L1"},
    ),
    "the bus knows a wing, for types only": (
        {"bus/planted.py": HIDDEN.format("poolmaker.business.campaigns")},
        {"L1"},
    ),
    "a room that nobody declared": ({"planted/__init__.py": '"""New."""\n'}, {"L1"}),
    "campaigns see rewards": (
        {"business/campaigns/planted.py": _imports("poolmaker.business.rewards")},
        {"L2"},
    ),
    "the ledger knows the pools": (
        {"business/ledger/planted.py": _imports("poolmaker.business.campaigns")},
        {"L2"},
    ),
    "a room of business that nobody declared": (
        {"business/planted/__init__.py": '"""New."""\n'},
        {"L2"},
    ),
    "tracking sees execution": (
        {"market/tracking/planted.py": _imports("poolmaker.market.execution")},
        {"L3"},
    ),
    "rewards write into the ledger's store": (
        {
            "business/ledger/_store.py": "\n",
            "business/rewards/planted.py": _imports("poolmaker.business.ledger._store"),
        },
        {"S1"},
    ),
    "campaigns command the ledger": (
        {"business/campaigns/planted.py": _imports("poolmaker.business.ledger.commands")},
        {"S1b"},
    ),
    "quoting draws a number": ({"market/quoting/planted.py": _imports("secrets")}, {"S2"}),
    "quoting hides the time in a function": (
        {"market/quoting/planted.py": IN_A_FUNCTION.format("time")},
        {"S2"},
    ),
    "quoting reaches a socket through a helper": (
        {
            "market/quoting/planted.py": _imports("poolmaker.market.quoting.helper"),
            "market/quoting/helper.py": _imports("socket"),
        },
        {"S2"},
    ),
    "tracking writes user orders": (
        {"market/tracking/planted.py": _imports("poolmaker.business.user_orders")},
        {"L1", "S3"},
    ),
    "pools call quoting": (
        {"business/pools/planted.py": _imports("poolmaker.market.quoting")},
        {"L1", "S4"},
    ),
    "treasury calls an exchange": (
        {"business/treasury/planted.py": _imports("ccxt")},
        {"S4", "S6"},
    ),
    "rules read the time": ({"business/rewards/rules.py": _imports("time")}, {"S5"}),
    "a model reaches the database through a helper": (
        {
            "business/rewards/model.py": _imports("poolmaker.business.rewards.helper"),
            "business/rewards/helper.py": _imports("asyncpg"),
        },
        {"S5"},
    ),
    "messages open a socket": ({"messages/planted.py": _imports("socket")}, {"S5"}),
    "a view calls an exchange": ({"views/planted.py": _imports("ccxt.pro")}, {"S6"}),
    "a sandbox calls an exchange library": ({"sandbox/planted.py": _imports("ccxt")}, {"S6"}),
    "a sandbox reads our books": ({"sandbox/planted.py": _imports("poolmaker.views")}, {"S7"}),
    "the codec opens a socket": ({"mixin/codec/planted.py": _imports("socket")}, {"S7b"}),
    "the platform reaches into a sandbox": (
        {"views/planted.py": _imports("poolmaker.sandbox")},
        {"S8"},
    ),
    "two modules lean on each other": (
        {
            "views/planted.py": _imports("poolmaker.views.other"),
            "views/other.py": _imports("poolmaker.views.planted"),
        },
        {"S9"},
    ),
}


def _broken_contracts(copy: Copy) -> set[str]:
    result = copy.run("lint-imports", "--no-logo", "--no-cache")
    judged = dict(VERDICT.findall(result.stdout))
    assert judged.keys() == CONTRACTS, result.stdout + result.stderr
    return {contract for contract, verdict in judged.items() if verdict == "BROKEN"}


@pytest.fixture(scope="module")
def broken_before(whole_copy: Copy) -> set[str]:
    return _broken_contracts(whole_copy)


@pytest.mark.parametrize("name", IMPORTS)
def test_a_forbidden_import_breaks_its_contract(
    name: str, copy: Copy, broken_before: set[str]
) -> None:
    plants, expected = IMPORTS[name]
    for path, text in plants.items():
        copy.plant(f"src/poolmaker/{path}", text)
    found = _broken_contracts(copy) - broken_before
    # An import upwards closes a circle where the lower room is used, so S9 may break with it.
    assert found - ({"S9"} - expected) == expected - broken_before


def test_every_contract_has_a_plant() -> None:
    assert set.union(*(expected for _, expected in IMPORTS.values())) == CONTRACTS


def test_a_sandbox_may_use_the_two_pure_modules(copy: Copy, broken_before: set[str]) -> None:
    text = _imports("poolmaker.hufi.rules") + _imports("poolmaker.mixin.codec.keys")
    copy.plant("src/poolmaker/sandbox/planted.py", text)
    assert _broken_contracts(copy) == broken_before


# ------------------------------------------------------------------------------------ banned calls
BANNED_CALLS = {
    "datetime.date.today": "import datetime as dt\n\nday = dt.date.today()\n",
    "datetime.datetime.now": "import datetime as dt\n\nnow = dt.datetime.now(dt.UTC)\n",
    "datetime.datetime.today": "from datetime import datetime\n\nnow = datetime.today()\n",
    "datetime.datetime.utcnow": "from datetime import datetime\n\nnow = datetime.utcnow()\n",
    "time.time": "from time import time\n\nnow = time()\n",
    "time.time_ns": "import time\n\nnow = time.time_ns()\n",
    "time.monotonic": "import time as clock\n\nnow = clock.monotonic()\n",
    "time.monotonic_ns": "import time\n\nnow = time.monotonic_ns()\n",
    "time.perf_counter": "import time\n\nnow = time.perf_counter()\n",
    "time.perf_counter_ns": "import time\n\nnow = time.perf_counter_ns()\n",
    "time.sleep": "import time\n\ntime.sleep(1)\n",
    "asyncio.sleep": "import asyncio\n\nwaiting = asyncio.sleep\n",
    "random": "from random import Random\n\nchance = Random(1)\n",
    "os.urandom": "import os\n\nchance = os.urandom(8)\n",
    "uuid.uuid1": "import uuid\n\nname = uuid.uuid1()\n",
    "uuid.uuid4": "from uuid import uuid4\n\nname = uuid4()\n",
    "decimal.Decimal.from_float": "from decimal import Decimal\n\nmoney = Decimal.from_float(1)\n",
    "importlib.import_module": "import importlib\n\nccxt = importlib.import_module('ccxt')\n",
}


def _lint(copy: Copy, path: str) -> set[str]:
    result = copy.run("ruff", "check", "--no-cache", "--output-format", "concise", path)
    lines = [line for line in result.stdout.splitlines() if line.startswith(path)]
    return {line.split()[1] + " " + line.partition("`")[2].partition("`")[0] for line in lines}


@pytest.mark.parametrize("api", BANNED)
def test_a_banned_call_is_refused(api: str, copy: Copy) -> None:
    path = "src/poolmaker/views/planted.py"
    copy.plant(path, BANNED_CALLS[api])
    assert f"TID251 {api}" in _lint(copy, path)


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("PLC0415", "def load() -> None:\n    import json\n\n    json.dumps(1)\n"),
        ("S101", "def check(value: int) -> None:\n    assert value\n"),
        ("TID252", "from . import other\n"),
        ("DTZ006", "from datetime import datetime\n\nthen = datetime.fromtimestamp(0)\n"),
        ("C901", "def many(n: int) -> None:\n" + "    if n:\n        print(n)\n" * 11),
        ("PLR0913", "def f(a: int, b: int, c: int, d: int, e: int, g: int, h: int, i: int): ...\n"),
    ],
)
def test_the_linter_refuses_it(code: str, text: str, copy: Copy) -> None:
    path = "src/poolmaker/views/planted.py"
    copy.plant(path, text)
    assert code in {found.split()[0] for found in _lint(copy, path)}


def test_an_unformatted_file_is_refused(copy: Copy) -> None:
    copy.plant("src/poolmaker/views/planted.py", "x = { 'a':1 }\n")
    result = copy.run("ruff", "format", "--no-cache", "--check", "src/poolmaker/views")
    assert result.returncode == 1


UNTYPED = """\
from enum import StrEnum
from typing import NewType

UserId = NewType("UserId", str)
OrderId = NewType("OrderId", str)


class State(StrEnum):
    OPEN = "open"
    CLOSED = "closed"


def incomplete(state: State) -> int:
    match state:
        case State.OPEN:
            found = 1
    return found


def wrong_id(user: UserId) -> OrderId:
    return user


def untyped(value):
    return value


def unreachable(value: int) -> int:
    if isinstance(value, str):
        return 1
    return 2
"""


def test_the_type_checker_refuses_it(copy: Copy) -> None:
    path = "src/poolmaker/views/planted.py"
    copy.plant(path, UNTYPED)
    result = copy.run("mypy", "--cache-dir", str(copy.root / "types"), path)
    codes = set(re.findall(r": error: .*\[([\w-]+)\]$", result.stdout, re.MULTILINE))
    expected = {"exhaustive-match", "possibly-undefined", "return-value", "no-untyped-def"}
    assert codes == expected | {"unreachable"}


# --------------------------------------------------------------------------------------- tidy rules
P = "src/poolmaker/"
LONG_FUNCTION = "def long() -> None:\n" + "    print()\n" * 70
LONG_MODULE = "x = 1\n" * 601
GREEDY = "class Greedy:\n    def __init__(self, a, b, c, d, e, f, g, h) -> None: ...\n"
CATCH_ALL = "try:\n    print()\nexcept {}:\n    print()\n"
SUPPRESS = "import contextlib\n\nwith contextlib.suppress(Exception):\n    print()\n"
# In pieces, or this very file would be found.
OUTSIDE = "# see /" + "work/main\n"
HOST = "# https://pypi" + ".org/simple\n"
SHARED = "# see .." + "/shared/data\n"

TWO_CLASSES = (
    "class Amount:\n    units = 0\n\n\nclass Outer:\n    class Amount:\n        units = 0\n"
)

TIDY: list[tuple[str, str, str]] = [
    ("integers_only", P + "kernel/planted.py", "fee = 0.1\n"),
    ("integers_only", P + "messages/planted.py", "def price(text: str) -> float: ...\n"),
    ("integers_only", P + "business/ledger/planted.py", "half = 3 / 2\n"),
    ("integers_only", P + "market/quoting/planted.py", "price = float('1')\n"),
    ("short_functions", P + "infra/planted.py", LONG_FUNCTION),
    ("short_modules", P + "views/planted.py", LONG_MODULE),
    ("few_dependencies", P + "infra/planted.py", GREEDY),
    ("imports_at_the_top", P + "infra/planted.py", IN_A_FUNCTION.format("json")),
    ("supervisors_only_catch_all", P + "views/planted.py", CATCH_ALL.format("Exception")),
    (
        "supervisors_only_catch_all",
        P + "views/planted.py",
        CATCH_ALL.format("(OSError, Exception)"),
    ),
    ("class_names_are_unique", P + "views/planted.py", TWO_CLASSES),
    (
        "docstrings_say_something",
        P + "views/planted.py",
        'def load() -> None:\n    """See ``Store.load``."""\n    return None\n',
    ),
    ("supervisors_only_catch_all", P + "views/planted.py", SUPPRESS),
    ("no_bare_assert", P + "views/planted.py", "assert True\n"),
    ("ground_is_plain", P + "kernel/planted.py", "import msgspec\n"),
    ("ground_is_plain", P + "messages/planted.py", "import pydantic\n"),
    ("stores_are_private", P + "recon/planted.py", "from poolmaker.bus._store import x\n"),
    (
        "the_ledger_is_explained",
        P + "business/ledger/commands.py",
        '\n\nclass Adjust(_Command, tag=\'ADJUST\'):\n    """Anything."""\n',
    ),
    ("imports_are_declared", P + "views/planted.py", "import pluggy\n"),
    ("waits_have_a_timeout", P + "views/planted.py", "s = aiohttp.ClientSession()\n"),
    ("queues_are_bounded", P + "views/planted.py", "q = asyncio.Queue[int]()\n"),
    ("tests_are_sentences", "tests/unit/test_planted.py", "def test_it(): ...\n"),
    ("tests_are_sentences", "tests/unit/test_planted.py", "pytest.skip('flaky')\n"),
    ("the_ledger_is_explained", P + "business/ledger/planted.py", "class A(Enum):\n    B = 'b'\n"),
    (
        "ticks_with_rules",
        P + "market/tracking/planted.py",
        "\n\nclass Level:\n    bid_ticks: int\n",
    ),
    ("sql_in_stores", P + "recon/planted.py", "q = 'SELECT units FROM market.fill'\n"),
    ("cursor_loops_are_guarded", P + "recon/planted.py", "moved = bus.move_cursor(tx, 1)\n"),
    ("drivers_behind_stores", P + "recon/planted.py", "import asyncpg\n"),
    (
        "ledger_tables_are_its_own",
        P + "business/rewards/_store.py",
        "q = 'UPDATE ledger.balance SET units = 1'\n",
    ),
    (
        "ledger_tables_are_its_own",
        P + "infra/migrations/versions/0999_other.sql",
        "DELETE FROM ledger.entry;\n",
    ),
    (
        "time_is_an_argument_of_sql",
        P + "business/rewards/_store.py",
        "q = 'INSERT INTO business.reward VALUES (now())'\n",
    ),
    (
        "time_is_an_argument_of_sql",
        P + "infra/migrations/versions/0999_other.sql",
        "CREATE TABLE infra.x (at timestamptz DEFAULT current_timestamp);\n",
    ),
    ("no_html_in_python", P + "web/planted.py", "page = '<div class=\"row\">'\n"),
    ("forbidden_words", P + "views/planted.py", OUTSIDE),
    ("forbidden_words", "Makefile", HOST),
    ("forbidden_words", "CONTRIBUTING.md", SHARED),
    ("locks_name_no_host", "requirements/base.txt", "--extra-index-url mirror\n"),
    ("locks_name_no_host", "requirements/planted.txt", "left-pad==1.0\n"),
    ("few_explained_targets", "Makefile", "planted:\n\ttrue\n"),
    ("few_explained_targets", "Makefile", "".join(f"t{'x' * n}: ## T\n" for n in range(15))),
    ("the_build_hides_nothing", ".ci/run", "apt-get install chromium\n"),
    ("links_lead_somewhere", "README.md", "[page](docs/not-there.md)\n"),
    (
        "docs_say_what_the_code_says",
        "docs/planted.md",
        "<!-- generated: rooms -->\nold\n<!-- end -->\n",
    ),
]


STALE = "docs_say_what_the_code_says"


def _findings(copy: Copy, focus: str) -> set[tuple[str, str]]:
    tree = Tree(copy.root, focus)
    return {(name, finding) for name, rule in RULES.items() for finding in rule(tree)}


def _found_after(copy: Copy, plant: Callable[[], None], focus: str) -> set[str]:
    """The rules that find more than before; a changed room also makes its page stale."""
    before = _findings(copy, focus)
    plant()
    found = {name for name, _ in _findings(copy, focus) - before}
    return found if found == {STALE} else found - {STALE}


@pytest.mark.parametrize(("rule", "path", "text"), TIDY, ids=[f"{r}-{p}" for r, p, _ in TIDY])
def test_a_tidy_rule_finds_what_is_planted(rule: str, path: str, text: str, copy: Copy) -> None:
    assert _found_after(copy, lambda: copy.plant(path, text), focus=path) == {rule}


@pytest.mark.parametrize(
    ("room", "old", "new"),
    [
        ("business/ledger", "BALANCE LEDGER", "The ledger"),
        ("kernel", "Invariants", "Hopes"),
        ("kernel", "2. ", "5. "),
    ],
)
def test_a_room_that_says_something_else_is_found(
    room: str, old: str, new: str, copy: Copy
) -> None:
    folder = f"src/poolmaker/{room}"
    found = _found_after(copy, lambda: copy.replace(f"{folder}/__init__.py", old, new), folder)
    assert found == {"rooms_say_what_they_are"}


def test_every_tidy_rule_has_a_plant() -> None:
    assert {rule for rule, _, _ in TIDY} | {"rooms_say_what_they_are"} == RULES.keys()


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (P + "views/planted.py", CATCH_ALL.replace("{}:", "Exception:  # supervisor")),
        (P + "views/planted.py", CATCH_ALL.format("Exception") + "    raise\n"),
        (P + "infra/_store.py", "# db-clock: a lease\nq = 'UPDATE infra.lease SET at = now()'\n"),
        (P + "views/planted.py", '"""SELECT x FROM ledger.entry, says this docstring."""\n'),
        (P + "views/planted.py", "topic = 'ledger.entry_posted.v1'\n"),
    ],
)
def test_what_is_allowed_is_not_found(path: str, text: str, copy: Copy) -> None:
    assert _found_after(copy, lambda: copy.plant(path, text), focus=path) == set()
