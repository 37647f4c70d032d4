"""Loss and gradient on every path of a backend, beside the naive formula on the same path.

    python scripts/benchmarks/losses.py                       # TensorFlow: eager, graph, jit, fit
    KERAS_BACKEND=jax python scripts/benchmarks/losses.py     # JAX: jit
    KERAS_BACKEND=torch python scripts/benchmarks/losses.py   # PyTorch: eager, compile

Everybody is timed in every round, and ratios are medians over the rounds. `of_naive` is the time
against that of the naive formula on the same path, below 1 is faster. The other unit is the
backend's own add of the two arrays of boxes, which reads as much memory as a loss must and writes
as much as its gradient. Wall time is how long a user waits; CPU time stays meaningful on a machine
that is busy with other work.
"""

import ctypes
import json
import pathlib
import statistics
import subprocess
import sys
import time

import peers

from boxloss import cli
from boxloss.files import write_atomically
from boxloss.tensors import ops

HELP = "time losses and their gradients beside the naive formula and other libraries"
SHAPES = ("16x8400", "1x1000000")  # a dense head, and a million boxes
CALL = (16, 100)  # images and boxes of the call that measures overhead
WARM = 5  # calls before the clock runs: boxloss compiles at the third


def add_arguments(parser):
    default = "(default: %(default)s)"
    parser.add_argument("--losses", nargs="+", default=list(peers.NAIVE), help=default)
    parser.add_argument(
        "--shapes", nargs="+", type=_shape, default=list(SHAPES), help=f"images x boxes {default}"
    )
    parser.add_argument("--rounds", type=int, default=15, help=f"interleaved {default}")
    parser.add_argument(
        "--only", nargs="+", metavar="WHO", help='paths or contestants: eager "jit boxloss"'
    )
    parser.add_argument(
        "--addons-python", help="interpreter of an environment with boxloss[addons]"
    )
    parser.add_argument("--out", type=pathlib.Path, help="folder for losses-BACKEND.json")


def _shape(text):
    images, boxes = (int(part) for part in text.split("x"))
    return f"{images}x{boxes}"


def run(args):
    """{"backend", "losses": {name: {shape: {contestant: row}}}, "call": ..., "absent": ...}.

    A row: median milliseconds of wall and CPU time, wall time in adds and against the naive formula
    on the same path (None where there is none), and megabytes of memory at peak.
    """
    backend = ops.backend()
    result = {"backend": backend, "losses": {}, "call": {}, "absent": peers.absent()}
    for name in args.losses:
        table = result["losses"][name] = {}
        for shape in args.shapes:
            table[shape] = time_all(name, shape, args.rounds, args.only)
            if args.addons_python:
                table[shape] |= _elsewhere(args, name, shape)
            for contestant, row in table[shape].items():
                print(f"{name:6} {shape:10} {contestant:22} {_line(row)}", file=sys.stderr)
        if backend == "tensorflow" and not args.only:
            result["call"][name] = _overhead(name, args.rounds)
    if args.addons_python is None:
        result["absent"]["tfa"] = "needs --addons-python"
    for peer, reason in result["absent"].items():
        print(f"absent: {peer} ({reason})", file=sys.stderr)
    print(*_markdown(result), sep="\n", file=sys.stderr)
    if args.out:
        args.out.mkdir(parents=True, exist_ok=True)
        with write_atomically(args.out / f"losses-{backend}.json") as path:
            path.write_text(json.dumps(result, indent=1) + "\n")
    return result


def _line(row):
    naive = "" if row["of_naive"] is None else f"{row['of_naive']:6.2f} of naive"
    return (
        f"{row['wall_ms']:9.3f} ms {row['wall_adds']:7.2f} adds   "
        f"cpu {row['cpu_ms']:9.3f} ms   {row['peak_mb']:8.1f} MB {naive}"
    )


def _markdown(result):
    """The table of docs/speed.md: "milliseconds, adds, of naive" of every path."""
    for shape in next(iter(result["losses"].values())):
        columns = [key for key in _paths(result, shape)]
        yield f"| {result['backend']} {shape} | " + " | ".join(columns) + " |"
        yield "|---" * (len(columns) + 1) + "|"
        for name, table in result["losses"].items():
            rows = [table[shape].get(f"{path} boxloss") for path in columns]
            cells = [
                ""
                if r is None
                else f"{r['wall_ms']:.1f} ms, {r['wall_adds']:.1f}, "
                + ("" if r["of_naive"] is None else f"{r['of_naive']:.2f}")
                for r in rows
            ]
            yield f"| {name} | " + " | ".join(cells) + " |"


def _paths(result, shape):
    found = {}
    for table in result["losses"].values():
        for contestant in table[shape]:
            path, _, who = contestant.partition(" ")
            if who == "boxloss":
                found[path] = None
    return list(found)


# Timing -------------------------------------------------------------------------------------------


def time_all(name, shape, rounds, only=None):
    """{contestant: row} of one loss and shape; "add" is among them."""
    images, boxes = map(int, shape.split("x"))
    y_true, y_pred = peers.example(images, boxes)
    calls = {"add": peers.add(y_true, y_pred)}
    for contestant, make in peers.contestants(name).items():
        if only is None or contestant in only or contestant.partition(" ")[0] in only:
            calls[contestant] = make(y_true, y_pred)
    peaks = {}
    for contestant, call in calls.items():
        for _ in range(WARM):
            call()
        peaks[contestant] = _peak(call)
    # Short calls are repeated within a round, so that the clock's grain does not matter.
    inner = max(1, min(50, 200_000 // (images * boxes)))
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
    naive = f"{key.partition(' ')[0]} naive"
    return {
        "wall_ms": 1e3 * statistics.median(wall[key]),
        "cpu_ms": 1e3 * statistics.median(cpu[key]),
        "wall_adds": _ratio(wall[key], wall["add"]),
        "of_naive": _ratio(wall[key], wall[naive]) if naive in wall else None,
        "peak_mb": peak,
    }


def _ratio(mine, other):
    """The median of the ratios of the rounds: what slows the machine slows both."""
    return statistics.median(a / max(b, 1e-9) for a, b in zip(mine, other, strict=True))


def _peak(call):
    """The most megabytes above what was in use before; 0 where the system does not say."""

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
    ours, empty = (
        peers.paths()["eager"](peers.boxloss_loss(name))(y_true, y_pred),
        peers.empty(y_true, y_pred),
    )
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


def _elsewhere(args, name, shape):
    """TensorFlow Addons in its own environment, in adds of that environment's TensorFlow."""
    script = pathlib.Path(__file__).with_name("losses_addons.py")
    command = [args.addons_python, script, name, shape, str(args.rounds)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
        print(f"tfa: {reason}", file=sys.stderr)
        return {}
    rows = json.loads(done.stdout.strip().splitlines()[-1])
    return {key: row for key, row in rows.items() if key.endswith("tfa")}


def main(argv=None):
    return cli.run_module("scripts/benchmarks/losses.py", sys.modules[__name__], argv)


if __name__ == "__main__":
    raise SystemExit(main())
