"""The page's JavaScript modules joined into one script."""

import importlib.resources
import re
import shutil
import subprocess

import pytest

from boxloss.report.page.modules import join_modules

COUNTER = (
    "export const state = { n: 1 };\nexport function more() {\n  state.n += 2;\n}\nconst own = 5;\n"
)
MAIN = (
    'import { more, state } from "./counter.js";\nimport {\n  twice,\n} from "./twice.js";\n'
    "const own = 7;\nmore();\nconsole.log(state.n, twice(own));\n"
)
TWICE = 'import { state } from "./counter.js";\nexport const twice = (x) => x * 2 * state.n;\n'


def test_modules_run_once_after_what_they_import_and_share_no_names():
    script = join_modules({"main": MAIN, "counter": COUNTER, "twice": TWICE}, "main")
    node = shutil.which("node")
    if node is None:
        pytest.skip("no node here to run the script")
    printed = subprocess.run([node, "-e", script], check=True, capture_output=True, text=True)
    assert printed.stdout.split() == ["3", "42"]


def test_a_module_comes_after_those_it_imports_and_unused_ones_do_not_come():
    sources = {"main": MAIN, "counter": COUNTER, "twice": TWICE, "other": "boom();"}
    script = join_modules(sources, "main")
    places = [script.index(f"const $module_{name} =") for name in ("counter", "twice", "main")]
    assert places == sorted(places) and "boom" not in script
    assert not re.search(r"^\s*(import|export)\b", script, re.MULTILINE)


REFUSED = {
    "export default 3;": "main.js: a line must be .* Received: export default 3;",
    "export let n = 1;": "Received: export let n = 1;",
    "export { a };": "Received: export { a };",
    "export const { a } = b;": "Received: export const { a } = b;",
    'import * as a from "./a.js";': "Received: import \\* as a",
    'import "./a.js";': 'Received: import "./a.js";',
    'import { a } from "package";': 'Received: import { a } from "package";',
    'const a = 1;\n  import("./a.js");': 'Received: import\\("./a.js"\\);',
    'import { a as b } from "./a.js";': "must be exported. Received: a as b from a.js",
    'import { c } from "./a.js";': "main.js: an imported name .* Received: c from a.js",
    'import { a } from "./b.js";': "main.js: an import must name a module. Received: './b.js'",
    'import { d } from "./round.js";': "in a circle. Received: main.js -> round.js -> main.js",
}


@pytest.mark.parametrize("text", REFUSED)
def test_other_forms_are_refused_by_file_and_line(text):
    sources = {
        "main": f"const x = 1;\n{text}\n",
        "a": "export const a = 1;\n",
        "round": 'import { x } from "./main.js";\nexport const d = 1;\n',
    }
    with pytest.raises(ValueError, match=REFUSED[text]):
        join_modules(sources, "main")


def test_every_module_is_checked_and_its_lines_are_short():
    modules = importlib.resources.files("boxloss.report.page") / "assets"
    files = [file for file in modules.iterdir() if file.name.endswith(".js")]
    assert len(files) > 15
    for file in files:
        lines = file.read_text("utf-8").splitlines()
        assert lines[0] == "// @ts-check", file.name
        assert max(map(len, lines)) <= 100, file.name
