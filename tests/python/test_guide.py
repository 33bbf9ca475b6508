# SPDX-License-Identifier: GPL-2.0
"""docs/python.md: each of its programs runs, and prints what stands beside it."""

import os
import re
import tempfile
import unittest

from support import python
from test_model import safetensors

GUIDE = os.environ["BITMEM_GUIDE"]


def programs():
    with open(GUIDE, encoding="utf-8") as file:
        return re.findall(r"^```python\n(.*?)^```$", file.read(), re.M | re.S)


def promises(source):
    """What the comments at the ends of print()s say."""
    return re.findall(r"^ *print\(.*\) +# (.*)$", source, re.M)


class Guide(unittest.TestCase):
    def test_programs(self):
        self.assertGreater(len(programs()), 5)
        with tempfile.TemporaryDirectory() as directory:
            with open(os.path.join(directory, "model.safetensors"), "wb") as file:
                file.write(safetensors({"w": ("F32", [2, 3], bytes(24)),
                                        "b": ("BF16", [3], bytes(6))}))
            for source in programs():
                with self.subTest(program=source.splitlines()[0]):
                    status, stdout, stderr = python(source, cwd=directory)
                    self.assertEqual("", stderr)
                    self.assertEqual(0, status)
                    self.assertEqual(promises(source), stdout.splitlines())

    def test_some_promise_something(self):
        self.assertGreater(sum(map(len, map(promises, programs()))), 10)
