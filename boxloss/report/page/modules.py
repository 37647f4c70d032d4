"""One script from the page's JavaScript modules.

The modules under assets/ are real ES modules, so that editors and TypeScript's checker follow every
name. A page that is opened from disk cannot load them: browsers refuse `import` from file: URLs,
and the policy allows one script by its hash. A bundler would do, but would make node a dependency
of writing a page. So the modules are joined here: each becomes a function that runs once, after
those it imports from, and returns its exports.

Only these forms are understood, each at the start of a line; any other import or export is an
error that names the file and the line, so that nothing is dropped in silence:

    import { a, b } from "./name.js";
    export const a = ...        export function b(...)        export class C

There is no `export let`: the importer gets the value that the name has when the module has run, so
an export that changes later would be read as it was. State that changes is an object.
"""

import re

IMPORT = re.compile(r'^import \{([^}]*)\} from "\./(\w+)\.js";$', re.MULTILINE)
EXPORT = re.compile(r"^export (?=(?:const|(?:async )?function\*?|class) ([\w$]+))", re.MULTILINE)
LEFT = re.compile(r"^\s*(?:import|export)\b.*", re.MULTILINE)


def join_modules(sources, main):
    """The text of one script that runs module `main` and all that it imports.

    sources: {name without .js: text}. ValueError for a form that is not understood, a module or a
    name that is not there, and modules that import each other in a circle.
    """
    done, order = {}, []
    _visit(main, sources, (), done, order)
    pieces = ['(() => {\n"use strict";', *(done[name][0] for name in order), "})();"]
    return "\n".join(pieces)


def _visit(name, sources, path, done, order):
    """Translate `name` after everything that it imports from; `path`: who is waiting for it."""
    if name in path:
        circle = " -> ".join(f"{each}.js" for each in (*path[path.index(name) :], name))
        raise ValueError(f"modules must not import each other in a circle. Received: {circle}")
    if name in done:
        return
    if name not in sources:
        raise ValueError(f"{path[-1]}.js: an import must name a module. Received: './{name}.js'")
    imports = [(source, _names(names)) for names, source in IMPORT.findall(sources[name])]
    for source, names in imports:
        _visit(source, sources, (*path, name), done, order)
        for wanted in names:
            if wanted not in done[source][1]:
                raise ValueError(
                    f"{name}.js: an imported name must be exported. "
                    f"Received: {wanted} from {source}.js"
                )
    done[name] = _translated(name, sources[name], imports)
    order.append(name)


def _translated(name, text, imports):
    """(the module as a function that returns its exports, the names of these)."""
    exports = EXPORT.findall(text)
    body = EXPORT.sub("", IMPORT.sub("", text))
    left = LEFT.search(body)
    if left:
        raise ValueError(
            f'{name}.js: a line must be `import {{ a }} from "./name.js";`, `export const`, '
            f"`export function`, `export class` or neither. Received: {left[0].strip()}"
        )
    taken = [f"const {{ {', '.join(names)} }} = {_variable(source)};" for source, names in imports]
    lines = [f"const {_variable(name)} = (() => {{", *taken, body.strip()]
    return "\n".join([*lines, f"return {{ {', '.join(exports)} }};", "})();"]), set(exports)


def _names(text):
    """The names between the braces; a comma may follow the last."""
    return [name.strip() for name in text.strip().rstrip(",").split(",") if name.strip()]


def _variable(name):
    """What holds a module's exports; `$` is first, so that no name in a module is like it."""
    return f"$module_{name}"
