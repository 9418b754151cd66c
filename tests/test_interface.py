"""What people see of the package in help, in a completion, and where a call is wrong."""

import importlib.metadata
import inspect
import pydoc
import re
import threading

import pytest

import graceexit

A_SCREEN = 40  # lines


def signature(function):
    """Return a signature as it is called, without types."""
    found = inspect.signature(function)
    bare = [one.replace(annotation=one.empty) for one in found.parameters.values()]
    return str(found.replace(parameters=bare, return_annotation=found.empty))


def test_help_begins_with_the_rules_on_one_screen_and_then_register():
    """What most people look for comes before the first class."""
    lines = pydoc.render_doc(graceexit, renderer=pydoc.plaintext).splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith("    register("))
    assert lines[at].strip() == f"register{signature(graceexit.register)}"
    assert at < A_SCREEN
    for rule in ("SIGTERM", "timeout", "order", "helper thread", "fork"):
        assert rule in "\n".join(lines[:at])


def test_the_first_help_has_every_option_of_register():
    """With what it means; none is forgotten when one is added."""
    _, _, options = graceexit.__doc__.partition("\nregister(")
    described = re.findall(r"(?m)^    (\w+): ", options)
    assert described == list(inspect.signature(graceexit.register).parameters)


FUNCTIONS = ["hold", "install", "on_exit", "register", "shutdown", "uninstall", "unregister"]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_help_shows_a_function(name):
    """With its options by name, and a docstring."""
    function = getattr(graceexit, name)
    assert inspect.isroutine(function)
    assert function.__qualname__ == name
    shown = pydoc.render_doc(function, renderer=pydoc.plaintext)
    assert f"{name}(" in shown
    assert inspect.cleandoc(function.__doc__).splitlines()[0] in shown


def test_on_exit_has_the_options_of_a_callback():
    """They are named one by one, with their defaults."""
    options = {
        name: one.default
        for name, one in inspect.signature(graceexit.on_exit).parameters.items()
        if one.kind is one.KEYWORD_ONLY
    }
    assert options == {"timeout": 5.0, "order": 0, "name": None, "each_process": False}


def test_completion_offers_the_public_names_alone():
    """And `from graceexit import *` gives the same."""
    names = [name for name in dir(graceexit) if not name.startswith("__")]
    assert names == sorted(graceexit.__all__)
    assert all(hasattr(graceexit, name) for name in names)


WRONG_CALLS = [
    (lambda: graceexit.register(print, tiemout=2), "register() got an unexpected keyword"),
    (lambda: graceexit.register(print, 2), "register() takes 2 positional arguments but 3"),
    (lambda: graceexit.on_exit(tiemout=2), "on_exit() got an unexpected keyword"),
    (graceexit.unregister, "unregister() missing 1 required positional argument"),
    (lambda: graceexit.install(25), "install() takes 1 positional argument but 2 were given"),
    (lambda: graceexit.install(graze=25), "install() got an unexpected keyword argument"),
    (lambda: graceexit.uninstall(5), "uninstall() takes 1 positional argument but 2"),
    (lambda: graceexit.hold(5), "hold() takes 1 positional argument but 2 were given"),
    (lambda: graceexit.shutdown(5), "shutdown() takes 1 positional argument but 2 were given"),
    (lambda: graceexit.Registry().register(print, 2), "register() takes 2 positional"),
]


@pytest.mark.parametrize(("call", "said"), WRONG_CALLS, ids=range(len(WRONG_CALLS)))
def test_python_speaks_of_the_function_that_was_called(call, said):
    """Not of a method of a class that nobody has written."""
    with pytest.raises(TypeError, match=f"^{re.escape(said)}"):
        call()


def test_a_thread_without_stop_and_a_callback_with_it_are_refused():
    """As checkers do; tests/test_types.py has them."""
    with pytest.raises(TypeError, match="needs stop=, which tells it to end"):
        graceexit.register(threading.Thread(target=print))
    with pytest.raises(TypeError, match="stop= is for threads"):
        graceexit.register(print, stop=threading.Event())


def test_the_version_is_that_of_what_is_installed():
    """It is written in one place."""
    assert graceexit.__version__ == importlib.metadata.version("graceexit")
