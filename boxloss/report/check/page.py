"""The page of a check: one HTML file with charts as SVG and pictures as data, and no script."""

import base64
import hashlib
import html
import math

import numpy as np

from boxloss.datasets import read_image
from boxloss.datasets.images import opencv
from boxloss.evaluation.row import SIZES
from boxloss.files import counted, one_line, write_atomically
from boxloss.report.check import charts
from boxloss.report.drawing import Canvas, class_colour
from boxloss.report.pictures import spread

PICTURES = 16
PICTURE_PIXELS = 480  # longest side of a picture in the page
STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --soft: #57606a; --line: #d0d7de;
  --back: #ffffff; --card: #f6f8fa; --blue: #2563b0; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --soft: #9da7b1; --line: #444c56;
  --back: #14181d; --card: #1c2128; --blue: #6cb2ff; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 90rem; background: var(--back);
  color: var(--ink); font: 16px/1.45 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.4rem; margin: 0; } h2 { font-size: 1.1rem; margin: 1.6rem 0 .5rem; }
p { margin: .2rem 0; color: var(--soft); }
.grid { stroke: var(--line); } .tick, .axis { fill: var(--soft); font-size: 15px; }
.bar { fill: var(--blue); } .heat { fill: var(--blue); }
.point { fill: var(--blue); fill-opacity: .35; }
.cards { display: grid; gap: 1rem;
  grid-template-columns: repeat(auto-fill, minmax(min(17rem, 100%), 1fr)); }
figure { margin: 0; padding: .6rem; background: var(--card); border: 1px solid var(--line);
  border-radius: 6px; }
figcaption { font-size: .9rem; margin-bottom: .3rem; }
svg, img { display: block; width: 100%; height: auto; }
.table { overflow-x: auto; }
table { border-collapse: collapse; } th, td { padding: .2rem .8rem; text-align: right;
  border-bottom: 1px solid var(--line); font-variant-numeric: tabular-nums; }
th, td { overflow-wrap: normal; }
th:first-child, td:first-child { text-align: left; min-width: 6rem; max-width: 24rem; }
td:first-child { overflow-wrap: anywhere; }
li { margin: .3rem 0; } code { font-size: .85rem; color: var(--soft); display: block; }
"""


def write_check_page(dataset, summary, path, told=()):
    """Write the page of a DataSet and its `summarise` to the file `path`.

    told: lines about the pairing of detections.
    """
    body = _body(dataset, summary, told)
    digest = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; "
        "form-action 'none'"
    )
    page = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{html.escape(policy)}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Check of {_text(dataset.root)}</title><style>{STYLE}</style></head>"
        f"<body><main>{body}</main></body></html>\n"
    )
    with write_atomically(path) as temporary:
        temporary.write_bytes(page.encode("utf-8", "xmlcharrefreplace"))


def _text(text):
    return html.escape(one_line(text), quote=True)


def _body(dataset, summary, told):
    dropped = [f"{counted(n, what)} dropped" for what, n in summary["dropped"].items() if n]
    dropped += [f"{counted(summary['clipped'], 'boxes')} clipped"] if summary["clipped"] else []
    head = (
        f"{counted(summary['images'], 'images')}, {counted(summary['boxes'], 'boxes')}, "
        f"{counted(len(summary['classes']), 'classes')}"
    )
    parts = [f"<h1>{_text(dataset.root)}</h1><p>{head}</p>"]
    parts += [f"<p>{', '.join(dropped)}</p>" if dropped else "<p>Nothing was dropped.</p>"]
    parts += [f"<p>{_text(line)}</p>" for line in told]
    parts += ["<h2>Boxes per class and size</h2>", _class_table(summary["classes"])]
    parts += [_list("What was dropped or clipped, and why", _problems(summary))]
    parts += [_list("Odd images and boxes", _odd(summary))]
    parts += ["<h2>Shapes and places of the boxes</h2>", '<div class="cards">']
    parts += [_figure(*chart) for chart in _charts(dataset)]
    parts += ["</div><h2>Images with their boxes</h2>", '<div class="cards">']
    parts += [_picture(record, dataset.class_names) for record in spread(dataset.records, PICTURES)]
    return "".join([*parts, "</div>"])


def _class_table(classes):
    head = "".join(f"<th scope=col>{word}</th>" for word in ("class", "boxes", *SIZES, "images"))
    order = sorted(classes.items(), key=lambda pair: -pair[1]["boxes"])
    rows = [
        f"<tr><td>{_text(name)}</td>"
        + "".join(f"<td>{count[key]}</td>" for key in ("boxes", *SIZES, "images"))
        + "</tr>"
        for name, count in order[:200]
    ]
    more = f"<p>and {len(order) - 200} classes more</p>" if len(order) > 200 else ""
    return f'<div class="table"><table><tr>{head}</tr>{"".join(rows)}</table></div>{more}'


def _problems(summary):
    for entry in summary["problems"]:
        yield f"{entry['count']} {entry['action']}: must {entry['rule']}", entry["examples"]


def _odd(summary):
    for what, found in {**summary["odd_images"], **summary["odd_boxes"]}.items():
        yield f"{found['count']} {what}", found["examples"]


def _list(title, entries):
    items = [
        f"<li>{_text(line)}" + "".join(f"<code>{_text(e)}</code>" for e in examples) + "</li>"
        for line, examples in entries
    ]
    return f"<h2>{title}</h2><ul>{''.join(items)}</ul>" if items else ""


def _figure(caption, svg):
    return f"<figure><figcaption>{_text(caption)}</figcaption>{svg}</figure>"


def _charts(dataset):
    """(caption, SVG) of each chart."""
    records = dataset.records
    counts = np.array([len(record) for record in records])
    boxes = np.concatenate([np.zeros((0, 4)), *(record.boxes for record in records)])
    size = np.array([[r.width, r.height] for r in records], "float64").reshape(-1, 2)
    size = size[np.repeat(np.arange(len(records)), counts)]  # of each box's image
    sides = boxes[:, 2:] - boxes[:, :2]
    share, centre = sides / size, (boxes[:, :2] + boxes[:, 2:]) / 2 / size
    caption = "Label sizes: width and height of each box, in shares of its image"
    yield caption, charts.scatter(share[:, 0], share[:, 1], "width", "height", caption)
    values, edges = np.histogram(np.sqrt(sides.prod(axis=1)), bins=30)
    caption = "Sizes in pixels: square root of the area"
    yield caption, charts.bars(values, edges, "pixels", "boxes", caption)
    ratio = np.clip(np.log2(sides[:, 0] / np.maximum(sides[:, 1], 1e-9)), -4, 4)
    values, edges = np.histogram(ratio, bins=32, range=(-4, 4))
    ticks = [((k + 4) / 8, f"{2**k}:1" if k >= 0 else f"1:{2**-k}") for k in range(-4, 5, 2)]
    caption = "Aspect: width to height"
    yield caption, charts.bars(values, 2.0**edges, "width : height", "boxes", caption, ticks)
    grid = np.histogram2d(centre[:, 1], centre[:, 0], bins=(24, 32), range=((0, 1), (0, 1)))[0]
    caption = "Places of the centres: the stronger the colour, the more boxes"
    yield caption, charts.heat(grid.astype("int64"), caption)
    most = int(counts.max(initial=0))
    step = max(1, math.ceil((most + 1) / 40))
    edges = np.arange(0, most + step + 1, step)
    values = np.histogram(counts, bins=edges)[0]
    caption = "Boxes per image"
    yield caption, charts.bars(values, edges, "boxes", "images", caption)


def _picture(record, class_names):
    """A figure with the image and its boxes, or with why there is none."""
    caption = f"{record.file_name}: {len(record)} {'box' if len(record) == 1 else 'boxes'}"
    try:
        image = read_image(record.path)
    except (ValueError, OSError) as error:
        return _figure(f"{caption}; {error}", "")
    cv2 = opencv()
    # Smaller ones are enlarged by a whole number, so that lines and letters stay sharp.
    scale = min(1.0, PICTURE_PIXELS / max(image.shape[:2]))
    canvas = Canvas(image, PICTURE_PIXELS, scale if scale < 1 else None)
    texts = [class_names[label] for label in record.labels]
    canvas.boxes(record.boxes, texts, [class_colour(label) for label in record.labels])
    image = canvas.image[..., ::-1]
    good, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 80])
    encoded = base64.b64encode(data.tobytes() if good else b"").decode()
    alt = _text(caption)
    return _figure(caption, f'<img alt="{alt}" src="data:image/jpeg;base64,{encoded}">')
