"""What boxloss wrote before it kept a list of its files, known by its content."""

import re
import zipfile

from boxloss.files.reading import json_of

HEADERS = (
    "row,image_id,file_name,annotation_id,detection,",
    "rank,suspicion,suspected,correction,",
    "image_id,file_name,annotation_id,class,epochs,",
    "epoch,image_id,file_name,loss,",
    "epoch,learning_rate,",
    "loss,k,error,iou_loss",
    "loss,x,y,final_error",
)
PAGE_DATA = '<script type="application/json" id="data">'
METRICS = {"AP", "AP50", "AP75", "AR100"}


def written_by_older_version(root):
    """The names below `root`, a folder without a list, of files that boxloss surely wrote."""
    names = []
    for path in sorted(root.iterdir()):
        try:
            if path.is_file() and not path.is_symlink() and _is_ours(path):
                names.append(path.name)
        except (OSError, ValueError, zipfile.BadZipFile):
            continue
    if {"boxes.csv", "metrics.json"} <= set(names) and _has_results(root / "detections.json"):
        names.append("detections.json")
    if "index.html" in names:
        names += _pictures(root)
    return names


def _is_ours(path):
    if path.suffix == ".csv":
        with open(path, encoding="utf-8-sig") as file:
            return file.readline(200).startswith(HEADERS)
    if path.suffix == ".json":
        content = json_of(path.read_text(encoding="utf-8"))
        if not isinstance(content, dict):
            return False
        run = {"boxloss", "class_names"} <= content.keys()
        return run or METRICS <= content.keys() or "boxloss_removed" in content
    if path.suffix == ".html":
        return PAGE_DATA in path.read_text(encoding="utf-8", errors="replace")
    if path.suffix == ".keras":
        with zipfile.ZipFile(path) as archive, archive.open("config.json") as file:
            return b"boxloss" in file.read(2**20)
    if path.suffix == ".npz":
        with zipfile.ZipFile(path) as archive:
            return "position.npy" in archive.namelist()
    return False


def _has_results(path):
    if path.is_symlink() or not path.is_file():
        return False
    content = json_of(path.read_text(encoding="utf-8"))
    return isinstance(content, list) and all(
        isinstance(row, dict) and "score" in row and "bbox" in row for row in content[:100]
    )


def _pictures(root):
    """The pictures that the page in `root` lists, and no others."""
    text = (root / "index.html").read_text(encoding="utf-8", errors="replace")
    found = re.search(re.escape(PAGE_DATA) + r"(.*?)</script>", text, re.DOTALL)
    try:
        content = json_of(found[1]) if found else {}
        listed = {
            "images": [image["picture"] for image in content["images"]],
            "crops": content["rows"]["picture"],
        }
    except (ValueError, KeyError, TypeError):
        return []
    names = [
        f"{folder}/{i}.jpg" for folder, flags in listed.items() for i, f in enumerate(flags) if f
    ]
    places = [name for name in ("images", "crops") if not (root / name).is_symlink()]
    return [
        name
        for name in names
        if name.split("/")[0] in places
        and (root / name).is_file()
        and not (root / name).is_symlink()
    ]
