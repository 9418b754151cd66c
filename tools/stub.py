"""
Print graceexit/__init__.pyi, from which checkers and editors know the functions of the package.

When it runs they are methods of the process and of its registry, for a function that calls a method
would cost time. An editor would show them as variables, without their options. So the stub has a
function for each of them, with the overloads and the docstring of the method.
"""

import ast
import textwrap
from pathlib import Path

PACKAGE = Path(__file__).parent.parent / "graceexit"
METHODS = {
    "_registry": ("register", "on_exit", "unregister"),
    "_process": ("install", "uninstall", "hold", "shutdown"),
}
HEAD = """\
# Written by `make stub`: the functions of __init__.py as checkers and editors are to see them.
from collections.abc import Callable, Iterable
from os import PathLike
from types import EllipsisType
from typing import Final, TypeVar, overload

from graceexit._hold import Hold
from graceexit._items import Greenlet, Joinable, Settable, Waitable
from graceexit._items import Item as Item
from graceexit._latch import Latch as Latch
from graceexit._registry import Registry as Registry
from graceexit._report import Report as Report
from graceexit._report import Result as Result

_F = TypeVar("_F", bound=Callable[[], object])

__version__: Final[str]
exiting: Final[Latch]
"""


class Annotation(ast.NodeTransformer):
    """Writes an annotation as a stub has it: without quotes, by the names that `HEAD` imports."""

    def visit_Constant(self, node: ast.Constant) -> ast.expr:
        """Take the quotes away."""
        if not isinstance(node.value, str):
            return node
        return self.visit(ast.parse(node.value, mode="eval").body)

    def visit_Name(self, node: ast.Name) -> ast.Name:
        """Hide the type variable."""
        return ast.Name("_F") if node.id == "F" else node

    def visit_Attribute(self, node: ast.Attribute) -> ast.Name:
        """Leave the module out."""
        return ast.Name(node.attr)


def tree_of(module: str) -> ast.Module:
    """Return what *module* says."""
    return ast.parse((PACKAGE / f"{module}.py").read_text(encoding="utf-8"))


def functions(tree: ast.Module, name: str) -> list[ast.FunctionDef]:
    """Return the method *name* as a function, or as several if it has overloads."""
    found = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    method, *overloads = (node for node in found if node.name == name)
    doc = textwrap.indent(ast.get_docstring(method) or "", "    ")
    for node in (stubs := overloads or [method]):
        arguments = node.args
        (arguments.posonlyargs or arguments.args).pop(0)  # self
        for argument in [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]:
            argument.annotation = Annotation().visit(argument.annotation)
        node.returns = Annotation().visit(node.returns)
        node.body = [ast.Expr(ast.Constant(f"\n{doc}\n    "))]
    return stubs


def stub() -> str:
    """Return the stub; `ruff format` lays it out."""
    names = next(
        node
        for node in tree_of("__init__").body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
    )
    parts = [HEAD, ast.unparse(names)]
    for module, methods in METHODS.items():
        parts += [ast.unparse(one) for name in methods for one in functions(tree_of(module), name)]
    return "\n".join(parts)


if __name__ == "__main__":
    print(stub())
