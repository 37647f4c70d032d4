"""The flags of `boxloss train` for several processes, and their beginning and end."""

import contextlib
import os
import sys

from boxloss.cli import screen

# The variables by which launchers say how many processes there are, and which one this is.
LAUNCHERS = (
    ("SLURM_STEP_NUM_TASKS", "SLURM_PROCID"),  # srun
    ("OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"),  # mpirun of Open MPI
    ("PMI_SIZE", "PMI_RANK"),  # mpiexec of MPICH and Intel MPI
    ("WORLD_SIZE", "RANK"),  # Kubernetes' training operators
)
JOINED: list[int] = []  # the number of this process, once it has joined others


def process_flags(group):
    group.add_argument(
        "--processes",
        type=int,
        metavar="N",
        help="that train together, on JAX; each runs this command (default: as many as SLURM, MPI "
        "or another launcher has started)",
    )
    group.add_argument(
        "--process-id", type=int, metavar="I", help="which of them this is, from 0; 0 writes --out"
    )
    group.add_argument(
        "--coordinator",
        metavar="HOST:PORT",
        help="where process 0 listens; found by itself under SLURM and Open MPI 4",
    )


def processes_of(args, environment=os.environ):
    """(how many processes, which one this is), by the flags or the launcher; (1, 0) for one."""
    count, index = args.processes, args.process_id
    for names in LAUNCHERS:
        found = [environment.get(name, "") for name in names]
        if all(text.isdigit() for text in found) and int(found[0]) > 1:
            count = int(found[0]) if count is None else count
            index = int(found[1]) if index is None else index
            break
    count = 1 if count is None else count
    if count < 1:
        raise ValueError(f"`--processes` must be at least 1. Received: {count}")
    if count == 1:
        return 1, 0
    if index is None or not 0 <= index < count:
        raise ValueError(
            "`--process-id` must be from 0 to --processes - 1. "
            f"Received: process_id={index!r}, processes={count!r}"
        )
    return count, index


@contextlib.contextmanager
def joined(args, given):
    """Whether this process is the first, once it has joined the others.

    given: the settings that the user gave, to which the number of devices is added.
    """
    count, index = processes_of(args)
    if count == 1:
        yield True
        return
    from boxloss.tensors import ops
    from boxloss.training import processes

    if args.coordinator is not None and not args.coordinator.rpartition(":")[2].isdigit():
        raise ValueError(
            "`--coordinator` must be HOST:PORT of the first process. "
            f"Received: {args.coordinator!r}"
        )
    if ops.backend() != "jax":
        raise ValueError(processes.refusal(ops.backend()))
    args.process_id = index
    if index == 0:
        print(f"waiting for {count} processes in all", file=sys.stderr)
    JOINED.append(index)
    with screen.prints_held():
        yield from _joined(args, given, count, index)


def _joined(args, given, count, index):
    from boxloss.training import processes

    processes.join(count, index, args.coordinator)
    devices = processes.device_count()
    if given.setdefault("devices", devices) != devices:
        raise ValueError(
            "`--devices` must be left out, or be those of all processes. "
            f"Received: devices={given['devices']!r}, found {devices}"
        )
    screen.set_last_line(f"boxloss train: {processes.lost_line(args.out / 'checkpoint.npz')}")
    yield index == 0


def leave(status):
    """The exit status; a process that failed beside others ends here.

    Python's own end would wait for the others, which wait for this one.
    """
    if JOINED and status:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    return status
