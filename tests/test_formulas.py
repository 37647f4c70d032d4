"""The TeX formulas of the catalogue give the numbers of the losses."""

import math
import pathlib
import re
import runpy

import numpy as np
import pytest

import boxloss

ROOT = pathlib.Path(__file__).parents[1]
FORMULAS = runpy.run_path(str(ROOT / "scripts" / "make_catalogue.py"))["FORMULAS"]
# Pairs that overlap, that do not, and that are nested; no width equals a height.
PAIRS = [
    ([10, 20, 50, 44], [13, 22, 57, 41]),
    ([10, 20, 50, 44], [61, 7, 80, 35]),
    ([30, 25, 52, 31], [12, 3, 99, 60]),
]
NUMBERS = {  # default arguments, by the letter in the formula
    "gcd": {},
    "mpdiou": {"W_I": 640, "H_I": 480},
    "nwd": {"k": 12.8},
    "piou": {r"\lambda": 1.3},
    "sd": {r"\delta": 0.5, "A": 81.0},
    "shape_iou": {"s": 0.0},
    "siou": {r"\theta": 4.0},
    "wiou": {r"\alpha": 1.9, r"\delta": 3.0, "m": 1.0},
    "focal_eiou": {r"\gamma": 0.5},
    **{name: {} for name in ("iou", "giou", "diou", "ciou", "eiou")},
}
COORDINATES = {
    "l1": {},
    "l2": {},
    "gaussian_nll": {},
    "laplace_nll": {},
    "huber": {r"\delta": 1.0},
    "smooth_l1": {r"\beta": 1.0},
}
FUNCTIONS = {
    "exp": math.exp,
    "ln": math.log,
    "arctan": math.atan,
    "sqrt": math.sqrt,
    "min": min,
    "max": max,
    "abs": abs,
    "pi": math.pi,
}


def braces(text, start):
    """(inside, end) of the group that opens at `start`."""
    depth = 0
    for i in range(start, len(text)):
        depth += {"{": 1, "}": -1}.get(text[i], 0)
        if not depth:
            return text[start + 1 : i], i + 1
    raise AssertionError(text)


def in_python(tex, names):
    """One TeX expression as Python: fractions, powers, roots, |x| and products without a sign."""
    for command, count in ((r"\frac", 2), (r"\sqrt", 1), ("e^", 1), ("^", 1)):
        shape = {r"\frac": "(({}) / ({}))", r"\sqrt": "sqrt({})", "e^": "exp({})", "^": "**({})"}
        while command + "{" in tex:
            start = end = tex.index(command + "{")
            end, groups = start + len(command), []
            for _ in range(count):
                group, end = braces(tex, end)
                groups.append(group)
            tex = tex[:start] + " " + shape[command].format(*groups) + " " + tex[end:]
    tex = re.sub(r"\^(\w)", r"**\1 ", tex.replace(r"\left", "").replace(r"\right", ""))
    tex = re.sub(r"\|([^|]*)\|", r" abs(\1) ", tex)
    tex = re.sub(r"\\(ln|arctan) ([^ +]+|\(\(.*?\)\))", r" \1(\2) ", tex)
    for i, name in enumerate(sorted(names, key=len, reverse=True)):
        tex = re.sub(rf"(?<![a-zA-Z_\\]){re.escape(name)}(?![a-zA-Z_])", f" V{i}_ ", tex)
    tex = re.sub(r"\\(ln|min|max|arctan|pi)", r"\1", tex)
    token = r"(?:V\d+_|\d[\d.]*|\)|pi)"
    pattern = rf"({token}) +(?=V\d|\d|\(|exp|abs|sqrt|min|ln|pi)"
    return re.sub(pattern, r"\1 * ", re.sub(r"\)\s*\(", ") * (", tex))


def value(tex, names):
    """The number of a formula; its definitions, after commas, are worked out from the last."""
    first, *definitions = re.split(r",\\quad\s*", tex)
    names = dict(names)
    for definition in reversed(definitions):
        name, _, expression = definition.partition("=")
        name, power = re.fullmatch(r"(\S+?)(\^2)?", name.strip()).groups()
        if name not in names:
            found = evaluated(expression, names)
            names[name] = math.sqrt(found) if power else found
    return evaluated(first, names)


def evaluated(tex, names):
    found = re.fullmatch(r"\\begin\{cases\}(.*?)&(.*?)\\\\(.*?)&.*", tex, re.DOTALL)
    if found:
        condition = found[2].replace(r"\le", "<=").replace("<=ft", "")
        return evaluated(found[1] if evaluated(condition, names) else found[3], names)
    ordered = sorted(names, key=len, reverse=True)
    known = {f"V{i}_": names[name] for i, name in enumerate(ordered)}
    return eval(in_python(tex, names).strip(), FUNCTIONS | known)


def quantities(truth, prediction):
    """What the letters of the catalogue mean for one pair, from the corners."""
    (X1, Y1, X2, Y2), (x1, y1, x2, y2) = truth, prediction
    W, H, w, h = X2 - X1, Y2 - Y1, x2 - x1, y2 - y1
    shared = max(0, min(X2, x2) - max(X1, x1)) * max(0, min(Y2, y2) - max(Y1, y1))
    w_c, h_c = max(X2, x2) - min(X1, x1), max(Y2, y2) - min(Y1, y1)
    dx, dy = (x1 + x2 - X1 - X2) / 2, (y1 + y2 - Y1 - Y2) / 2
    union = W * H + w * h - shared
    return {
        **{"o": shared / union, "U": union, "C": w_c * h_c, "w": w, "h": h, "W": W, "H": H},
        **{"d": math.hypot(dx, dy), "c": math.hypot(w_c, h_c), "w_c": w_c, "h_c": h_c},
        **{r"\Delta_x": dx, r"\Delta_y": dy, "d_1": math.hypot(x1 - X1, y1 - Y1)},
        **{"d_2": math.hypot(x2 - X2, y2 - Y2), r"\Delta_1": x1 - X1, r"\Delta_2": x2 - X2},
        **{r"\Delta_3": y1 - Y1, r"\Delta_4": y2 - Y2},
    }


def test_every_loss_has_a_formula():
    assert sorted(FORMULAS) == boxloss.names()


@pytest.mark.parametrize("name", NUMBERS)
def test_a_formula_of_boxes_gives_the_number_of_the_loss(name):
    given = {"image_shape": (480, 640)} if name == "mpdiou" else {}
    truth, prediction = (np.float32([pair[i] for pair in PAIRS]) for i in (0, 1))
    loss = getattr(boxloss.functional, f"{name}_loss")
    expected = [value(FORMULAS[name], NUMBERS[name] | quantities(*pair)) for pair in PAIRS]
    np.testing.assert_allclose(np.asarray(loss(truth, prediction, **given)), expected, rtol=1e-5)


@pytest.mark.parametrize("name", COORDINATES)
def test_a_formula_of_coordinates_gives_the_number_of_the_loss(name):
    differences = np.float32([0.25, -0.75, 3.5, -2])
    given = [np.zeros(4, "float32"), differences]
    names = {r"\Delta": 0, **COORDINATES[name]}
    if name.endswith("_nll"):
        names["a"] = 0.5
        given.append(np.full(4, 0.5, "float32"))
    loss = getattr(boxloss.functional, f"{name}_loss")
    expected = [value(FORMULAS[name], names | {r"\Delta": float(d)}) for d in differences]
    np.testing.assert_allclose(np.asarray(loss(*given)), expected, rtol=1e-5)
