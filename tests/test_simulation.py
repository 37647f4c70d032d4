"""The regression simulation against published sums, and against loops written here."""

import csv
import hashlib
import json
import pathlib
import sys

import numpy as np
import pytest
from oracles import one_sided_gradients

import boxloss
from boxloss import cli, simulation
from boxloss.cli import simulate as command

DOCS = pathlib.Path(__file__).parents[1] / "docs" / "simulation.md"

# Sums of the exact gradients in (cx, cy, w, h), float64, by a compiled scalar program that shares
# nothing with boxloss: E_1, E_10, E_50, E_200, sum of k = 1 ... 200, share above IoU 0.99.
VOGEL_50 = {
    "iou": (66179.5, 64398.9, 60600.6, 58885.7, 12055498, 0.1394),
    "giou": (64849.7, 51991.0, 19609.9, 287.46, 2721529.9, 0.8474),
    "diou": (65634.0, 58644.4, 28469.6, 521.17, 3397593.9, 0.8970),
    "ciou": (65454.5, 57144.8, 24825.8, 71.30, 3023400.1, 0.9190),
}
VOGEL_500 = {
    "iou": (662357, 643794, 605539, 588170, 1.204492e8, 0.1437),
    "giou": (648910, 520311, 193770, 2909.6, 2.7140558e7, 0.8512),
    "diou": (656908, 586312, 285364, 5246.7, 3.3983567e7, 0.8970),
    "ciou": (655113, 571344, 248840, 734.6, 3.0246905e7, 0.9178),
}
# The full run in (x1, y1, x2, y2): E_200 and, where it is known, the sum.
MATLAB_5000_XYXY = {"giou": (1.827e6, 7.81e8), "diou": (1.720e6, 7.88e8), "ciou": (1.436e6, 7.35e8)}


def assert_sums(result, expected, digits):
    """Tolerances: steps of 0.1 make boxes bounce at a kink, and last bits grow from step 20 on."""
    *errors, total, share = expected
    rounding = np.array([10.0 ** -digits[i] for i in range(4)]) * 0.51
    for k, error, half_digit, relative in zip(
        (1, 10, 50, 200), errors, rounding, (1e-9, 1e-9, 1e-4, 1e-2), strict=True
    ):
        np.testing.assert_allclose(
            result.errors[k], error, rtol=relative, atol=half_digit, err_msg=f"E_{k}"
        )
    np.testing.assert_allclose(result.sum, total, rtol=1e-3)
    np.testing.assert_allclose(result.share_above[0.99], share, atol=0.01)


# Point sets and cases ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "count, digest",
    [
        (10, "660528ebc05d8bfb6b92bc07bf783edb84060d71f6d440e13dccb37081466caf"),
        (50, "22120c7fa190b289aab4f38eaca983bb9d72b85e9fcc3fce4f3da6c665e8f16f"),
        (500, "c56e30c755b38cad42150b1b670fc55d3919b1c1a5fd8734818ac58088a3d75a"),
        (5000, "b1477ca58729d8bb4f6c77ecffce52a3fd7ef903eee1799de2437a705f6065d7"),
    ],
)
def test_the_spiral_is_the_same_on_every_platform(count, digest):
    points = simulation.point_set(f"vogel{count}")
    text = "\n".join(f"{x:.6f} {y:.6f}" for x, y in points)
    assert hashlib.sha256(text.encode()).hexdigest() == digest


def test_random_points_follow_their_seed_and_stay_in_the_disc():
    points = simulation.point_set("random300", seed=3)
    np.testing.assert_array_equal(points, simulation.point_set("random300", seed=3))
    assert not np.array_equal(points, simulation.point_set("random300", seed=4))
    distance = np.hypot(*(points - 10).T)
    assert distance.max() < 3
    # Uniform in the disc: a quarter within half the radius.
    assert abs((distance < 1.5).mean() - 0.25) < 0.08
    dense = np.hypot(*(simulation.point_set("vogel300", "tong") - 0.5).T)
    # u = (e^1.5 - 1) / (e^3 - 1) of them within half the radius.
    assert abs((dense < 0.25).mean() - 0.1824) < 0.01 and dense.max() < 0.5


@pytest.mark.parametrize(
    "points, rule",
    [
        ("spiral50", "must be 'vogelN', 'randomN' or 'matlab5000', N the number of points."),
        ("vogel0", "must name 1 to 1000000 points."),
        ("random99999999999999", "must name 1 to 1000000 points."),
    ],
)
def test_an_unknown_point_set_is_refused(points, rule):
    with pytest.raises(ValueError) as error:
        simulation.point_set(points)
    assert str(error.value) == f"`points` {rule} Received: points={points!r}"


def test_a_case_is_a_target_and_an_anchor_by_their_indices():
    y_true, start = simulation.case((13, 10), simulation.PROTOCOLS["zheng"], 0, 6, 4)
    np.testing.assert_allclose(y_true, (9.75, 9.0, 10.25, 11.0))  # 1:4 of area 1
    np.testing.assert_allclose(start, (12.0, 9.5, 14.0, 10.5))  # 2:1 of area 2


# The published sums ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", VOGEL_50)
def test_fifty_points_give_the_sums_of_the_exact_gradients(name):
    result = simulation.simulate(name, points="vogel50", dtype="float64")
    np.testing.assert_allclose(result.errors[0], 66424.1, atol=0.051)
    assert_sums(result, VOGEL_50[name], (1, 1, 1, 2))
    assert len(result.errors) == len(result.iou_losses) == 201
    assert (result.never_overlap > 0.8) == (name == "iou")


def assert_float32_follows_float64(name, points):
    wide = simulation.simulate(name, points=points, dtype="float64")
    narrow = simulation.simulate(name, points=points, dtype="float32")
    np.testing.assert_allclose(narrow.errors[:21], wide.errors[:21], rtol=1e-5)
    np.testing.assert_allclose(narrow.sum, wide.sum, rtol=1e-3)


# The bound holds for sums over many boxes. A box that bounces about a kink takes another way after
# the last bit changes: of ten points' boxes one such is 4e-5 of the sum, of 500 points' 2e-6.
@pytest.mark.parametrize("name", ["diou", pytest.param("ciou", marks=pytest.mark.slow(10))])
def test_float32_goes_the_same_way_up_to_step_20(name):
    assert_float32_follows_float64(name, "vogel50")


@pytest.mark.slow
def test_float32_giou_of_five_hundred_points_goes_the_same_way():
    assert_float32_follows_float64("giou", "vogel500")


@pytest.mark.slow
@pytest.mark.parametrize("name", VOGEL_500)
def test_five_hundred_points_give_the_sums_of_the_exact_gradients(name):
    result = simulation.simulate(name, points="vogel500", dtype="float64")
    np.testing.assert_allclose(result.errors[0], 664760, atol=0.51)
    assert_sums(result, VOGEL_500[name], (0, 0, 0, 1))


@pytest.mark.slow(40)
@pytest.mark.parametrize("name", MATLAB_5000_XYXY)
def test_the_full_run_in_corners_gives_the_published_sums(name):
    result = simulation.simulate(name, points="matlab5000", parametrization="xyxy")
    final, total = MATLAB_5000_XYXY[name]
    np.testing.assert_allclose(result.errors[[0, -1]], (6680284, final), rtol=1e-3)
    np.testing.assert_allclose(result.sum, total, rtol=1e-3)


def table_rows():
    """Loss -> cells of the family's tables in the docs, by (protocol, parametrization)."""
    tables, key = {}, None
    for line in DOCS.read_text(encoding="utf-8").splitlines():
        if line.startswith("<!-- table: "):
            key = tuple(line.removeprefix("<!-- table: ").removesuffix(" -->").split())
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if key and line.startswith("| ") and cells[0] in boxloss.names("box"):
            tables.setdefault(key, {})[cells[0]] = [float(cell) for cell in cells[1:]]
        elif key and not line.startswith(("|", "<!--")) and line:
            key = None
    return tables


def assert_row(key, name, cells):
    protocol, parametrization, points, dtype = key
    result = simulation.simulate(
        name, points=points, dtype=dtype, protocol=protocol, parametrization=parametrization
    )
    e_10, e_50, e_final, total, *shares = cells
    np.testing.assert_allclose(result.errors[10], e_10, rtol=2e-5)
    np.testing.assert_allclose(result.errors[50], e_50, rtol=1e-2, atol=1e-5)
    # balanced_l1 ends at rounding: 1e-7 of sums that began at 66,000.
    np.testing.assert_allclose(result.errors[-1], e_final, rtol=3e-2, atol=1e-5)
    np.testing.assert_allclose(result.sum, total, rtol=1e-3)
    measured = [*(result.share_above[t] for t in (0.5, 0.9, 0.99)), result.never_overlap]
    np.testing.assert_allclose(measured, shares, atol=0.01)


def test_the_tables_of_the_docs_hold_the_same_box_losses():
    tables = table_rows()
    assert len(tables) == 3
    for rows in tables.values():
        assert rows.keys() == tables["zheng", "cxcywh", "vogel50", "float64"].keys()
        assert set(VOGEL_50) < set(rows) <= set(boxloss.names("box"))


@pytest.mark.slow(10)
def test_the_smallest_rows_of_the_tables_come_out_again():
    """The row with the least final error of every table."""
    for key, rows in table_rows().items():
        smallest = min(rows, key=lambda name: rows[name][2])
        assert_row(key, smallest, rows[smallest])


@pytest.mark.slow(90)
@pytest.mark.parametrize("key", table_rows(), ids=" ".join)
def test_every_row_of_the_tables_comes_out_again(key):
    for name, cells in table_rows()[key].items():
        assert_row(key, name, cells)


# One step, written again -------------------------------------------------------------------------


def overlap(a, b):
    w = min(a[2], b[2]) - max(a[0], b[0])
    h = min(a[3], b[3]) - max(a[1], b[1])
    inter = max(w, 0) * max(h, 0)
    return inter / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - inter)


def corner_gradient(name, y_true, box):
    left, right = one_sided_gradients(name, y_true, box, 1e-4)
    return (np.array(left) + np.array(right)) / 2


@pytest.mark.parametrize("parametrization", ["cxcywh", "xyxy"])
def test_the_first_steps_descend_the_gradient_of_a_loss_written_from_its_paper(parametrization):
    y_true, start = simulation.case((10.6, 9.7), simulation.PROTOCOLS["zheng"], 1, 5, 4)
    way = simulation.trajectory("ciou", y_true, start, parametrization=parametrization)
    assert way.shape == (201, 1, 4)
    box = np.array(start)
    for k in range(1, 6):
        x1, y1, x2, y2 = corner_gradient("ciou", y_true, box)
        size = 0.1 * (2 - overlap(y_true, box))
        if parametrization == "xyxy":
            box = box - size * np.array([x1, y1, x2, y2])
        else:
            # By the chain rule: x1 = cx - w / 2, x2 = cx + w / 2.
            cx, cy = (box[:2] + box[2:]) / 2 - size * np.array([x1 + x2, y1 + y2])
            w, h = (box[2:] - box[:2]) - size * np.array([(x2 - x1) / 2, (y2 - y1) / 2])
            box = np.array([cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2])
        np.testing.assert_allclose(way[k, 0], box, atol=1e-6)


def test_the_rate_falls_at_steps_161_and_181():
    # L1 apart from its target: the gradient is +-1, so the steps are the rate times 2 - 0.
    start = np.array([200.0, 300.0, 201.0, 302.0])
    way = simulation.trajectory("l1", [9.5, 9.0, 10.5, 11.0], start, parametrization="xyxy")[:, 0]
    steps = np.abs(np.diff(way, axis=0))
    for first, last, rate in ((0, 160, 0.1), (160, 180, 0.01), (180, 200, 0.001)):
        np.testing.assert_allclose(steps[first:last], 2 * rate, rtol=1e-9)


def test_tong_is_adam_on_the_mean_over_all_cases():
    y_true = np.array([[0.4, 0.4, 0.6, 0.6], [0.4, 0.4, 0.6, 0.6]])
    start = np.array([[0.61, 0.2, 0.9, 0.3], [0.3, 0.45, 0.55, 0.8]])
    way = simulation.trajectory("l2", y_true, start, protocol="tong")
    assert way.shape == (121, 2, 4)
    box, m, v = start.copy(), np.zeros((2, 4)), np.zeros((2, 4))
    for k in range(1, 121):
        g = 2 * (box - y_true) / 2  # of the mean over two boxes
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        box = box - 0.01 * (m / (1 - 0.9**k)) / (np.sqrt(v / (1 - 0.999**k)) + 1e-8)
        np.testing.assert_allclose(way[k], box, atol=1e-9)


def test_boxes_apart_feel_iou_not_at_all_and_giou_towards_the_target():
    y_true, apart = [[0.0, 0.0, 2.0, 1.0]], [[3.0, 0.0, 4.0, 1.0]]
    np.testing.assert_array_equal(simulation.descent_direction("iou", y_true, apart), 0)
    dx, _, dw, _ = simulation.descent_direction("giou", y_true, apart, parametrization="cxcywh")[0]
    # C = (x2 - X1) * 1, U = 2 + w h: hull term 1 - U / C with U = 3, C = 4, x2 = cx + w / 2.
    np.testing.assert_allclose(dx, -3 / 16)
    np.testing.assert_allclose(dw, 1 / 4 - 3 / 16 / 2)


# Arguments and interruption ----------------------------------------------------------------------


def test_a_result_does_not_depend_on_the_number_of_workers_or_the_last_chunk():
    one = simulation.simulate("l1", points="vogel12", workers=1)
    two = simulation.simulate("l1", points="vogel12", workers=2)
    np.testing.assert_array_equal(one.point_errors, two.point_errors)
    assert one.point_errors.shape == (201, 12) and one.settings["cases"] == 12 * 343
    # The second chunk of ten holds two points; what fills it up is not counted.
    assert 0 < one.errors[0] == one.point_errors[0].sum()


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"loss": "giuo"}, "`loss` must be one of"),
        ({"loss": "softmax"}, "`loss` must be one of"),
        ({"loss": "iou", "protocol": "zhang"}, "`protocol` must be one of 'tong', 'zheng'."),
        ({"loss": "iou", "parametrization": "xywh"}, "`parametrization` must be one of"),
        ({"loss": "iou", "dtype": "float16"}, "`dtype` must be one of 'float32', 'float64'."),
        ({"loss": "iou", "workers": 0}, "`workers` must be a whole number of at least 1."),
        (
            {"loss": "siou", "arguments": {"tetha": 2.0}},
            "`arguments` must be one of 'bounding_box_format', 'box_reduction',",
        ),
        (
            {"loss": "iou", "arguments": {"dtype": "float64"}},
            "`arguments` must not set 'dtype', which the simulation sets itself.",
        ),
    ],
)
def test_wrong_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match="Received: ") as error:
        simulation.simulate(**{"points": "vogel1", **arguments})
    assert str(error.value).startswith(message)


def test_an_interrupt_stops_the_pool_and_leaves():
    def interrupt(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        simulation.simulate("l1", points="vogel30", progress=interrupt)


def test_the_command_keeps_what_was_done_before_an_interrupt(monkeypatch, capsys):
    simulate = simulation.simulate

    def interrupted(name, **arguments):
        if name == "giou":
            raise KeyboardInterrupt
        return simulate(name, **arguments)

    monkeypatch.setattr(simulation, "simulate", interrupted)
    assert cli.main(["simulate", "--loss", "l1", "giou", "--points", "vogel1"]) == 130
    out, err = capsys.readouterr()
    assert list(json.loads(out)["losses"]) == ["l1"] and json.loads(out)["interrupted"]
    assert "interrupted; kept l1" in err


# The command -------------------------------------------------------------------------------------


def test_the_command_writes_json_tables_and_pictures(tmp_path, capsys):
    pytest.importorskip("matplotlib")
    out = tmp_path / "run"
    assert (
        cli.main(["simulate", "--loss", "l1", "l2", "--points", "vogel3", "--out", str(out)]) == 0
    )
    printed = json.loads(capsys.readouterr().out)
    assert printed["points"] == "vogel3" and printed["cases"] == 3 * 343
    row = printed["losses"]["l1"]
    assert len(row["errors"]) == 201
    np.testing.assert_allclose(row["sum"], sum(row["errors"][1:]), rtol=1e-12)
    assert set(row["share_above"]) == {"0.5", "0.9", "0.99", "0.999"}
    assert row["never_overlap"] == 0 and row["seconds"] > 0
    assert json.loads((out / "simulation.json").read_text()) == printed
    with open(out / "curves.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 2 * 201
    assert [float(r["error"]) for r in rows if r["loss"] == "l1"] == row["errors"]
    with open(out / "points.csv", newline="") as stream:
        final = [float(r["final_error"]) for r in csv.DictReader(stream) if r["loss"] == "l2"]
    np.testing.assert_allclose(sum(final), printed["losses"]["l2"]["errors"][-1])
    rows = (out / "table.md").read_text().splitlines()[2:]
    assert [row.split()[1] for row in rows] == ["l2", "l1"]  # lowest final error first
    for name in ("curves.png", "surface.png", "way.png"):
        assert (out / name).read_bytes().startswith(b"\x89PNG")


def test_arguments_go_to_the_one_loss_or_to_losses_by_name():
    beta = {"beta": 2.0}
    assert command.arguments_by_loss(["smooth_l1"], beta) == {"smooth_l1": beta}
    assert command.arguments_by_loss(["l1", "smooth_l1"], {"smooth_l1": beta}) == {
        "smooth_l1": beta
    }
    assert command.arguments_by_loss(["l1", "iou"], {}) == {}
    for names, given in ((["l1", "smooth_l1"], beta), (["l1"], {"l1": 3})):
        with pytest.raises(ValueError, match="`loss-args` must"):
            command.arguments_by_loss(names, given)


def test_a_loss_gets_its_arguments(capsys):
    arguments = ["--loss", "huber", "--loss-args", '{"delta": 0.25}', "--points", "vogel1"]
    assert cli.main(["simulate", *arguments]) == 0
    row = json.loads(capsys.readouterr().out)["losses"]["huber"]
    assert row["arguments"] == {"delta": 0.25}
    # Away from the kink a step of Huber is delta times that of L1: E_1 - E_0 shrinks alike.
    l1 = simulation.simulate("l1", points="vogel1").errors
    assert 0 < row["errors"][0] - row["errors"][1] < 0.5 * (l1[0] - l1[1])


def test_the_bar_is_drawn_on_a_terminal_only(monkeypatch):
    class Terminal(list):
        write = list.append

        def flush(self):
            pass

        def isatty(self):
            return True

    terminal = Terminal()
    progress = command.Progress("giou", terminal)
    progress(1, 2)
    progress(2, 2)
    text = "".join(terminal)
    assert "[###############...............] 1/2" in text and text.endswith("s\n")
    terminal.clear()
    monkeypatch.setattr(Terminal, "isatty", lambda self: False)
    command.Progress("giou", terminal)(1, 2)
    assert not terminal


@pytest.mark.parametrize("text", ["[1]", "{"])
def test_loss_args_that_are_no_object_are_refused(text, capsys):
    with pytest.raises(SystemExit) as status:
        cli.main(["simulate", "--loss-args", text])
    assert status.value.code == 2
    assert "must be a JSON object" in capsys.readouterr().err


def test_pictures_are_left_out_where_matplotlib_is_missing(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    arguments = ["simulate", "--loss", "l1", "--points", "vogel1", "--out", str(tmp_path)]
    assert cli.main(arguments) == 0
    assert "no pictures: matplotlib must be installed" in capsys.readouterr().err
    assert not list(tmp_path.glob("*.png")) and (tmp_path / "curves.csv").exists()
