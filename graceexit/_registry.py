"""
The ordered collection of items.

It is one dict, used by single operations only, each of which is atomic. So nothing here takes a
lock, and `register` may be called wherever Python runs: from any thread, from an item, from a
finalizer in the middle of another `register`, and while a signal lands.
"""

import _thread

from graceexit._items import Item

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar, overload

    from typing_extensions import Never, Self

    from graceexit._items import Greenlet, Joinable, Settable, Waitable
    from graceexit._report import Report
    from graceexit._runs import Runs

    F = TypeVar("F", bound=Callable[[], object])

MISSING: "Any" = type("MISSING", (), {"__repr__": lambda _: "..."})()


class Registry:
    """
    An ordered collection of things that must end, for a part of a program or for a test.

    The functions of the module work on the one that belongs to the process. A registry of your own
    runs when you call `run` or leave its `with` block, which raises nothing where an item failed;
    it has nothing to do with signals, with the end of the process or with forks.

    All methods are safe from any thread, and `register` and `unregister` also from items and
    finalizers. Only `run` waits.
    """

    __module__ = "graceexit"

    _attend: "Callable[[], object] | None" = None  # called after each registration
    # Its runs, made by the first: their locks have to be gevent's if gevent has patched by then.
    _ran: "Runs | None" = None

    def __init__(self) -> None:
        self._reset()

    def _reset(self) -> None:
        """Begin anew: empty, and with no run in progress."""
        self._items: dict[Item, bool] = {}
        self._late: dict[Item, int] = {}  # those registered during a run, with their generation
        self._sweep_at = 64  # the number of items at which ended threads are looked for
        vars(self).pop("_ran", None)

    def __len__(self) -> int:
        """Return how many items are waiting to be run."""
        return len(self._items)

    def __repr__(self) -> str:
        return f"<graceexit.Registry items={len(self)}>"

    def __enter__(self) -> "Self":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.run()

    if TYPE_CHECKING:

        @overload
        def register(
            self,
            thread: "Joinable | Waitable | Greenlet",
            /,
            *,
            stop: "Settable | Callable[[], object]",
            timeout: float | None = 5.0,
            order: int = 0,
            name: str | None = None,
        ) -> Item: ...

        @overload
        def register(
            self,
            callback: "Callable[[], object]",
            /,
            *,
            stop: None = None,
            timeout: float | None = 5.0,
            order: int = 0,
            name: str | None = None,
            each_process: bool = False,
        ) -> Item: ...

    def register(
        self,
        subject: "Joinable | Waitable | Greenlet | Callable[[], object]",
        /,
        *,
        stop: "Settable | Callable[[], object] | None" = None,
        timeout: float | None = 5.0,
        order: int = 0,
        name: str | None = None,
        each_process: bool = False,
    ) -> Item:
        """
        Stop a thread, or call a function, when the process exits.

        A thread is anything with `join(timeout)` and `is_alive()`: `threading.Thread`, `Timer`,
        `multiprocessing.Process`. A `subprocess.Popen` and a greenlet of gevent count as threads.
        It may be registered before it is started. One that has ended is forgotten.

        The threads of one `order` are told to stop all together, the last registered first, and
        then joined. After them its callbacks run one at a time, the last registered first. They run
        on a helper thread, and an `async def` by `asyncio.run`.

        The same thread or callback may be registered more than once. Safe from any thread, from
        items, from finalizers and signal handlers. What is registered while the items run is run
        with them, unless it has already run. What an exit function (`atexit`) registers may come
        too late. The first call installs handlers and hooks, as `install` does.

        Args:
            subject: The thread, or a callable without arguments (use `functools.partial`).
            stop: What tells the thread to stop: a callable, or an object with `set()`.
            timeout: Seconds that it may take, above zero; None for no limit. A thread's count from
                being told to stop. When they are over, the log names it, and it is left behind.
            order: Items run by ascending order. A negative order runs as soon as the main thread
                has ended, before other threads are waited for.
            name: Its name in the log and in reports.
            each_process: Whether a forked child runs the callback too.

        Returns:
            The item, which `unregister` takes.

        Raises:
            TypeError: An argument is of the wrong kind.
            ValueError: The timeout is not above zero, or GRACEEXIT_GRACE gives no seconds.
        """
        item = Item(subject, stop, timeout, order, name, each_process)
        if stop is not None and len(self._items) >= self._sweep_at:
            self._forget_ended()
        self._items[item] = True
        if self._ran is not None and (run := self._ran.now) is not None:
            inside = run.is_inside(_thread.get_ident())
            self._late[item] = max(run.plan.generation, 0) + 1 if inside else -1
        if (attend := self._attend) is not None:
            attend()
        return item

    if TYPE_CHECKING:

        @overload
        def on_exit(self, callback: F, /) -> F: ...

        @overload
        def on_exit(
            self,
            /,
            *,
            timeout: float | None = 5.0,
            order: int = 0,
            name: str | None = None,
            each_process: bool = False,
        ) -> Callable[[F], F]: ...

    def on_exit(
        self,
        callback: "Callable[[], object]" = MISSING,
        /,
        *arguments: "Never",
        timeout: float | None = 5.0,
        order: int = 0,
        name: str | None = None,
        each_process: bool = False,
        **others: "Never",
    ) -> "Any":
        """
        Call a function when the process exits. It is returned unchanged.

        Write `@on_exit` above it, or `@on_exit(timeout=2, order=1)`; the options are those of
        `register`. A method of an object that is there is given directly: `on_exit(pool.close)`.

        Raises:
            TypeError: As `register`.
            ValueError: As `register`.
        """

        def decorator(function: "Any") -> "Any":
            if arguments or others or not callable(function):
                from graceexit._refusals import callback_refused

                raise callback_refused(function, arguments, others)
            self.register(
                function, timeout=timeout, order=order, name=name, each_process=each_process
            )
            return function

        return decorator if callback is MISSING and not others else decorator(callback)

    def unregister(self, item: object, /) -> bool:
        """
        Forget *item*, so that it will not be run.

        Safe wherever `register` is. What has begun to run can no longer be forgotten.

        Args:
            item: What `register` has returned; or a thread or a callback, and then every
                registration of something equal to it is forgotten.

        Returns:
            Whether anything was still waiting to be run.

        Raises:
            TypeError: *item* could never have been registered.
        """
        if isinstance(item, Item):
            if self._late:
                self._late.pop(item, None)
            return self._items.pop(item, False)
        if not (callable(item) or any(hasattr(item, ask) for ask in ("is_alive", "poll", "dead"))):
            raise TypeError(f"expected an Item, a thread or a callback; got {item!r}")
        forgotten = [one for one in list(self._items) if one.is_for(item) and self.unregister(one)]
        return bool(forgotten)

    # What Python says of a wrong call speaks of what people have written.
    for _verb in (register, on_exit, unregister):
        _verb.__qualname__ = _verb.__name__
    del _verb

    def run(self) -> "Report":
        """
        Run every item now, in order, each with its timeout.

        Items that are registered meanwhile are run too. A second call, from another thread, waits
        for the first and finds nothing left; a call from inside an item returns at once. Afterwards
        the registry is empty and can be used again.

        If a signal raises SystemExit or KeyboardInterrupt meanwhile, you get it when the items have
        ended. A second one you get at once, like any other exception: then the items go on, and
        nobody waits for them.

        Returns:
            What has been run, and how it went.
        """
        return self._runs().complete()

    def _begin_anew(self, known: list[Item]) -> None:
        """Keep only what a forked child is to run too, of the items *known* as it was forked."""
        if self._ran is not None and self._ran.now is not None:
            self._items.clear()  # a run that was in progress in the parent finds nothing here
        self._reset()
        self._items.update((item, True) for item in known if item.each_process)

    def _runs(self) -> "Runs":
        """Return its runs."""
        if (runs := self._ran) is None:
            from graceexit._runs import Runs

            # A handler, or another thread, may come between: one of two is kept.
            runs = vars(self).setdefault("_ran", Runs(self._items, self._late))
        return runs

    def _forget_ended(self) -> None:
        """Drop the threads that are over, so that a million of short-lived ones do not pile up."""
        for item in list(self._items):
            if item.ended:
                self._items.pop(item, None)
        self._sweep_at = 2 * len(self._items) + 64
