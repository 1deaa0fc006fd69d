"""Names, layers and habits that reviews should not have to mention again (STYLE, anti-patterns)."""

from __future__ import annotations

import ast
import re
import sys
import warnings
from collections.abc import Iterable
from pathlib import PurePosixPath

from tests.tidy import rules
from tests.tidy.source import (
    ROOT,
    Source,
    broad_handlers,
    module_name,
    references,
    repository_files,
    sources,
    uses,
)

PACKAGE = [source for source in sources() if source.is_package_code]
TESTS = [source for source in sources() if source.path.startswith("tests/")]

# Written in parts, so that this file does not find itself.
_REGISTRIES = [
    "py" + r"pi\.org",
    "python" + "hosted",
    "npm" + r"js\.(org|com)",
    "extra-index" + "-url",
    "find-" + "links",
]
_MACHINES = ["file:" + "//", r"(?<![\w./])/(root|work|opt|Users)" + "/", r"(?<![\w./])/home" + r"/\w+/"]
ADDRESSES = re.compile("|".join([*_REGISTRIES, *_MACHINES]))


def hold(found: Iterable[tuple[str, int]], allowed: dict[str, rules.Allowed], advice: str) -> None:
    """Fail where a file does something more often than it is allowed to; tell where it does so less often."""
    places: dict[str, list[int]] = {}
    for path, line in found:
        places.setdefault(path, []).append(line)
    none = rules.Allowed(0, "")
    excess = [
        f"{path}:{','.join(map(str, lines))} ({allowed.get(path, none).count} allowed)"
        for path, lines in places.items()
        if len(lines) > allowed.get(path, none).count
    ]
    assert not excess, advice
    for path, exception in allowed.items():
        if len(places.get(path, [])) < exception.count:
            warnings.warn(f"tidy: {path} needs fewer exceptions than it has; lower them in rules.py", stacklevel=2)


def test_every_module_says_what_it_is() -> None:
    silent = [source.path for source in sources() if source.tree.body and ast.get_docstring(source.tree) is None]
    assert not silent, "the module's docstring says what it is, what it may not know, and the invariant"


def test_no_module_is_a_drawer() -> None:
    parts = [(path, part) for path in repository_files() for part in PurePosixPath(path.removesuffix(".py")).parts]
    drawers = [path for path, part in parts if part.strip("_").lower() in rules.DRAWERS]
    assert not drawers, "name the module after what is in it"


def test_no_file_is_dead() -> None:
    """Every module of the package is imported by another one, or is one that its users import."""
    alive = {name for source in PACKAGE for name in references(source) if name != module_name(source.path)}
    modules = {module_name(source.path): source for source in PACKAGE}
    # Importing a module imports the packages around it.
    alive |= {package for name in alive | set(rules.NEVER_IMPORTED) for package in _packages_around(name)}
    dead = sorted(set(modules) - alive - set(rules.NEVER_IMPORTED))
    assert not dead, "nothing imports these modules: delete them, or say in rules.NEVER_IMPORTED who does"
    gone = sorted(set(rules.NEVER_IMPORTED) - set(modules))
    assert not gone, "rules.NEVER_IMPORTED names modules that do not exist"


def _packages_around(name: str) -> set[str]:
    parts = name.split(".")
    return {".".join(parts[:end]) for end in range(1, len(parts))}


def test_the_core_imports_only_the_kernel_and_what_is_pure() -> None:
    """``*/core`` may import itself, the kernel, msgspec and what does nothing by itself in the standard library."""
    impure = [
        f"{source.path}: {name}"
        for source in PACKAGE
        if "core" in PurePosixPath(source.path).parts
        for name in _imports(source.tree)
        if not _may_be_imported_by_core(name, module_name(source.path))
    ]
    assert not impure, "decide purely, act at the edge: hand it in"


def _imports(tree: ast.Module) -> Iterable[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module != "__future__":
            yield node.module or ""


def _may_be_imported_by_core(name: str, importer: str) -> bool:
    top = name.partition(".")[0]
    if top == "aeterna":
        own_core = importer.partition(".core")[0] + ".core"
        return name.startswith((own_core, "aeterna.kernel"))
    return top in rules.CORE_MAY_IMPORT or (top in sys.stdlib_module_names and top not in rules.CORE_MUST_NOT_IMPORT)


def test_only_named_places_catch_everything() -> None:
    found = ((source.path, line) for source in PACKAGE for line in broad_handlers(source))
    hold(found, rules.BROAD_EXCEPT, "catch what you can handle; a supervised loop goes into rules.BROAD_EXCEPT")


def test_random_numbers_in_the_package_come_from_a_seed() -> None:
    """``random.Random()`` without a seed is the clock in disguise; only the kernel asks the machine."""
    unseeded = [
        f"{source.path}:{node.lineno}"
        for source in PACKAGE
        if not source.path.startswith(("src/aeterna/kernel/", "src/aeterna/testing/"))
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Call) and not node.args and ast.unparse(node.func) in {"random.Random", "Random"}
    ]
    assert not unseeded, "hand in the seed"


def test_tests_wait_for_events_instead_of_sleeping() -> None:
    found = ((source.path, line) for source in TESTS for line, _ in uses(source, rules.SLEEPS))
    hold(found, rules.SLEEPS_IN_TESTS, "wait for an event, a gate or the fake clock; never until it is probably done")


def test_tests_use_real_parts_instead_of_mocks() -> None:
    imported = ((s.path, 0) for s in TESTS for name in _imports(s.tree) if name in rules.MOCKS)
    patched = ((s.path, line) for s in TESTS for line, _ in uses(s, frozenset({"monkeypatch.setattr", "mocker.patch"})))
    hold([*imported, *patched], rules.MOCKS_IN_TESTS, "hand in a real part, or give the reason in rules.MOCKS_IN_TESTS")


def test_no_test_is_skipped() -> None:
    found = ((source.path, line) for source in TESTS for line, _ in uses(source, rules.SKIPS))
    hold(found, rules.SKIPS_IN_TESTS, "a test that does not run proves nothing")


def test_an_ignored_type_error_names_its_code() -> None:
    bare = re.compile(r"#\s*type:" + r"\s*ignore(?!\[)")
    found = [f"{s.path}:{n}" for s in sources() for n, line in enumerate(s.lines, 1) if bare.search(line)]
    assert not found, "name the error's code in brackets"


def test_no_file_names_a_package_registry_or_a_place_on_one_machine() -> None:
    found = [f"{path}:{n}" for path in repository_files() for n, line in _text_lines(path) if ADDRESSES.search(line)]
    assert not found, "addresses belong to the machine, not to the repository"


def _text_lines(path: str) -> Iterable[tuple[int, str]]:
    try:
        return enumerate((ROOT / path).read_text(encoding="utf-8").splitlines(), 1)
    except UnicodeDecodeError:
        return ()


def test_the_rules_find_what_they_look_for() -> None:
    """The measures themselves: broad handlers, uses behind a ``from`` import, addresses."""
    text = "from time import sleep\ntry:\n    sleep(1)\nexcept (OSError, Exception):\n    pass\n"
    source = Source("tests/example.py", text, ast.parse(text))
    assert list(broad_handlers(source)) == [4]
    assert list(uses(source, rules.SLEEPS)) == [(3, "time.sleep")]
    assert ADDRESSES.search("see https://py" + "pi.org/simple")
    assert ADDRESSES.search("open('/" + "root/x')")
    assert not ADDRESSES.search("tests/work/x and ./opt/x")
