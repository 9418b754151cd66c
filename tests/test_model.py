"""The registry against a plain list, driven at random."""

from __future__ import annotations

import threading

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    rule,
)

from graceexit import Registry

ORDERS = st.integers(-2, 2)


def rank(one):
    """Return the place of an entry of the model: by order, and threads before callbacks."""
    _, order, is_thread, _ = one
    return order, not is_thread


class RegistryMachine(RuleBasedStateMachine):
    """
    Whatever is registered, forgotten and run: both know the same items, and run them equally.

    The model is a list of (item, order, is a thread, label), in the order of registration; it is
    sorted when it is run, as the contract says: by order, threads before callbacks, last first.
    """

    items = Bundle("items")

    @initialize()
    def begin(self):
        """Begin with nothing."""
        self.registry = Registry()
        self.model = []
        self.ran = []
        self.flags = []
        self.count = 0

    def add(self, item, order, label, *, is_thread):
        """Enter an item into the model."""
        self.model.append((item, order, is_thread, label))
        return item

    def callback(self, label):
        """Return a callback that notes that it was run."""
        return lambda: self.ran.append(label)

    def label(self):
        """Return a new label."""
        self.count += 1
        return self.count

    @rule(target=items, order=ORDERS)
    def register_callback(self, order):
        """Register a callback."""
        label = self.label()
        item = self.registry.register(self.callback(label), order=order)
        return self.add(item, order, label, is_thread=False)

    @rule(target=items, order=ORDERS)
    def register_thread(self, order):
        """Register a thread; it notes that it was told to stop."""
        label = self.label()
        flag = threading.Event()
        self.flags.append(flag)
        thread = threading.Thread(target=flag.wait, args=[60], daemon=True)
        thread.start()

        def stop():
            self.ran.append(label)
            flag.set()

        item = self.registry.register(thread, stop=stop, order=order)
        return self.add(item, order, label, is_thread=True)

    @rule(target=items, item=items, order=ORDERS)
    def register_the_same_again(self, item, order):
        """Register the subject of an item once more, if that is a callback."""
        if item.stop is not None:
            return item
        subject = item.subject
        label = next((known[3] for known in self.model if known[0].subject is subject), None)
        if label is None:  # it has gone
            return item
        again = self.registry.register(subject, order=order)
        return self.add(again, order, label, is_thread=False)

    @rule(item=consumes(items))
    def unregister_an_item(self, item):
        """Forget one registration."""
        known = [one for one in self.model if one[0] is item]
        assert self.registry.unregister(item) is bool(known)
        self.model = [one for one in self.model if one[0] is not item]

    @rule(item=items)
    def unregister_a_subject(self, item):
        """Forget every registration of a subject."""
        known = [one for one in self.model if one[0].subject is item.subject]
        assert self.registry.unregister(item.subject) is bool(known)
        self.model = [one for one in self.model if one[0].subject is not item.subject]

    @rule(order=ORDERS, nested=ORDERS)
    def run_an_item_that_registers_another(self, order, nested):
        """Run everything; what is registered meanwhile runs in the same run, in its place."""
        inner, outer = self.label(), self.label()

        def register():
            self.ran.append(outer)
            self.registry.register(self.callback(inner), order=nested)

        item = self.registry.register(register, order=order)
        self.add(item, order, outer, is_thread=False)
        expected = self.in_order()
        # The new one goes in front of the first of those left that does not rank lower.
        at = next(place for place, one in enumerate(expected) if one[0] is item) + 1
        while at < len(expected) and rank(expected[at]) < (nested, True):
            at += 1
        expected.insert(at, (None, nested, False, inner))
        self.run(expected)

    @rule()
    def run_all(self):
        """Run everything, in the order of the contract."""
        self.run(self.in_order())

    def in_order(self):
        """Return the model in the order in which it is to be run."""
        last_first = self.model[::-1]
        return sorted(last_first, key=rank)

    def run(self, expected):
        """Run everything and compare."""
        report = self.registry.run()
        assert report.ok
        assert self.ran == [label for *_, label in expected]
        assert len(report.results) == len(expected)
        self.model, self.ran = [], []

    @invariant()
    def both_know_the_same(self):
        """Compare what is waiting."""
        assert list(self.registry._items) == [item for item, *_ in self.model]
        assert len(self.registry) == len(self.model)

    def teardown(self):
        """Let the threads end."""
        for flag in self.flags:
            flag.set()


TestRegistry = RegistryMachine.TestCase
TestRegistry.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
