# SPDX-License-Identifier: GPL-2.0
"""What the tests of the Python package have in common."""

import gc
import os
import subprocess
import sys
import textwrap
import unittest

import bitmem

MODELS = os.environ.get("BITMEM_MODELS", "")
ON_DEVICE = os.environ.get("BITMEM_BACKEND") == "device"
#: A child that hangs is a failure, not a limit of the machine.
LIMIT = 120


def models():
    """Real models, if there are any."""
    if not os.path.isdir(MODELS):
        return []
    return sorted(os.path.join(MODELS, name) for name in os.listdir(MODELS)
                  if name.endswith((".gguf", ".safetensors")))


def clean(source):
    return textwrap.dedent(source)


def python(source, *args, env=None, **options):
    """Runs a program of its own: its status, stdout and stderr."""
    done = subprocess.run([sys.executable, "-c", clean(source), *map(str, args)],
                          env={**os.environ, **(env or {})}, capture_output=True, text=True,
                          timeout=LIMIT, check=False, **options)
    return done.returncode, done.stdout, done.stderr


def resident():
    """Bytes of this process's memory."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class PoolCase(unittest.TestCase):
    """Each test has a pool, of which nothing is left in the end."""

    def setUp(self):
        self.pool = bitmem.open(segment_size=4 << 20)
        self.addCleanup(self.end)

    def end(self):
        # What a test's last exception still has in its frames.
        gc.collect()
        if not self.pool.closed:
            stats = self.pool.stats()
            self.pool.audit()
            self.pool.close()
            self.assertEqual((0, 0), (stats.live, stats.views))

    def live(self):
        stats = self.pool.stats()
        return stats.live + stats.views
