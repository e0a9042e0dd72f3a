"""What editors show, out of the stub, is what `help()` shows, out of the extension."""

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path

import pytest

import npyfeed
from npyfeed import _native

STUB = Path(npyfeed.__file__).with_name("_native.pyi")


def documented(
    body: list[ast.stmt], owner: object, prefix: str = ""
) -> Iterator[tuple[str, str, str | None]]:
    """Of everything with a docstring in the stub: its name, that docstring, and the extension's."""
    for node in body:
        found = getattr(owner, getattr(node, "name", ""), None)
        if not isinstance(node, ast.FunctionDef | ast.ClassDef) or found is None:
            continue
        if text := ast.get_docstring(node):
            yield prefix + node.name, text, inspect.getdoc(found)
        if isinstance(node, ast.ClassDef):
            yield from documented(node.body, found, f"{node.name}.")


DOCUMENTED = list(documented(ast.parse(STUB.read_text(encoding="utf-8")).body, _native))


@pytest.mark.parametrize(("name", "stub", "extension"), DOCUMENTED, ids=[row[0] for row in DOCUMENTED])
def test_help_says_what_the_stub_says(name: str, stub: str, extension: str | None) -> None:
    assert extension == stub, f"`///` above `{name}` in crates/npyfeed-python/src"


def test_what_users_touch_is_documented() -> None:
    names = {row[0] for row in DOCUMENTED}
    assert {"open", "Array", "Archive", "Array.torch", "Array.field", "Archive.load"} <= names
