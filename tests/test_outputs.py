"""A folder that a command writes to: one process at a time, and nothing of others is lost."""

import errno
import json
import os
import pathlib
import signal
import subprocess
import sys
import zipfile

import pytest

from boxloss import cli, files
from boxloss.files import outputs
from boxloss.files.outputs import MANIFEST, TEMPORARY

FOREIGN = r"`out` must not hold a file of another origin, or one that was changed since "


def write(path, text):
    with files.write_atomically(path) as temporary:
        temporary.write_text(text)


def content(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != MANIFEST
    }


def test_what_boxloss_wrote_is_replaced_and_what_others_wrote_is_not(tmp_path):
    (tmp_path / "config.json").write_text("theirs")
    with files.output(tmp_path):
        write(tmp_path / "boxes.csv", "first")
    with files.output(tmp_path):  # another process, as far as the folder knows
        write(tmp_path / "boxes.csv", "second")
        with pytest.raises(ValueError, match=FOREIGN) as error:
            write(tmp_path / "config.json", "ours")
    assert str(error.value).endswith(f"Received: {str(tmp_path)!r} with 'config.json'")
    assert content(tmp_path) == {"boxes.csv": b"second", "config.json": b"theirs"}
    with files.output(tmp_path, overwrite=True):
        write(tmp_path / "config.json", "ours")
    with files.output(tmp_path, ["config.json"]):
        pass
    assert content(tmp_path)["config.json"] == b"ours"


def test_a_file_that_was_edited_since_is_not_replaced(tmp_path):
    with files.output(tmp_path):
        write(tmp_path / "boxes.csv", "ours")
        (tmp_path / "boxes.csv").write_text("edited")
        with pytest.raises(ValueError, match=FOREIGN):
            write(tmp_path / "boxes.csv", "again")
    with pytest.raises(ValueError, match=FOREIGN):
        with files.output(tmp_path, ["boxes.csv"]):
            pass
    assert content(tmp_path) == {"boxes.csv": b"edited"}


def test_a_copy_of_the_folder_is_written_like_the_folder(tmp_path):
    with files.output(tmp_path / "a"):
        write(tmp_path / "a" / "boxes.csv", "ours")
    subprocess.run(["cp", "-r", tmp_path / "a", tmp_path / "b"], check=True)
    with files.output(tmp_path / "b"):
        write(tmp_path / "b" / "boxes.csv", "new")
    assert (tmp_path / "b" / "boxes.csv").read_text() == "new"


def test_a_refused_folder_is_left_as_it_was(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.csv").write_text("theirs")
    for name in ("a", "b"):
        with pytest.raises(ValueError):
            with files.output(tmp_path / name, ["x.csv"]):
                raise ValueError("nothing was written")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["x.csv"]


@pytest.mark.parametrize("place", ["crops", "deep/crops"])
def test_nothing_is_written_or_removed_through_a_link(tmp_path, place):
    target = tmp_path / "target"
    target.mkdir()
    (target / "0.jpg").write_text("theirs")
    out = tmp_path / "out"
    (out / place).parent.mkdir(parents=True)
    (out / place).symlink_to(target)
    with files.output(out) as folder:
        for overwrite in (False, True):
            folder.overwrite = overwrite
            with pytest.raises(ValueError, match="must not lead out of itself by a link"):
                write(out / place / "0.jpg", "ours")
        with pytest.raises(ValueError, match="must not lead out of itself by a link"):
            with files.output(out / place):
                pass
        folder.marks[f"{place}/0.jpg"] = [files.outputs.mark_of(target / "0.jpg")]
        with pytest.raises(ValueError, match="must not lead out of itself by a link"):
            folder.sweep(place)
    assert content(target) == {"0.jpg": b"theirs"}


def test_a_folder_that_becomes_a_link_while_it_is_written_is_seen(tmp_path):
    target, out = tmp_path / "target", tmp_path / "out"
    for folder in (target, out / "crops"):
        folder.mkdir(parents=True)
    with files.output(out):
        write(out / "crops" / "0.jpg", "ours")
        (out / "crops").rename(tmp_path / "moved")
        (out / "crops").symlink_to(target)
        with pytest.raises(ValueError, match="must not lead out of itself by a link"):
            write(out / "crops" / "1.jpg", "ours")
    assert content(target) == {}


def test_a_folder_that_is_a_link_itself_is_written(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "out").symlink_to(tmp_path / "disk")
    with files.output(tmp_path / "out"):
        write(tmp_path / "out" / "x.csv", "ours")
        (tmp_path / "out" / "below").mkdir()
        with files.output(tmp_path / "out" / "below"):
            write(tmp_path / "out" / "below" / "y.csv", "ours")
    assert content(tmp_path / "disk") == {"below/y.csv": b"ours", "x.csv": b"ours"}


def test_a_link_of_somebody_else_is_not_replaced(tmp_path):
    (tmp_path / "theirs").write_text("theirs")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "x.csv").symlink_to(tmp_path / "theirs")
    with files.output(tmp_path / "out"), pytest.raises(ValueError, match=FOREIGN):
        write(tmp_path / "out" / "x.csv", "ours")
    assert (tmp_path / "out" / "x.csv").is_symlink()


HOLDER = """
import sys, time
from boxloss import files
with files.output(sys.argv[1]):
    with files.write_atomically(sys.argv[1] + "/a.csv") as path:
        path.write_text("ours")
    with files.write_atomically(sys.argv[1] + "/b.csv") as path:
        path.write_text("half")
        print("here", flush=True)
        time.sleep(60)
"""


def test_a_second_process_is_refused_until_the_first_is_dead(tmp_path):
    """And what the dead one left half written goes."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, tmp_path], stdout=subprocess.PIPE, text=True
    ) as holder:
        try:
            assert holder.stdout.readline() == "here\n"
            with pytest.raises(ValueError, match="must be written by one process at a time"):
                with files.output(tmp_path, overwrite=True):
                    pass
        finally:
            holder.send_signal(signal.SIGKILL)
    assert any(path.name.startswith(TEMPORARY) for path in tmp_path.iterdir())
    (tmp_path / ".checkpoint-ab_c1234.npz").write_bytes(b"of a version before")
    (tmp_path / ".checkpoint-mine.npz").write_bytes(b"of somebody else")
    with files.output(tmp_path):
        write(tmp_path / "a.csv", "second")
    assert content(tmp_path) == {".checkpoint-mine.npz": b"of somebody else", "a.csv": b"second"}


class Msvcrt:
    """Windows' module for locks, by those of the system on which the tests run."""

    LK_NBLCK = 2

    def __init__(self, fcntl):
        self.fcntl, self.calls = fcntl, []

    def locking(self, descriptor, mode, count):
        self.calls.append((mode, count, os.lseek(descriptor, 0, os.SEEK_CUR)))
        try:
            self.fcntl.flock(descriptor, self.fcntl.LOCK_EX | self.fcntl.LOCK_NB)
        except OSError:  # what Windows says then
            raise PermissionError(errno.EACCES, "Permission denied") from None


def test_the_way_of_windows_locks_the_first_byte_and_closes_before_it_removes(
    tmp_path, monkeypatch
):
    """Not run on Windows: the module is a stand-in. That its lock ends with the process is not."""
    msvcrt = Msvcrt(pytest.importorskip("fcntl"))
    monkeypatch.setitem(sys.modules, "msvcrt", msvcrt)
    monkeypatch.setitem(sys.modules, "fcntl", None)
    monkeypatch.setattr(outputs, "WINDOWS", True)
    with files.output(tmp_path / "out") as first:
        with pytest.raises(ValueError, match="must be written by one process at a time"):
            outputs.Output(tmp_path / "out", overwrite=True).open()
        write(tmp_path / "out" / "x.csv", "ours")
    assert msvcrt.calls == [(Msvcrt.LK_NBLCK, 1, 0)] * 2
    with files.output(tmp_path / "out", ["x.csv"]):
        pass
    removed = []
    monkeypatch.setattr(os, "unlink", lambda path: removed.append(first.file.closed))
    with files.output(tmp_path / "new") as first:
        pass
    assert removed == [True]


def test_blocks_for_one_folder_may_be_nested(tmp_path):
    (tmp_path / "x.csv").write_text("theirs")
    with files.output(tmp_path, overwrite=True):
        with files.output(tmp_path, ["x.csv"]):
            write(tmp_path / "x.csv", "ours")
        write(tmp_path / "y.csv", "ours")
    with files.output(tmp_path, ["x.csv", "y.csv"]):
        pass


def test_killed_between_list_and_rename_the_old_file_is_still_ours(tmp_path, monkeypatch):
    with files.output(tmp_path):
        write(tmp_path / "x.csv", "old")
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
            write(tmp_path / "x.csv", "new")
    with files.output(tmp_path, ["x.csv"]):
        write(tmp_path / "x.csv", "newer")
    assert content(tmp_path) == {"x.csv": b"newer"}


def test_the_list_does_not_grow_without_end(tmp_path):
    with files.output(tmp_path):
        for i in range(150):
            write(tmp_path / "x.csv", str(i))
    with files.output(tmp_path, ["x.csv"]):
        write(tmp_path / "x.csv", "last")
    assert len((tmp_path / MANIFEST).read_text().splitlines()) == 3
    with files.output(tmp_path, ["x.csv"]):
        pass


def test_folders_of_older_versions_are_known_by_their_content(tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    texts = {
        "config.json": json.dumps({"boxloss": "0.1.0", "class_names": ["a"]}),
        "metrics.json": json.dumps(dict.fromkeys(("AP", "AP50", "AP75", "AR100"), 0.1)),
        "detections.json": json.dumps([{"bbox": [1, 2, 3, 4], "score": 0.5}]),
        "boxes.csv": "row,image_id,file_name,annotation_id,detection,class\n",
        "history.csv": "epoch,learning_rate,loss\n",
        "index.html": '<script type="application/json" id="data">{"images": [{"picture": true}, '
        '{"picture": false}], "rows": {"picture": [0, 1]}}</script>',
        "images/0.jpg": "listed",
        "images/1.jpg": "not listed",
        "crops/1.jpg": "listed",
    }
    foreign = {"notes.csv": "a,b\n", "package.json": "{}", "more.json": "[1]", "broken.json": "{"}
    for name, text in (texts | foreign).items():
        (run / name).parent.mkdir(exist_ok=True)
        (run / name).write_text(text)
    for name, inner in (("model.keras", "config.json"), ("checkpoint.npz", "position.npy")):
        with zipfile.ZipFile(run / name, "w") as archive:
            archive.writestr(inner, "boxloss>Detector")
    with files.output(run) as folder:
        owned = {name for name in content(run) if folder.owns(name)}
    expected = {*texts, "model.keras", "checkpoint.npz"} - {"images/1.jpg"}
    assert owned == expected


@pytest.mark.parametrize(
    "words",
    [
        ("evaluate", "RUN", "--images", "RUN", "--annotations", "RUN"),
        ("predict", "RUN", "RUN"),
        ("explore", "RUN"),
        ("audit", "RUN"),
        ("simulate", "--points", "vogel1"),
    ],
)
def test_a_run_is_never_the_output_of_another_command(words, tmp_path, capsys):
    run = tmp_path / "run"
    run.mkdir()
    for name in ("model.keras", "boxes.csv", "detections.json"):
        (run / name).write_text("")
    words = [str(run) if word == "RUN" else word for word in words]
    before = content(run)
    assert cli.main([*words, "--out", str(run)]) == 2
    assert "`--out` must not be a run folder" in capsys.readouterr().err
    assert content(run) == before


@pytest.mark.parametrize("name", ["annotations.json", "images/000001.jpg"])
def test_make_synthetic_replaces_its_own_files_alone(tmp_path, capsys, name):
    words = ["make-synthetic", "--out", str(tmp_path), "--count", "1", "--image-size", "64"]
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("theirs")
    assert cli.main(words) == 2
    assert "`out` must not hold a file of another origin" in capsys.readouterr().err
    assert content(tmp_path)[name] == b"theirs"
    assert cli.main([*words, "--overwrite"]) == 0
    assert cli.main(words) == 0
    assert content(tmp_path)[name] != b"theirs"


def test_a_folder_of_a_run_that_is_a_link_is_refused(tmp_path, capsys):
    run, target = tmp_path / "run", tmp_path / "target"
    run.mkdir()
    target.mkdir()
    (target / "index.html").write_text("theirs")
    header = pathlib.Path(run / "boxes.csv")
    header.write_text("x\n")
    (run / "explorer").symlink_to(target)
    status = cli.main(["explore", str(run)])
    assert status == 2 and capsys.readouterr().err.count("\n") == 1
    assert content(target) == {"index.html": b"theirs"}
