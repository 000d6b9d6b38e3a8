"""Imports one module of the platform from a mutated source file."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType


class MutantFinder(MetaPathFinder):
    """Finds the named module in the mutated file; everything else is found as always."""

    def __init__(self, module: str, file: str) -> None:
        self._module = module
        self._file = file

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,  # noqa: ARG002 - the protocol of the import system
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> ModuleSpec | None:
        """The mutated file for the module that is named."""
        if fullname != self._module:
            return None
        return importlib.util.spec_from_file_location(fullname, self._file)
