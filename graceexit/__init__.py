"""Clean up when your process exits, however it exits."""

from graceexit._items import Item
from graceexit._process import own
from graceexit._registry import Registry

TYPE_CHECKING = False
if TYPE_CHECKING:
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

register = own.registry.register
on_exit = own.registry.on_exit
unregister = own.registry.unregister
exiting = own.exiting
install = own.install
uninstall = own.uninstall
shutdown = own.shutdown


def __getattr__(name: str) -> object:
    """Import what is needed at the exit only when somebody asks for it."""
    if name in ("Report", "Result"):
        from graceexit import _report

        return getattr(_report, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
