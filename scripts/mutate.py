"""Break one operator, constant or condition of boxloss at a time, and see whether a test notices.

    python scripts/mutate.py --count 120 --seed 0

samples places in functional/, losses/, evaluation/ and audit/, as many in each, changes one of
them at a time, and runs the tests of that module until the first fails. What no test noticed is
printed at the end, with its place, and so is the share that was seen. No file is changed: a child
process imports the changed source instead.

TensorFlow is imported once, in the process that forks the children, so that a change that the first
test notices costs a second or two.
"""

import argparse
import ast
import importlib.abc
import importlib.machinery
import importlib.util
import os
import pathlib
import random
import signal
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]

# What is run for a changed module: test files, those first that look at most of it in the least
# time, and where a file tests every loss, the names of those that the module is about (pytest -k).
FAMILIES = {
    "coordinate": ("losses properties one_loop", "l1 or l2 or huber or cosh"),
    "overlap": ("losses properties compat one_loop", "iou"),
    "measures": ("losses properties", "bounded or extended or nwd"),
    "modifiers": ("losses properties signatures", "alpha or inner or focaler or unified"),
    "penalties": ("losses properties", "eiou or siou or mpdiou or shape_iou or piou"),
    "small_objects": ("losses properties", "sd or gcd"),
    "weighted": ("losses properties statistical_losses", "focal_eiou or interp or wiou"),
    "pair": ("losses ops properties one_loop", "iou"),
    "distribution": ("losses uncertainty coders", "dfl or expected or distribution"),
    "uncertainty": ("uncertainty losses", "kl or nll or laplace or uncertain"),
    "density": ("statistical_losses loss_state", ""),
    "statistical": ("statistical_losses loss_state", ""),
    "classification": ("class_losses", ""),
    "fine_grained": ("fine_grained", ""),
    "boxes3d": ("boxes3d", ""),
    "box3d_pair": ("boxes3d", ""),
    "rotated": ("rotated", ""),
    "rotated_pair": ("rotated", ""),
    "rotated_overlap": ("rotated", ""),
    "ltrb": ("losses coders", "ltrb"),
    "mining": ("mining", ""),
    "state": ("loss_state statistical_losses replicas", ""),
    "guard": ("guard what_users_pass", ""),
    "documentation": ("documentation signatures", ""),
    "registry": ("signatures what_users_pass types public_names catalogue", ""),
    "arguments": (
        "signatures types documentation losses",
        "argument or config or signature or help",
    ),
    "weighted_sum": ("losses mining metrics guard", "sum or weighted"),
    "decoded": ("coders losses", "decod"),
    "formula": ("losses properties one_loop compiled", "giou or smooth_l1"),
    "base": (
        "losses mining guard what_users_pass metrics properties",
        "giou or smooth_l1 or not iou",
    ),
    "reduction": ("losses mining metrics properties", "giou or smooth_l1 or normalizer or reduc"),
    "pairing": ("pairing datasets_as_left evaluation", ""),
    "points": ("points", ""),
    "objects": ("objects", ""),
    "row": ("row report points", ""),
    "box_history": ("box_history", ""),
    "box_statistics": ("box_history callbacks training", "history or statistics"),
    "unpaired": ("pairing objects evaluation", ""),
    "truth": ("evaluation pairing objects datasets_as_left", ""),
    "apply": ("audit_apply", ""),
    "confidence": ("audit_confidence", ""),
    "folds": ("audit groups", ""),
}
PACKAGES = {
    "functional": ("losses properties ops", "giou or smooth_l1"),
    "losses": ("losses signatures types", "giou or smooth_l1"),
    "evaluation": ("evaluation pairing points report", ""),
    "audit": ("audit audit_confidence audit_apply benchmark_audit", ""),
}

OTHER_OPERATOR = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.Lt: ast.GtE,
    ast.GtE: ast.Lt,
    ast.Gt: ast.LtE,
    ast.LtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.And: ast.Or,
    ast.Or: ast.And,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}


class Places(ast.NodeTransformer):
    """Counts the places of a module that can be changed, and changes the one that is `chosen`.

    Texts, types and messages are left alone: tests should not pin the words of a message.
    `found` lists `(line, before, after)` of each place.
    """

    def __init__(self, chosen=None):
        self.chosen = chosen
        self.found = []

    def _place(self, node, change):
        before = ast.unparse(node)
        mine = len(self.found)
        if mine == self.chosen or self.chosen is None:
            kept = ast.parse(before, mode="eval").body  # a copy, for the change is made in place
            changed = change(node)
            self.found.append((node.lineno, before, ast.unparse(changed)))
            return changed if mine == self.chosen else kept
        self.found.append(None)
        return node

    def visit_BinOp(self, node):
        self.generic_visit(node)
        if type(node.op) not in OTHER_OPERATOR or _is_text(node.left) or _is_text(node.right):
            return node
        other = OTHER_OPERATOR[type(node.op)]
        return self._place(
            node, lambda n: ast.copy_location(ast.BinOp(n.left, other(), n.right), n)
        )

    def visit_BoolOp(self, node):
        self.generic_visit(node)
        other = OTHER_OPERATOR[type(node.op)]
        return self._place(node, lambda n: ast.copy_location(ast.BoolOp(other(), n.values), n))

    def visit_Compare(self, node):
        self.generic_visit(node)
        other = OTHER_OPERATOR[type(node.ops[0])]
        return self._place(
            node,
            lambda n: ast.copy_location(
                ast.Compare(n.left, [other(), *n.ops[1:]], n.comparators), n
            ),
        )

    def visit_UnaryOp(self, node):
        self.generic_visit(node)
        if not isinstance(node.op, ast.Not | ast.USub) or isinstance(node.operand, ast.Constant):
            return node
        return self._place(node, lambda n: n.operand)

    def visit_Constant(self, node):
        if isinstance(node.value, bool):
            return self._place(node, lambda n: ast.copy_location(ast.Constant(not n.value), n))
        if isinstance(node.value, int | float):
            return self._place(node, lambda n: ast.copy_location(ast.Constant(n.value + 1), n))
        return node

    def visit_FunctionDef(self, node):
        node.args.defaults = [self.visit(d) for d in node.args.defaults]
        node.args.kw_defaults = [d and self.visit(d) for d in node.args.kw_defaults]
        node.body = [self.visit(statement) for statement in node.body]
        return node

    def visit_AnnAssign(self, node):
        node.value = node.value and self.visit(node.value)
        return node

    def _left_alone(self, node):
        return node

    visit_Raise = visit_JoinedStr = visit_Import = visit_ImportFrom = visit_Assert = _left_alone


def _is_text(node):
    return isinstance(node, ast.JoinedStr) or (
        isinstance(node, ast.Constant) and isinstance(node.value, str)
    )


def places(path):
    """`(line, before, after)` of each place of the file that can be changed, in a fixed order."""
    finder = Places()
    finder.visit(ast.parse(path.read_text("utf-8")))
    return finder.found


def changed(path, chosen):
    """Source of the file with the place of that number changed."""
    changer = Places(chosen)
    tree = changer.visit(ast.parse(path.read_text("utf-8")))
    return ast.unparse(ast.fix_missing_locations(tree))


def sample(packages, count, seed):
    """`count` places `(package, path, number, (line, before, after))`, evenly from the packages."""
    draw = random.Random(seed)
    chosen = []
    for i, package in enumerate(packages):
        share = count // len(packages) + (i < count % len(packages))
        files = sorted((ROOT / "boxloss" / package).glob("*.py"))
        every = [(package, f, n, p) for f in files for n, p in enumerate(places(f))]
        chosen += draw.sample(every, min(share, len(every)))
    return chosen


class Instead(importlib.abc.MetaPathFinder, importlib.abc.InspectLoader):
    """Imports one module from the given source."""

    def __init__(self, path, source):
        parts = path.relative_to(ROOT).with_suffix("").parts
        self.package = parts[-1] == "__init__"
        self.name = ".".join(parts[:-1] if self.package else parts)
        self.path, self.source = path, source

    def find_spec(self, name, path=None, target=None):
        if name != self.name:
            return None
        spec = importlib.util.spec_from_file_location(
            name,
            self.path,
            loader=self,
            submodule_search_locations=[str(self.path.parent)] if self.package else None,
        )
        return spec

    def get_filename(self, name):
        return str(self.path)

    def is_package(self, name):
        return self.package

    def get_source(self, name):
        return self.source

    def create_module(self, spec):
        return None


def run_tests(package, path, number, log):
    """In a child: pytest's status with the place changed. Leaves nothing behind."""
    os.setsid()
    with open(log, "w") as out:
        os.dup2(out.fileno(), 1)
        os.dup2(out.fileno(), 2)
    if number is not None:
        sys.meta_path.insert(0, Instead(path, changed(path, number)))
    import pytest

    names, keywords = FAMILIES.get(path.stem, PACKAGES[package])
    files = [f"tests/test_{name}.py" for name in names.split()]
    only = ["-k", keywords] if keywords else []
    status = 70
    try:
        status = pytest.main(
            ["-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", *only, *files]
        )
    finally:
        sys.stdout.flush()
        os._exit(int(status))


def import_what_is_slow():
    """What the tests import besides boxloss, before any child is forked: not one operation runs."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    for name in (
        "numpy",
        "scipy.optimize",
        "hypothesis",
        "cv2",
        "tensorflow",
        "keras",
        "pycocotools",
    ):
        try:
            __import__(name)
        except ImportError:
            print(f"{name} is not installed: tests that need it skip")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--count", type=int, default=120)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--packages", nargs="+", default=list(PACKAGES), choices=list(PACKAGES))
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--limit", type=float, default=1200, help="seconds for one change")
    parser.add_argument("--only", help="only places whose FILE:LINE begins so")
    parser.add_argument("--logs", type=pathlib.Path, default=pathlib.Path("runs/mutants"))
    options = parser.parse_args()
    os.chdir(ROOT)
    sys.path[:0] = [str(ROOT)]
    options.logs.mkdir(parents=True, exist_ok=True)
    chosen = sample(options.packages, options.count, options.seed)
    if options.only:
        chosen = [c for c in chosen if _where(c).startswith(options.only)]
    import_what_is_slow()
    results = watch(chosen, options)
    seen = sum(result != "NOT SEEN" for result in results.values())
    print(
        f"\n{seen} of {len(results)} changes were seen ({100 * seen / max(len(results), 1):.0f} %)"
    )
    for package in options.packages:
        mine = [r for c, r in results.items() if c[0] == package]
        print(f"  {package:<12} {sum(r != 'NOT SEEN' for r in mine)} of {len(mine)}")
    for place, result in results.items():
        if result == "NOT SEEN":
            print(f"not seen: {_where(place)}: {place[3][1]}  ->  {place[3][2]}")


def _where(place):
    package, path, _, (line, *_) = place
    return f"{package}/{path.name}:{line}"


def watch(chosen, options):
    """Fork a child for each place, `jobs` at a time; what became of each."""
    waiting, running, results = list(enumerate(chosen)), {}, {}
    while waiting or running:
        while waiting and len(running) < options.jobs:
            i, place = waiting.pop(0)
            log = options.logs / f"{i:03d}.log"
            pid = os.fork()
            if pid == 0:
                run_tests(place[0], place[1], place[2], log)
            running[pid] = (place, time.monotonic(), log)
        time.sleep(0.2)
        for pid, (place, start, _log) in list(running.items()):
            ended, status = os.waitpid(pid, os.WNOHANG)
            took = time.monotonic() - start
            if not ended and took < options.limit:
                continue
            if not ended:
                os.killpg(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
            result = "ran too long" if not ended else "NOT SEEN" if status == 0 else "seen"
            results[place] = result
            del running[pid]
            print(f"{result:<12} {took:5.0f} s  {_where(place)}: {place[3][1]}", flush=True)
    return results


if __name__ == "__main__":
    main()
