"""Tidy rules over what is written: SQL, pages, words, links, locks, the Makefile, the build."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from tests.tidy.tree import Module, Tree
from tools.diagrams import stale_pages

TARGETS_MAX = 15

LEDGER_STORES = ("business/ledger/_store.py", "business/ledger/_store/")
DATABASE_CLOCK_MARK = "db-clock:"

SQL = re.compile(
    r"\b(?:SELECT\s.*\bFROM|INSERT\s+INTO|UPDATE\s+\S+(?:\s+AS\s+\w+|\s+\w+)?\s+SET"
    r"|DELETE\s+FROM|TRUNCATE|(?:CREATE|ALTER|DROP)\s+(?:TABLE|SCHEMA|FUNCTION|INDEX|TRIGGER))\b"
    r"|^\s*(?i:select\s.*\sfrom|insert\s+into|delete\s+from|update\s+[\w.]+\s+set)\s",
    re.DOTALL,
)
LEDGER_TABLE = re.compile(r"\bledger\s*\.\s*\w+", re.IGNORECASE)
DATABASE_CLOCK = re.compile(
    r"\b(?:now|clock_timestamp|statement_timestamp|transaction_timestamp|timeofday)\s*\("
    r"|\b(?:current_timestamp|current_date|current_time|localtimestamp|localtime)\b",
    re.IGNORECASE,
)
HTML = re.compile(
    r"</?(?:html|head|body|div|span|table|tr|td|th|script|style|h[1-6]|ul|ol|li|p|form|button"
    r"|input|svg|section|main|nav)\b[^<>]*>",
    re.IGNORECASE,
)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
INDEX_OPTION = re.compile(r"^\s*(?:-i\b|-f\b|--index|--extra-index|--find)", re.MULTILINE)
TARGET = re.compile(r"^([a-z][a-z-]*):(?!=)(.*)$", re.MULTILINE)

# Written in pieces, because this file is searched as well.
_HOME = "/" + "work"
FORBIDDEN = {
    "the place where this was written": re.compile(rf"(?<![\w.$}}]){_HOME}(?![\w-])"),
    "a folder outside the repository": re.compile(r"\.\./" + "shared"),
    "a registry's host": re.compile(
        "|".join(
            re.escape(left + right)
            for left, right in (
                ("pypi", ".org"),
                ("files.python", "hosted.org"),
                ("registry.npm", "js.org"),
                ("registry.yarn", "pkg.com"),
                ("proxy.go", "lang.org"),
                ("conda.ana", "conda.org"),
                ("/opt/", "pypi"),
                ("/opt/", "wheels"),
            )
        )
    ),
    "who helped to write": re.compile("clau" + "de|anthro" + "pic|co-" + "authored", re.IGNORECASE),
}


def _sql(module: Module) -> Iterator[tuple[int, str]]:
    return ((line, text) for line, text in module.strings() if SQL.search(text))


def _sql_files(tree: Tree) -> Iterator[tuple[Path, int, str]]:
    """(file, line number, line without its comment) of every SQL file; marked lines left out."""
    for path in tree.sources("*.sql"):
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
            if DATABASE_CLOCK_MARK not in line:
                yield path.relative_to(tree.root), number, line.partition("--")[0]


def sql_in_stores(tree: Tree) -> Iterator[str]:
    """SQL stands in a room's ``_store`` or in ``infra``."""
    for module in tree.modules:
        if "_store" in module.name or module.within("infra/"):
            continue
        for line, _ in _sql(module):
            yield module.at(line, "SQL outside a _store module")


def cursor_loops_are_guarded(tree: Tree) -> Iterator[str]:
    """Who moves a cursor of the bus does so under ``StreamGuard`` (bus invariant 5)."""
    for module in tree.modules:
        moves = ".move_cursor(" in module.source and not module.within("bus/", "lab/")
        if moves and "StreamGuard(" not in module.source:
            yield module.at(1, "a cursor loop without its StreamGuard")


def drivers_behind_stores(tree: Tree) -> Iterator[str]:
    """Only stores and ``infra`` know the database's libraries."""
    drivers = {"asyncpg", "sqlalchemy", "alembic", "sqlite3"}
    for module in tree.modules:
        if "_store" in module.name or module.within("infra/"):
            continue
        for line, name in module.imports():
            if name.split(".")[0] in drivers:
                yield module.at(line, f"imports {name} outside a _store module")


def ledger_tables_are_its_own(tree: Tree) -> Iterator[str]:
    """Nobody but the ledger's store and its own revisions names a table of the ledger."""
    for module in tree.modules:
        if not module.within(*LEDGER_STORES):
            for line, text in _sql(module):
                for found in LEDGER_TABLE.findall(text):
                    yield module.at(line, f"names {found} in SQL")
    for path, number, statement in _sql_files(tree):
        if "ledger" not in path.stem and "business/ledger/" not in path.as_posix():
            for found in LEDGER_TABLE.findall(statement):
                yield f"{path}:{number}: names {found}"


def time_is_an_argument_of_sql(tree: Tree) -> Iterator[str]:
    """No statement reads the database's clock, except where a lease says why."""
    for module in tree.modules:
        for line, text in _sql(module):
            marked = DATABASE_CLOCK_MARK in text or any(
                DATABASE_CLOCK_MARK in above for above in module.lines[max(0, line - 2) : line]
            )
            if DATABASE_CLOCK.search(text) and not marked:
                yield module.at(line, "SQL that reads the database's clock")
    for path, number, statement in _sql_files(tree):
        if DATABASE_CLOCK.search(statement):
            yield f"{path}:{number}: SQL that reads the database's clock"


def no_html_in_python(tree: Tree) -> Iterator[str]:
    """Pages are templates. A sandbox repeats what the world's servers answer, pages included."""
    for module in tree.modules:
        if module.within("sandbox/"):
            continue
        for line, text in module.strings():
            if HTML.search(text):
                yield module.at(line, "HTML in Python; use a template")


def forbidden_words(tree: Tree) -> Iterator[str]:
    """The repository says nothing about the place where it was written."""
    for path in tree.files:
        for number, line in enumerate(tree.text(path).splitlines(), 1):
            for what, pattern in FORBIDDEN.items():
                if pattern.search(line):
                    yield f"{path}:{number}: names {what}"


def locks_name_no_host(tree: Tree) -> Iterator[str]:
    """Whoever installs uses their own registry, and every file has a hash."""
    locks = [path for path in tree.files if path.match("requirements/*.txt")]
    if not locks:
        yield "requirements/: no lock"
    for path in locks:
        text = tree.text(path)
        if "://" in text or INDEX_OPTION.search(text):
            yield f"{path}: names a host"
        for requirement in re.split(r"\n(?=\S)", text):
            if "==" in requirement and "--hash=sha256:" not in requirement:
                yield f"{path}: no hash for {requirement.split()[0]}"


def few_explained_targets(tree: Tree) -> Iterator[str]:
    """A person can read the whole of ``make help``."""
    targets = [found for found in TARGET.findall(tree.text("Makefile")) if found[0] != "phony"]
    if not 0 < len(targets) <= TARGETS_MAX:
        yield f"Makefile: {len(targets)} targets, at most {TARGETS_MAX} are allowed"
    for name, rest in targets:
        if "## " not in rest:
            yield f"Makefile: {name} does not say what it does"


def the_build_hides_nothing(tree: Tree) -> Iterator[str]:
    """The build runs two commands, and README tells them."""
    lines = [line.strip() for line in tree.text(".ci/run").splitlines()]
    commands = [line for line in lines if line and not line.startswith(("#", "set -", "cd "))]
    if commands != ["make check", "make test"]:
        yield f".ci/run: runs {commands}"
    for command in commands:
        if command not in tree.text("README.md"):
            yield f"README.md: does not tell {command!r}"


def links_lead_somewhere(tree: Tree) -> Iterator[str]:
    """Every relative link in a page leads to a file of the repository."""
    for path in tree.files:
        if path.suffix != ".md":
            continue
        for link in LINK.findall(tree.text(path)):
            target = link.partition("#")[0]
            outside = "://" in link or link.startswith("mailto:")
            if target and not outside and not (tree.root / path.parent / target).exists():
                yield f"{path}: links to {target}, which is not there"


def docs_say_what_the_code_says(tree: Tree) -> Iterator[str]:
    """The generated parts of the pages are fresh."""
    for path in stale_pages(tree.root):
        yield f"{path.relative_to(tree.root)}: stale; run make docs"
