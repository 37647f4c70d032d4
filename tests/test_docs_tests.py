"""SECURITY.md names a test for each promise, and each is a test of this repository."""

import ast
import pathlib
import re

ROOT = pathlib.Path(__file__).parents[1]
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def functions(path):
    tree = ast.parse((ROOT / path).read_text("utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_each_promise_of_security_has_a_test_that_exists():
    text = (ROOT / "SECURITY.md").read_text("utf-8")
    promised, _, _ = text.partition("## What is not promised")
    promises = re.findall(r"^- .*?(?=^- |^#|\Z)", promised, re.MULTILINE | re.DOTALL)
    assert len(promises) >= 10
    assert [promise for promise in promises if not NAMED.search(promise)] == []
    missing = [
        f"{path}::{name}" for path, name in NAMED.findall(text) if name not in functions(path)
    ]
    assert missing == []
