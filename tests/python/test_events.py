# SPDX-License-Identifier: GPL-2.0
"""What the module tells over netlink."""

import os
import selectors
import threading
import unittest

import bitmem
from bitmem import events
from support import LIMIT, ON_DEVICE, python


@unittest.skipIf(ON_DEVICE, "there is a module")
class Without(unittest.TestCase):
    @unittest.skipIf(os.path.exists("/dev/bitmem"), "there is a module")
    def test_no_module(self):
        with self.assertRaises(FileNotFoundError) as caught:
            events.Events()
        self.assertIn("bitmem", str(caught.exception))


@unittest.skipUnless(ON_DEVICE, "needs the module")
class Told(unittest.TestCase):
    LEAVE = """
        import bitmem, os
        tensor = bitmem.open().tensor(1 << 20, "U8")
        os._exit(0)
        """

    def wait(self, subscription, kind):
        """The first event of that kind."""
        with selectors.DefaultSelector() as selector:
            selector.register(subscription, selectors.EVENT_READ)
            while True:
                self.assertTrue(selector.select(LIMIT), f"no {kind!r}")
                for event in subscription.read():
                    if event.type == kind:
                        return event

    def test_a_file_closed_with_buffers(self):
        with events.Events(owners=True) as subscription:
            self.assertEqual([], subscription.read())
            self.assertEqual(0, python(self.LEAVE)[0])
            event = self.wait(subscription, events.EventType.RECLAIMED)
        self.assertGreaterEqual(event.bytes, 1 << 20)
        self.assertGreaterEqual(event.buffers, 1)
        self.assertEqual(os.getuid(), event.uid)

    def test_an_iterator(self):
        with events.Events() as subscription:
            python(self.LEAVE)
            event = next(e for e in subscription if e.type == events.EventType.RECLAIMED)
            # Not asked for.
            self.assertEqual((None, None, ""), (event.pid, event.uid, event.comm))

    def test_closed_while_another_thread_waits(self):
        for _ in range(20):
            subscription = events.Events()
            begun, ended = threading.Event(), []

            def wait():
                begun.set()
                try:
                    ended.extend(subscription)
                except bitmem.ClosedError:
                    pass    # it was closed before this thread came to wait
                ended.append("end")

            thread = threading.Thread(target=wait)
            thread.start()
            begun.wait(LIMIT)
            subscription.close()
            thread.join(LIMIT)
            self.assertEqual("end", ended[-1])

    def test_closed_while_a_selector_waits(self):
        subscription = events.Events()
        with selectors.DefaultSelector() as selector:
            selector.register(subscription, selectors.EVENT_READ)
            threading.Timer(0.1, subscription.close).start()
            self.assertTrue(selector.select(LIMIT))
            with self.assertRaises(bitmem.ClosedError):
                subscription.read()
            selector.unregister(subscription)

    def test_nothing_stays_open(self):
        events.Events().close()
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(10):
            events.Events().close()
            list(events.Events().read())
        self.assertEqual(before, len(os.listdir("/proc/self/fd")))

    def test_a_childs_close_is_not_the_parents(self):
        with events.Events() as subscription:
            pid = os.fork()
            if not pid:
                subscription.close()
                os._exit(0)
            self.assertEqual(0, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
            self.assertEqual(0, python(self.LEAVE)[0])
            self.wait(subscription, events.EventType.RECLAIMED)

    def test_use_after_close(self):
        subscription = events.Events()
        subscription.close()
        subscription.close()
        self.assertTrue(subscription.closed)
        for use in (subscription.read, subscription.fileno, subscription.__enter__,
                    lambda: next(iter(subscription))):
            with self.assertRaises(bitmem.ClosedError):
                use()
