"""The rules that no compiler knows: who imports whom, how long things grow, what they are called.

A rule is a function from a tree of files to its findings. Every rule runs over this repository, where it must
find nothing, and over small made-up trees, where it must find exactly what was planted.
"""

import ast
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]

# A crate depends only on crates of a lower level. ARCHITECTURE.md draws the picture.
LEVELS = {
    "npyfeed-array": 0,
    "npyfeed-io": 0,
    "npyfeed-sampler": 0,
    "npyfeed-npy": 1,
    "npyfeed-kernel": 1,
    "npyfeed": 2,
    "npyfeed-python": 3,
}
UNSAFE_CRATES = {"npyfeed-io", "npyfeed-kernel"}  # below the product, only these have islands of `unsafe`

# Where each framework may be imported: `python/npyfeed/<name>.py`, or the package that this file grows into.
FRAMEWORK_HOMES = {
    "torch": "torch",
    "torchvision": "torch",
    "tensorflow": "tensorflow",
    "keras": "tensorflow",
    "jax": "jax",
    "jaxlib": "jax",
}

MAX_FILE_LINES = 500
MAX_FUNCTION_LINES = 70
MAX_PARAMETERS = 5
MAX_ARCHITECTURE_LINES = 200
EMPTY_NAMES = {"util", "utils", "common", "helper", "helpers", "manager", "base", "impl"}


def finding(place: str, expected: str, found: str, cure: str) -> str:
    return f"{place}: expected {expected}, found {found}; {cure}"


# -- reading the tree ----------------------------------------------------------------------------------------


def source_files(root: Path, *suffixes: str) -> Iterator[Path]:
    """The files with one of the suffixes, sorted; without build outputs, hidden folders and environments."""
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(
            name
            for name in folders
            if name not in {"target", "__pycache__"}
            and not name.startswith(".")
            and not Path(folder, name, "pyvenv.cfg").exists()
        )
        yield from (Path(folder, name) for name in sorted(names) if name.endswith(suffixes))


def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""


def line_of(text: str, index: int) -> int:
    return text.count("\n", 0, index) + 1


class Function(NamedTuple):
    place: str  # file:line
    name: str
    line_count: int
    parameter_count: int  # those that a caller may pass by position; `self` is not one


def functions(root: Path) -> Iterator[Function]:
    for path in source_files(root, ".rs", ".py", ".pyi"):
        read = rust_functions if path.suffix == ".rs" else python_functions
        yield from read(path.relative_to(root).as_posix(), text_of(path))


def python_functions(file: str, text: str) -> Iterator[Function]:
    for node in ast.walk(ast.parse(text, file)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            positional = [argument.arg for argument in node.args.posonlyargs + node.args.args]
            own = positional[:1] in (["self"], ["cls"])
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            yield Function(f"{file}:{node.lineno}", node.name, lines, len(positional) - own)


NOT_CODE = re.compile(
    r"""//[^\n]*                            # comment to the end of the line
      | /\*.*?\*/                           # block comment
      | \b[bc]?r(?P<hashes>\#*)".*?"(?P=hashes)  # raw string
      | "(?:\\.|[^"\\])*"                   # string
      | '(?:\\.[^'\n]*|[^\\'\n])'           # character; a lifetime has no closing quote
      | [-=]>                               # arrows, so that what is left of < and > comes in pairs
    """,
    re.DOTALL | re.VERBOSE,
)


def rust_code(text: str) -> str:
    """The text with comments, strings and arrows blanked; every line and column stays where it was."""
    return NOT_CODE.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), text)


def rust_functions(file: str, text: str) -> Iterator[Function]:
    code = rust_code(text)
    for found in re.finditer(r"\bfn\s+(\$?\w+)\s*(?=[<(])", code):
        opening = found.end()
        if code[opening] == "<":
            opening = code.index("(", closing(code, opening, "<>"))
        last = closing(code, opening, "()")
        parameters = split_at_commas(code[opening + 1 : last])
        own = bool(parameters) and re.match(r"(&\s*('\w+\s+)?)?(mut\s+)?self\b", parameters[0]) is not None
        first_line, last_line = line_of(code, found.start()), line_of(code, end_of_function(code, last + 1))
        count = len(parameters) - own - keyword_only(code[: found.start()])
        yield Function(f"{file}:{first_line}", found[1], last_line - first_line + 1, count)


PYTHON_SIGNATURE = re.compile(r"#\[pyo3\(signature = \(([^#]*)\)\)\]\s*(pub(\([a-z]+\))?\s+)?$")


def keyword_only(before: str) -> int:
    """How many parameters Python passes by name only to the Rust function that `before` leads up to."""
    found = PYTHON_SIGNATURE.search(before)
    names = split_at_commas(found[1]) if found else []
    return len(names) - names.index("*") - 1 if "*" in names else 0


def closing(code: str, opening: int, pair: str) -> int:
    """The index of the bracket that closes the one at `opening`."""
    depth = 0
    for index in range(opening, len(code)):
        depth += (code[index] == pair[0]) - (code[index] == pair[1])
        if depth == 0:
            return index
    message = f"a bracket that line {line_of(code, opening)} opens is never closed"
    raise ValueError(message)


def split_at_commas(code: str) -> list[str]:
    """The parts between the commas that stand in no bracket; a trailing comma begins no part."""
    parts, depth = [""], 0
    for letter in code:
        depth += (letter in "([{<") - (letter in ")]}>")
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts if part.strip()]


def end_of_function(code: str, start: int) -> int:
    """The index of the `}` or `;` that ends the function whose parameters end before `start`."""
    depth = 0
    for index in range(start, len(code)):
        depth += (code[index] in "([") - (code[index] in ")]")
        if depth == 0 and code[index] == "{":
            return closing(code, index, "{}")
        if depth == 0 and code[index] == ";":
            return index
    return len(code) - 1


# -- the rules -----------------------------------------------------------------------------------------------


def crates_depend_on_lower_levels_only(root: Path) -> list[str]:
    command = ["cargo", "metadata", "--format-version", "1", "--no-deps"]
    answer = subprocess.run(command, cwd=root, stdout=subprocess.PIPE, check=True)
    packages = {package["name"]: package for package in json.loads(answer.stdout)["packages"]}
    findings = []
    for name, package in sorted(packages.items()):
        manifest = Path(package["manifest_path"])
        file = manifest.relative_to(root).as_posix()
        if name not in LEVELS:
            found = f"'{name}' in no level"
            findings.append(finding(f"{file}:1", "every crate in LEVELS", found, "add it to LEVELS"))
            continue
        inside = (
            {dependency["name"] for dependency in package["dependencies"]} & packages.keys() & LEVELS.keys()
        )
        for other in sorted(inside):
            if LEVELS[other] >= LEVELS[name]:
                line = re.search(rf"^{other}\b", text_of(manifest), re.MULTILINE)
                place = f"{file}:{line_of(text_of(manifest), line.start()) if line else 1}"
                expected = f"crates below level {LEVELS[name]}"
                cure = "move what is shared to a lower crate, or let a higher one bring the two together"
                findings.append(finding(place, expected, f"{other} of level {LEVELS[other]}", cure))
    return findings


def frameworks_are_imported_in_their_own_file_only(root: Path) -> list[str]:
    """Also where it would not be executed; stubs are left out, since nothing runs them."""
    package = root / "python/npyfeed"
    findings = []
    for path in source_files(package, ".py"):
        for line, module in imported_modules(ast.parse(text_of(path), str(path))):
            home = FRAMEWORK_HOMES.get(module.partition(".")[0])
            if home not in {None, path.relative_to(package).parts[0].removesuffix(".py")}:
                place = f"{path.relative_to(root).as_posix()}:{line}"
                expected = f"{module} imported in python/npyfeed/{home}.py only"
                findings.append(finding(place, expected, "an import", f"move what needs it to {home}.py"))
    return findings


def imported_modules(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from ((node.lineno, alias.name) for alias in names)
            case ast.ImportFrom(module=str(module), level=0):
                yield node.lineno, module
            case ast.Call(
                func=ast.Name(id="__import__" | "import_module") | ast.Attribute(attr="import_module"),
                args=[ast.Constant(value=str(module)), *_],
            ):
                yield node.lineno, module


def importing_npyfeed_imports_no_framework(root: Path) -> list[str]:
    program = "import sys, npyfeed; print(*sys.modules)"
    environment = {**os.environ, "PYTHONPATH": str(root / "python")}
    answer = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False
    )
    place, expected = "python/npyfeed/__init__.py:1", "an import that brings no framework"
    if answer.returncode != 0:
        error = answer.stderr.strip().splitlines()[-1]
        return [finding(place, expected, f"no import at all: {error}", "`make build` builds the extension")]
    brought = FRAMEWORK_HOMES.keys() & set(answer.stdout.split())
    cure = "import it inside its own file, which the user imports"
    return [finding(place, expected, name, cure) for name in sorted(brought)]


def files_stay_short(root: Path) -> list[str]:
    findings = []
    for path in source_files(root, ".rs", ".py", ".pyi"):
        line_count = len(text_of(path).splitlines())
        if line_count > MAX_FILE_LINES:
            place = f"{path.relative_to(root).as_posix()}:{MAX_FILE_LINES + 1}"
            expected = f"at most {MAX_FILE_LINES} lines"
            findings.append(finding(place, expected, f"{line_count}", "split it where its subject changes"))
    return findings


def functions_stay_short(root: Path) -> list[str]:
    expected, cure = f"at most {MAX_FUNCTION_LINES} lines", "name a part of it and move it out"
    return [
        finding(function.place, expected, f"{function.line_count} in `{function.name}`", cure)
        for function in functions(root)
        if function.line_count > MAX_FUNCTION_LINES
    ]


def parameters_stay_few(root: Path) -> list[str]:
    expected = f"at most {MAX_PARAMETERS} parameters by position"
    cure = "gather them in a struct; in Python, make them keyword-only"
    return [
        finding(function.place, expected, f"{function.parameter_count} in `{function.name}`", cure)
        for function in functions(root)
        if function.parameter_count > MAX_PARAMETERS
    ]


def unsafe_code_stays_on_its_islands(root: Path) -> list[str]:
    safety = text_of(root / "SAFETY.md")
    rows = re.finditer(r"^\|\s*`([^`]+\.rs)`\s*\|", safety, re.MULTILINE)
    islands = {row[1]: line_of(safety, row.start()) for row in rows}
    findings = []
    seen = set()
    for path in source_files(root, ".rs"):
        file, code = path.relative_to(root).as_posix(), rust_code(text_of(path))
        found = re.search(r"\bunsafe\b", code)
        if found:
            seen.add(file)
        if found and file not in islands:
            place = f"{file}:{line_of(code, found.start())}"
            cure = "do it in safe code, or add the file and the reason to the table in SAFETY.md"
            findings.append(finding(place, "no `unsafe` outside SAFETY.md's table", "`unsafe`", cure))
    for file, line in islands.items():
        if file not in seen:
            expected, cure = f"`unsafe` in {file}", "remove the row"
            findings.append(finding(f"SAFETY.md:{line}", expected, "none, or no such file", cure))
    return findings


def leaf_crates_forbid_unsafe_code(root: Path) -> list[str]:
    attribute = "#![forbid(unsafe_code)]"
    return [
        finding(f"crates/{crate}/src/lib.rs:1", f"`{attribute}`", "none", "add it below the crate's own docs")
        for crate, level in LEVELS.items()
        if level < LEVELS["npyfeed"] and crate not in UNSAFE_CRATES and (root / "crates" / crate).exists()
        if attribute not in rust_code(text_of(root / "crates" / crate / "src/lib.rs"))
    ]


def names_say_something(root: Path) -> list[str]:
    expected, cure = "a name that says what is inside", "name it after what it does or holds"
    findings = []
    for path in source_files(root, ".rs", ".py", ".pyi"):
        file, code = path.relative_to(root).as_posix(), ""
        if path.suffix == ".rs":
            code = rust_code(text_of(path))
        named = [(1, file)]
        named += [
            (line_of(code, found.start()), found[1]) for found in re.finditer(r"\bmod\s+(\w+)\s*\{", code)
        ]
        for line, name in named:
            empty = sorted(EMPTY_NAMES & set(re.split(r"\W|_", name)))
            if empty:
                findings.append(finding(f"{file}:{line}", expected, f"'{empty[0]}'", cure))
    return findings


def the_architecture_page_is_short_and_names_every_crate(root: Path) -> list[str]:
    page = text_of(root / "ARCHITECTURE.md")
    line_count = len(page.splitlines())
    findings = []
    if line_count > MAX_ARCHITECTURE_LINES:
        place, expected = (
            f"ARCHITECTURE.md:{MAX_ARCHITECTURE_LINES + 1}",
            f"at most {MAX_ARCHITECTURE_LINES} lines",
        )
        findings.append(finding(place, expected, f"{line_count}", "move detail to the docs of its crate"))
    for crate in sorted(manifest.parent.name for manifest in root.glob("crates/*/Cargo.toml")):
        if not re.search(rf"(?<![\w-]){crate}(?![\w-])", page):
            cure = "give it a line in the map of the code"
            findings.append(finding("ARCHITECTURE.md:1", f"a word on {crate}", "none", cure))
    return findings


# -- the rules at work ---------------------------------------------------------------------------------------

Rule = Callable[[Path], list[str]]
Tree = dict[str, str]  # path -> text

RULES: list[Rule] = [
    crates_depend_on_lower_levels_only,
    frameworks_are_imported_in_their_own_file_only,
    importing_npyfeed_imports_no_framework,
    files_stay_short,
    functions_stay_short,
    parameters_stay_few,
    unsafe_code_stays_on_its_islands,
    leaf_crates_forbid_unsafe_code,
    names_say_something,
    the_architecture_page_is_short_and_names_every_crate,
]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_this_repository_keeps_the_rule(rule: Rule) -> None:
    findings = rule(ROOT)
    if findings:
        pytest.fail("\n".join(findings), pytrace=False)


def made_up_crate(name: str, dependencies: str = "") -> Tree:
    package = f'[package]\nname = "{name}"\nversion = "0.1.0"\nedition = "2024"\n'
    return {f"crates/{name}/Cargo.toml": f"{package}{dependencies}", f"crates/{name}/src/lib.rs": ""}


WORKSPACE = {"Cargo.toml": '[workspace]\nresolver = "3"\nmembers = ["crates/*"]\n'}
# Braces and quotes in places that are no code, and a function of exactly the allowed length.
RUST_OF_70_LINES = (
    "fn brace<'a>(text: &'a str) -> [u8; 2] {\n    let s = r#\"}\"#; // }\n    let c = ['}', '\\'', '\"'];\n"
    + "    work();\n" * 66
    + "}\n"
)
PLANTED: list[tuple[Rule, Tree, list[str]]] = [
    (
        crates_depend_on_lower_levels_only,
        WORKSPACE
        | made_up_crate("npyfeed-array")
        | made_up_crate("npyfeed-io", '[dependencies]\nnpyfeed-array = { path = "../npyfeed-array" }\n')
        | made_up_crate("npyfeed-npy", '[dependencies]\nnpyfeed-array = { path = "../npyfeed-array" }\n')
        | made_up_crate("npyfeed-kernel", '[dev-dependencies]\nnpyfeed = { path = "../npyfeed" }\n')
        | made_up_crate("npyfeed", '[dependencies]\nnpyfeed-npy = { path = "../npyfeed-npy" }\n')
        | made_up_crate("npyfeed-newcomer"),
        [
            "crates/npyfeed-io/Cargo.toml:6",
            "crates/npyfeed-kernel/Cargo.toml:6",
            "crates/npyfeed-newcomer/Cargo.toml:1",
        ],
    ),
    (
        frameworks_are_imported_in_their_own_file_only,
        {
            "python/npyfeed/torch.py": "import torch\nfrom torchvision import transforms\nimport jax\n",
            "python/npyfeed/loader.py": "from .torch import a\ndef f():\n    from jax.numpy import b\n",
            "python/npyfeed/dataset.py": "import importlib\nimportlib.import_module('tensorflow')\n",
        },
        ["python/npyfeed/dataset.py:2", "python/npyfeed/loader.py:3", "python/npyfeed/torch.py:3"],
    ),
    (
        importing_npyfeed_imports_no_framework,
        {"python/npyfeed/__init__.py": "import torch\n", "python/torch.py": ""},
        ["python/npyfeed/__init__.py:1"],
    ),
    (
        importing_npyfeed_imports_no_framework,
        {"python/npyfeed/__init__.py": "from . import _native\n"},
        ["python/npyfeed/__init__.py:1"],
    ),
    (
        files_stay_short,
        {"a.rs": "//\n" * 500, "b.rs": "//\n" * 501, "c.py": "#\n" * 501, "target/d.rs": "//\n" * 501},
        ["b.rs:501", "c.py:501"],
    ),
    (
        functions_stay_short,
        {
            "a.rs": RUST_OF_70_LINES
            + RUST_OF_70_LINES.replace("    work();\n", "    work();\n    more(\n    );\n", 1),
            "b.py": "def f():\n" + "    work()\n" * 69 + "def g():\n" + "    work()\n" * 70,
        },
        ["a.rs:71", "b.py:71"],
    ),
    (
        parameters_stay_few,
        {
            "a.rs": "trait T {\n"
            "    fn five<F: Fn(u8, u8) -> u8>(&self, a: F, b: (u8, u8), c: [u8; 2], d: u8, e: u8);\n"
            "    #[pyo3(signature = (a, *, b=1))]\n    fn one(a: u8, b: u8, c: u8, d: u8, e: u8, f: u8) {}\n"
            "    fn six<'a>(\n        a: &'a u8,\n        b: Map<u8, u8>,\n        c: u8,\n        d: u8,\n"
            "        e: u8,\n        f: fn(u8) -> u8,\n    ) -> u8;\n}\n",
            "b.py": "class C:\n def five(self, a, b, c, d, e, *, f): 0\ndef six(a, b, c, d, /, e, f): 0\n",
        },
        ["a.rs:5", "b.py:3"],
    ),
    (
        unsafe_code_stays_on_its_islands,
        {
            "SAFETY.md": "| file | why |\n|---|---|\n| `a.rs` | x |\n| `b.rs` | x |\n| `gone.rs` | x |\n",
            "a.rs": "fn f() {\n    unsafe { g() }\n}\n",
            "b.rs": '#![forbid(unsafe_code)] // no unsafe here\nconst WORD: &str = "unsafe";\n',
            "c.rs": "\nunsafe fn f() {}\n",
        },
        ["c.rs:2", "SAFETY.md:4", "SAFETY.md:5"],
    ),
    (
        leaf_crates_forbid_unsafe_code,
        {
            "crates/npyfeed-array/src/lib.rs": "//! Nouns.\n#![forbid(unsafe_code)]\n",
            "crates/npyfeed-npy/src/lib.rs": "// #![forbid(unsafe_code)]\n",
            "crates/npyfeed-io/src/lib.rs": "",
        },
        ["crates/npyfeed-npy/src/lib.rs:1"],
    ),
    (
        names_say_something,
        {
            "crates/a/src/io_utils.rs": "",
            "b/common/c.py": "",
            "d.rs": "\nmod base {}\nmod database {}\n",
            "e.rs": "impl A {}\n",
        },
        ["b/common/c.py:1", "crates/a/src/io_utils.rs:1", "d.rs:2"],
    ),
    (
        the_architecture_page_is_short_and_names_every_crate,
        made_up_crate("npyfeed") | made_up_crate("npyfeed-io") | {"ARCHITECTURE.md": "`npyfeed-io`\n" * 201},
        ["ARCHITECTURE.md:201", "ARCHITECTURE.md:1"],
    ),
]


@pytest.mark.parametrize(
    ("rule", "tree", "places"), PLANTED, ids=lambda value: getattr(value, "__name__", "")
)
def test_the_rule_finds_what_was_planted(rule: Rule, tree: Tree, places: list[str], tmp_path: Path) -> None:
    for file, text in tree.items():
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text(text, encoding="utf-8")
    assert sorted(found.split(": ")[0] for found in rule(tmp_path)) == sorted(places)


def test_every_rule_has_been_seen_to_fail() -> None:
    assert {rule for rule, _, _ in PLANTED} == set(RULES)
