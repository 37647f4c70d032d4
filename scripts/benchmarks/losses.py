"""Loss and gradient, boxloss beside other libraries: medians of interleaved runs, in adds.

The unit is an eager add of the two arrays of boxes, which reads as much memory as a loss must and
writes as much as its gradient; it is timed in the same round as the others. Wall time tells what a
user waits, CPU time stays meaningful on a machine that is busy with other work.
"""

import ctypes
import importlib.util
import json
import pathlib
import statistics
import subprocess
import sys
import time

import peers

from boxloss import cli
from boxloss.files import write_atomically

HELP = "time losses and their gradients beside other libraries"
SIZES = (100, 10_000, 100_000, 1_000_000, 10_000_000)
CALL = (16, 100)  # images and boxes of the call that measures overhead


def add_arguments(parser):
    parser.add_argument("--losses", nargs="+", default=["l1", "giou", "ciou"])
    parser.add_argument("--boxes", nargs="+", type=int, default=list(SIZES))
    parser.add_argument("--rounds", type=int, default=9, help="interleaved (default: %(default)s)")
    parser.add_argument(
        "--addons-python", help="interpreter of an environment with boxloss[addons]"
    )
    parser.add_argument("--out", type=pathlib.Path, help="folder for losses.json and losses.png")
    parser.add_argument("--only", nargs="+", help="contestants, for example boxloss tensorflow_xla")


def run(args):
    """{"losses": {name: {boxes: {contestant: row}}}, "call": ..., "per_box": ..., "absent": ...}.

    A row: median milliseconds of wall and CPU time, both in adds, and megabytes of memory at peak.
    """
    result = {"losses": {}, "call": {}, "per_box": {}, "absent": peers.absent()}
    for name in args.losses:
        table = result["losses"][name] = {}
        for boxes in args.boxes:
            table[boxes] = time_all(name, boxes, args.rounds, args.only)
            if args.addons_python:
                table[boxes] |= _elsewhere(args, name, boxes)
            for contestant, row in table[boxes].items():
                print(f"{name:6} {boxes:9} {contestant:22} {_line(row)}", file=sys.stderr)
        result["call"][name] = _overhead(name, args.rounds)
        result["per_box"][name] = _per_box(table)
    if args.addons_python is None:
        result["absent"]["tfa"] = "needs --addons-python"
    elif any("tfa_eager" in rows for table in result["losses"].values() for rows in table.values()):
        result["absent"].pop("tfa", None)
    for peer, reason in result["absent"].items():
        print(f"absent: {peer} ({reason})", file=sys.stderr)
    if args.out:
        args.out.mkdir(parents=True, exist_ok=True)
        with write_atomically(args.out / "losses.json") as path:
            path.write_text(json.dumps(result, indent=1) + "\n")
        result["plot"] = _plot(result, args.out / "losses.png")
    return result


def _line(row):
    return (
        f"{row['wall_ms']:9.3f} ms {row['wall_adds']:7.2f} adds   "
        f"cpu {row['cpu_ms']:9.3f} ms {row['cpu_adds']:7.2f} adds   {row['peak_mb']:8.1f} MB"
    )


# Timing -------------------------------------------------------------------------------------------


def time_all(name, boxes, rounds, only=None):
    """{contestant: row} of one loss and one number of boxes; "add" is among them."""
    y_true, y_pred = peers.example(1, boxes)
    calls = {"add": peers.add(y_true, y_pred)}
    for contestant, make in peers.contestants(name).items():
        if only is None or contestant in only:
            calls[contestant] = make(y_true, y_pred)
    peaks = {}
    for contestant, call in calls.items():
        for _ in range(4):  # boxloss compiles at the third call
            call()
        peaks[contestant] = _peak(call)
    # Short calls are repeated within a round, so that the clock's grain does not matter.
    inner = max(1, min(50, 200_000 // boxes))
    wall, cpu = {key: [] for key in calls}, {key: [] for key in calls}
    for _ in range(rounds):
        for contestant, call in calls.items():
            started, used = time.perf_counter(), time.process_time()
            for _ in range(inner):
                call()
            wall[contestant].append((time.perf_counter() - started) / inner)
            cpu[contestant].append((time.process_time() - used) / inner)
    return {key: _row(wall, cpu, key, peaks[key]) for key in calls}


def _row(wall, cpu, key, peak):
    """Ratios are medians of the ratios of each round."""

    def adds(times):
        pairs = zip(times[key], times["add"], strict=True)
        return statistics.median(mine / max(add, 1e-9) for mine, add in pairs)

    return {
        "wall_ms": 1e3 * statistics.median(wall[key]),
        "cpu_ms": 1e3 * statistics.median(cpu[key]),
        "wall_adds": adds(wall),
        "cpu_adds": adds(cpu),
        "peak_mb": peak,
    }


def _peak(call):
    """Megabytes of memory above what was in use, at the highest; 0 where the system cannot tell."""

    def status(field):
        for line in pathlib.Path("/proc/self/status").read_text().splitlines():
            if line.startswith(field):
                return int(line.split()[1]) / 1024
        return 0.0

    try:
        # What was freed goes back to the system first, or it would be used again unseen.
        ctypes.CDLL(None).malloc_trim(0)
        pathlib.Path("/proc/self/clear_refs").write_text("5")
        before = status("VmRSS")
        call()
        return max(0.0, round(status("VmHWM") - before, 1))
    except (AttributeError, OSError):
        return 0.0


def _overhead(name, rounds):
    """Microseconds of a small call with gradient, and of a compiled function that does nothing."""
    y_true, y_pred = peers.example(*CALL)
    ours, empty = peers.boxloss_class(name)(y_true, y_pred), peers.empty(y_true, y_pred)
    for call in (ours, empty):
        for _ in range(5):
            call()
    times = []
    for _ in range(max(rounds, 30)):
        started = time.perf_counter()
        ours()
        between = time.perf_counter()
        empty()
        times.append((between - started, time.perf_counter() - between))
    return {
        "images": CALL[0],
        "boxes": CALL[1],
        "boxloss_us": 1e6 * statistics.median(mine for mine, _ in times),
        "empty_us": 1e6 * statistics.median(other for _, other in times),
        "ratio": statistics.median(mine / other for mine, other in times),
    }


def _per_box(table):
    """Time per box at the largest size over that at 100,000, where both were measured."""
    largest = max(table)
    if 100_000 not in table or largest <= 100_000 or "boxloss" not in table[largest]:
        return None
    few, many = table[100_000]["boxloss"], table[largest]["boxloss"]
    return {
        "boxes": largest,
        "wall": many["wall_ms"] / few["wall_ms"] * 100_000 / largest,
        "cpu": many["cpu_ms"] / few["cpu_ms"] * 100_000 / largest,
    }


def _elsewhere(args, name, boxes):
    """TensorFlow Addons in its own environment, in adds of that environment's TensorFlow."""
    command = [
        args.addons_python,
        pathlib.Path(__file__).with_name("losses_addons.py"),
        name,
        str(boxes),
    ]
    done = subprocess.run([*command, str(args.rounds)], capture_output=True, text=True, check=False)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
        print(f"tfa: {reason}", file=sys.stderr)
        return {}
    rows = json.loads(done.stdout.strip().splitlines()[-1])
    return {key: row for key, row in rows.items() if key.startswith("tfa")}


def _plot(result, path):
    if importlib.util.find_spec("matplotlib") is None:
        print("no plot: matplotlib is not installed", file=sys.stderr)
        return None
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5 * len(result["losses"]), 4), layout="constrained")
    for index, (name, table) in enumerate(result["losses"].items()):
        axes = figure.add_subplot(1, len(result["losses"]), index + 1)
        for contestant in {key: None for rows in table.values() for key in rows}:
            points = [(n, rows[contestant]) for n, rows in table.items() if contestant in rows]
            sizes, rows = zip(*points, strict=True)
            times = [1e6 * row["wall_ms"] / n for n, row in zip(sizes, rows, strict=True)]
            axes.loglog(sizes, times, marker="o", label=contestant)
        axes.set(title=name, xlabel="boxes", ylabel="ns per box, loss and gradient")
        axes.legend(fontsize=7)
    with write_atomically(path) as temporary:
        figure.savefig(temporary, dpi=120)
    return str(path)


def main(argv=None):
    return cli.run_module("scripts/benchmarks/losses.py", sys.modules[__name__], argv)


if __name__ == "__main__":
    raise SystemExit(main())
