"""Print docs/api.md: every public name with its signature and its docstring."""

import ast
import re
from pathlib import Path

PACKAGE = Path(__file__).parent.parent / "graceexit"
FUNCTIONS = ["register", "on_exit", "unregister", "install", "uninstall", "hold", "shutdown"]
# What a class has for its users; the package itself calls more.
CLASSES = {
    "Latch": ("_latch", ["is_set", "wait"]),
    "Item": ("_items", ["kind", "name", "where"]),
    "Registry": ("_registry", ["register", "on_exit", "unregister", "run"]),
    "Report": ("_report", ["results", "ok", "summary"]),
    "Result": ("_report", []),
}
HEAD = """\
# API

<!-- `make api` writes this page from the docstrings; a test fails where it is out of date. -->

Everything is imported from `graceexit`. The functions work on the process that calls them.
`exiting` is a [`Latch`](#latch), and `__version__` a string.
"""
SECTION = re.compile(r"^(Args|Attributes|Returns|Raises):\n((?:    .*\n?|\n)+)", re.MULTILINE)
ENTRY = re.compile(r"^    (\w+): ", re.MULTILINE)
TITLES = {
    "Args": "",
    "Attributes": "Attributes:\n\n",
    "Returns": "Returns: ",
    "Raises": "Raises:\n\n",
}


def described(node: ast.FunctionDef | ast.ClassDef) -> str:
    """Return a docstring as Markdown."""

    def section(match: re.Match[str]) -> str:
        kind, text = match.groups()
        lines = "\n".join(line[4:] for line in ENTRY.sub(r"    * `\1`: ", text).split("\n"))
        return f"{TITLES[kind]}{lines}"

    return SECTION.sub(section, f"{ast.get_docstring(node)}\n").strip()


def signature(node: ast.FunctionDef, source: str) -> str:
    """Return the lines of a definition, up to its docstring."""
    lines = source.splitlines()[node.lineno - 1 : node.body[0].lineno - 1]
    return "\n".join(line[node.col_offset :] for line in lines).rstrip(":")


def part(title: str, nodes: list[ast.FunctionDef], source: str) -> str:
    """Return the part of the page about a function, or its overloads."""
    code = "\n\n".join(signature(node, source) for node in nodes)
    return f"{title}\n\n```py\n{code}\n```\n\n{described(nodes[-1])}\n"


def functions(body: list[ast.stmt]) -> dict[str, list[ast.FunctionDef]]:
    """Return the public functions of a module or a class, each with its overloads."""
    found: dict[str, list[ast.FunctionDef]] = {}
    for node in body:
        for one in node.body if isinstance(node, ast.If) else [node]:
            if isinstance(one, ast.FunctionDef) and not one.name.startswith("_"):
                found.setdefault(one.name, []).append(one)
    return found


def page() -> str:
    """Return the page."""
    parts = [HEAD]
    source = (PACKAGE / "__init__.pyi").read_text(encoding="utf-8")
    found = functions(ast.parse(source).body)
    parts += [part(f"## {name}", found[name], source) for name in FUNCTIONS]
    for name, (module, methods) in CLASSES.items():
        source = (PACKAGE / f"{module}.py").read_text(encoding="utf-8")
        tree = ast.parse(source)
        node = next(one for one in ast.walk(tree) if getattr(one, "name", "") == name)
        parts.append(f"## {name}\n\n{described(node)}\n")
        for method in methods:
            nodes = functions(node.body)[method]
            title = f"### {name}.{method}"
            if method in FUNCTIONS:
                parts.append(f"{title}\n\n[`{method}`](#{method}) for this registry.\n")
            elif nodes[0].decorator_list:
                parts.append(f"{title}\n\n{described(nodes[0])}\n")
            else:
                parts.append(part(title, nodes, source))
    return "\n".join(parts)


if __name__ == "__main__":
    print(page(), end="")
