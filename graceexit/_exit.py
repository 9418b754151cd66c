"""
How a process ends: one SIGTERM, from the handler to the death.

    phase     the main thread: `Exit`              the ender, a thread of its own: `Ender`
    SERVING   end_by: notes the signal, starts
              the ender, and unwinds
    WAITING   unwinds; hook: "I have ended";       waits for the main thread, runs the items of
              runs the hooks of others, joins      negative order, waits for those hooks, for the
              the other threads; joined: waits     other threads and for the jobs of pools
    RUNNING   is in that join, or waits            runs the rest
    LEAVING   leaves the join; at_exit: runs the   closes what was held open; sees to it that the
              exit functions, and dies             main thread gets there, and that it takes no
                                                   longer than it may

The phase is RUNNING as well while the items of negative order run, and WAITING again after that.

A process that ends by itself begins with the hook. The hook and the exit function run on the main
thread, where somebody's handler may raise between any two instructions; so there are two steps,
`_begin` before the join and `_complete` after it, which may be done again, and what the hook does
not come to do the exit function does.

The main thread waits for the ender where Python has joined the other threads. Not done, because it
hangs on 3.15: to mark a stuck thread as joined. Python up to 3.12 keeps a set of the locks that it
is going to wait for, and the hook takes the registered threads out of it: where no thread can be
started (3.12.1 after the main thread's end, a process limit) the main thread does what the ender
would do, after the join, for a thread may wait until the main thread is no longer alive.
"""

import atexit
import os
import sys
import threading
from signal import SIGINT
from time import sleep

from graceexit import _cpython, _signals
from graceexit._ender import EXITING, JOINED, LEAVING, SERVING, WAITING, Ender, Leave, die
from graceexit._items import NEVER
from graceexit._latch import Latch, insist, is_memory_short, start_thread, within
from graceexit._report import listed
from graceexit._story import named, running

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from graceexit._hold import Hold
    from graceexit._registry import Registry

GOING = 1.0  # seconds for the ender to end before Python finalizes
ALL = sys.float_info.max  # above every order
SAYING = 3.0  # seconds to say what a person who wants out does not wait for
STILL = 1.0  # seconds after which a KeyboardInterrupt that is still being handled is the end


class Exit:
    """The main thread's part in the end of one process; a forked child has another one."""

    def __init__(
        self,
        ender: Ender,
        registry: "Registry",
        exiting: Latch,
        handlers: _signals.Handlers,
        holding: "Callable[[], Hold | None]",
    ) -> None:
        self.ender = ender
        self._holding = holding  # what `hold` has returned, if it has been called
        ender.unwinding.takes = self._takes
        self.limits = ender.limits
        self.story = ender.story
        self._registry = registry
        self._exiting = exiting
        self._handlers = handlers
        self._pressed = 0.0  # when the last Ctrl-C came that counted
        self._has_answered = False  # a person who has pressed Ctrl-C while others were waited for
        self._dying = False  # the process is about to send itself a signal that kills it

    # SERVING: the handlers. They run on the main thread, between any two instructions of it.

    def notice(self, signum: int, since: float | None = None) -> None:
        """Note that the end has been asked for, now or *since* then, whoever sees to it."""
        if self._exiting.signum is None:
            self._exiting.signum = signum
            self._exiting.set()
            self.story.note("noticed")
            if self.limits.grace is not None:
                self.limits.begin(since)
                self.ender.start()

    def _takes(self, signum: int) -> bool:
        """Return whether the main thread has something in hand, and unwinds when it has not."""
        holding = self._holding()
        return holding is not None and holding.takes(signum, self.unwind_by)

    def end_by(self, signum: int, frame: "FrameType | None") -> None:
        """End the process by *signum*, of which nobody else takes care: it is unwound first."""
        if self._dying:  # what it would do is being done
            return
        ender = self.ender
        first = ender.signum is None
        if first:
            self.limits.ask()
            ender.signum = signum
        has_ender = ender.start()
        # A hook that raises would skip the others. Python handles there what came between the
        # program's end and the first line of its own.
        if not (ender.reached or _cpython.is_shutting_down(frame)):
            if first and not self._takes(signum):
                ender.unwinding.begin(signum, frame)
        elif not has_ender and _cpython.is_in_join(frame):  # nobody else makes this thread leave it
            _cpython.hide(Leave)
            ender.phase = LEAVING
            ender.leave(signum, frame, None)

    def unwind_by(
        self, signum: int, frame: "FrameType | None", error: BaseException | None
    ) -> None:
        """Unwind the main thread now, which had something in hand when *signum* came."""
        # What is raised now takes its place; that a generator is closed is no failure.
        if isinstance(error, Exception) and not _cpython.is_under_way():
            self.story.failed(error, "what was in hand")
        if signum == SIGINT != self.ender.signum:
            self.ender.unwinding.interrupt()
        else:
            self.ender.unwinding.begin(signum, frame, here=True)

    def press(self, signum: int) -> bool:
        """Note Ctrl-C; return whether it is held, or Python's own handler is to be called."""
        if held := self._takes(signum):
            self.limits.ask()
            self.notice(signum)
            self.ender.start()
        elif self.limits.grace is not None and self._exiting.signum is None:
            since = self.limits.clock()

            def look() -> None:
                while self.limits.clock() < since + STILL:
                    sleep(_cpython.LOOKS)
                    if not _cpython.is_interrupted(threading.main_thread().ident):
                        return  # a program, such as a notebook, may go on after it
                self.notice(signum, since)

            start_thread(look)
        return held

    # WAITING: the hook, on the main thread, before the hooks of others and the join.

    def hook(self) -> None:
        """
        Begin the exit.

        It does not wait. An error would skip the hooks of others, so it is done again.
        """
        try:
            self._begin()
        except BaseException as error:  # perhaps somebody's handler
            self._begin()
            self.story.failed(error, "the exit itself")

    def _begin(self) -> None:
        """Begin the exit: the main thread's code is over. To be called again does no harm."""
        ender = self.ender
        if not ender.reached:
            self._pressed = self.limits.clock()  # by Ctrl-C, perhaps
            if _cpython.is_ended_by_ctrl_c():
                self.notice(int(SIGINT))
        if self._exiting.signum is not None or _cpython.in_child():
            self.limits.ask()
        self._exiting.set()
        self.limits.begin()
        self._registry._attend = ender.start
        ender.unwinding.end()
        ender.unwinding.let_go()
        if ender.phase == SERVING and ender.has_work():
            ender.phase = WAITING
        self._handlers.take_over(self.interrupt, ender.leave)
        ender.main_ends(self._hooks_over)
        if not ender.started:
            self._run_here()

    def _hooks_over(self) -> None:
        """Note that the hooks of others have run, and go on without an ender that cannot begin."""
        self.ender.hooks_over.set()
        # To ask for it in any case would cost two switches of threads on the way to the items.
        if is_memory_short() and not insist(self.ender.has_begun):
            self.ender.executors.release()
            insist(self._run_here)

    def _run_here(self) -> None:
        """Run what has to end before Python joins the threads, where none can be started."""
        ender = self.ender
        if ender.has_work():
            self.story.begin(len(self._registry))
            # From 3.13 on the registered threads must end before the join.
            ender.run(before=0 if hasattr(threading, "_shutdown_locks") else ALL)
            ender.phase = WAITING

    def joined(self) -> None:
        """Complete the exit, on the main thread; Python has joined the other ones."""
        ender = self.ender
        ender.hooks_over.set()
        ender.reach(JOINED)
        insist(self._complete)

    def _complete(self) -> None:
        """Do what the hook and the ender have not done. To be called again does no harm."""
        ender = self.ender
        if ender.started:
            ender.over.wait()
        elif (ender.has_work() or ender.runs.now) and not ender.over.is_set():
            ender.run_all()
            ender.close()
        if ender.runs.have_more() or ender.runs.now:
            ender.run()  # some left, or a run that goes on

    # LEAVING: the join, and the exit function.

    def at_exit(self) -> None:
        """Wait for the ender, run what is left, and die of the signal if it was ours."""
        ender = self.ender
        if ender.reached == EXITING:  # this function is one of those that run now
            return
        if not ender.reached:  # nobody has called the hook
            insist(self._begin)
        self.joined()
        ender.reach(EXITING)
        if ender.signum is None:
            if ender.started and not ender.runs.left:
                # Up to 3.13 Python ends a thread that comes back later: then glibc loads a library.
                ender.gone.wait(GOING)
            self._handlers.uninstall()
        if ender.signum is not None:  # it may have come at this moment
            try:
                atexit._run_exitfuncs()
            finally:
                ender.finished.set()
                die(self.story, ender.signum)
        if _cpython.is_ended_by_ctrl_c():
            _cpython.die_of_ctrl_c_all_the_same()

    def run_before_death(self, signum: int) -> None:
        """Run the items: the main thread is about to send itself a signal that kills it."""
        self.notice(signum)
        self._pressed = self.limits.clock()
        # A second one must not kill half way.
        self._dying = True
        taken = self._handlers.take_over(self.interrupt, self.ender.leave)
        try:
            self.story.begin(len(self._registry))
            self.story.end(self.ender.run())
            if _cpython.in_child():
                self.ender.executors.release(dying=True)
            self.story.last_words()
            self.ender.runs.let_go()
        finally:
            self._handlers.give_back(taken)
            self._dying = False
            self.ender.phase = SERVING

    # What may come in between: Ctrl-C, and `uninstall`.

    def interrupt(self, signum: int, frame: "FrameType | None", layer: _signals.Layer) -> None:
        """Take Ctrl-C for a signal while others are waited for; else a person wants out."""
        now, phase = self.limits.clock(), self.ender.phase
        if phase == SERVING and callable(layer.previous):  # there is nothing to be run
            layer.previous(signum, frame)
        elif phase == WAITING and not self._has_answered and self._exiting.signum != SIGINT:
            self._has_answered = True
            self.ender.answer_at = now + _cpython.LOOKS
            self._pressed = now
            self.notice(signum)
            self.end_by(signum, frame)
        elif now - self._pressed >= _signals.SAME_PRESS:
            self._pressed = NEVER
            try:  # names are anybody's code
                within(SAYING, lambda: self._say_what_is_left(frame))
            finally:
                _signals.die(signum)

    def _say_what_is_left(self, frame: "FrameType | None") -> None:
        """Say what a person who wants out does not wait for; *frame* is that of the main thread."""
        if self.ender.phase == WAITING:
            names = list(map(named, self.ender.others()))
        else:
            names = running(self.ender.runs.now, frame)
        again = " again" if self._has_answered or self._exiting.signum == SIGINT else ""
        said = f"Ctrl-C{again}: ended at once; still running: {', '.join(names) or 'nothing'}"
        if items := list(self.ender.runs.items):
            said += f"; not run: {listed(items, careful=True)}"
        self.story.last_words(f"graceexit[{os.getpid()}]: {said}\n")
