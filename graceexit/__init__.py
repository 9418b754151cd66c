"""Clean up when your process exits, however it exits."""

from __future__ import annotations

from graceexit._items import Item
from graceexit._process import own
from graceexit._registry import Registry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    from graceexit._latch import Latch
    from graceexit._report import Report, Result

__all__ = [
    "Item",
    "Registry",
    "Report",
    "Result",
    "exiting",
    "install",
    "on_exit",
    "register",
    "shutdown",
    "uninstall",
    "unregister",
]

register: Final = own.registry.register
on_exit: Final = own.registry.on_exit
unregister: Final = own.registry.unregister
exiting: Final[Latch] = own.exiting
install: Final = own.install
uninstall: Final = own.uninstall
shutdown: Final = own.shutdown


def __getattr__(name: str) -> object:
    """Import what is needed at the exit only when somebody asks for it."""
    if name in ("Report", "Result"):
        from graceexit import _report

        return getattr(_report, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
