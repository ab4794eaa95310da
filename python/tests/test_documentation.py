"""Every public name has a docstring, every example in one runs, and every code block of the docs is Python."""

import ast
import doctest
import importlib
import inspect
import pkgutil
import re
from pathlib import Path

import list_sync
import pytest
from conftest import ROOT

MODULES = [
    "list_sync",
    *(found.name for found in pkgutil.walk_packages(list_sync.__path__, "list_sync.") if not found.name.endswith("_native")),
]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert doctest.testmod(importlib.import_module(name), optionflags=doctest.IGNORE_EXCEPTION_DETAIL).failed == 0


@pytest.mark.parametrize("name", [name for name in list_sync.__all__ if name not in ("errors", "__version__")])
def test_public_names_have_an_example(name: str) -> None:
    found = getattr(list_sync, name)
    texts = [inspect.getdoc(found) or ""]
    for member, value in vars(found).items() if inspect.isclass(found) else []:
        if not member.startswith("_") and callable(value):
            assert inspect.getdoc(value), f"{name}.{member} has no docstring"
            texts.append(inspect.getdoc(value) or "")
    assert any(">>> " in text or "::" in text for text in texts), f"{name} has no example"


def test_code_of_the_docs_is_python() -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "python.md").read_text(), re.S)
    assert len(blocks) > 5
    for block in blocks:
        compile(block, "docs/python.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


def test_examples_run_as_far_as_their_arguments() -> None:
    for path in sorted((ROOT / "python" / "examples").glob("*.py")):
        compile(path.read_text(), str(path), "exec")
