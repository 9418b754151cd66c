"""Clean up when your process exits."""

from graceexit._items import Item
from graceexit._latch import Latch
from graceexit._process import own
from graceexit._registry import Registry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final as _Final

    from graceexit._report import Report, Result
else:
    _Final = object  # a module's annotations are evaluated, and typing is not imported for that

__version__ = "0.1.0"

__all__ = [
    "Item",
    "Latch",
    "Registry",
    "Report",
    "Result",
    "exiting",
    "hold",
    "install",
    "on_exit",
    "register",
    "shutdown",
    "uninstall",
    "unregister",
]

register: _Final = own.registry.register
on_exit: _Final = own.registry.on_exit
unregister: _Final = own.registry.unregister
exiting: Latch = own.exiting
hold: _Final = own.hold
install: _Final = own.install
uninstall: _Final = own.uninstall
shutdown: _Final = own.shutdown


def __dir__() -> list[str]:
    """Return the names, with those that are not imported yet."""
    return sorted({*globals(), *__all__})


def __getattr__(name: str) -> object:
    """Import what is needed at the exit only when somebody asks for it."""
    if name in ("Report", "Result"):
        from graceexit import _report

        return getattr(_report, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
