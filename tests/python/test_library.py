# SPDX-License-Identifier: GPL-2.0
"""Which library is taken, what is said of one that is not right, and that both mean the same."""

import ctypes
import ctypes.util
import inspect
import os
import re
import shutil
import subprocess
import tempfile
import unittest

import bitmem
from bitmem import _functions, _structs
from support import python

PACKAGE = os.path.dirname(bitmem.__file__)
#: The repository, where the tests run in it.
REPOSITORY = os.environ.get("BITMEM_REPOSITORY", "")


class Import(unittest.TestCase):
    def refused(self, library, env=None):
        status, _, stderr = python("import bitmem", env={"BITMEM_LIBRARY": library, **(env or {})})
        self.assertEqual(1, status)
        last = stderr.splitlines()[-1]
        self.assertRegex(last, "^ImportError: bitmem")
        return last

    def changed(self, name, old, new):
        """A package that is the same but for something."""
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        shutil.copytree(PACKAGE, os.path.join(directory.name, "bitmem"))
        path = os.path.join(directory.name, "bitmem", name)
        with open(path, encoding="utf-8") as file:
            text = file.read()
        self.assertIn(old, text)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text.replace(old, new))
        return {"PYTHONPATH": directory.name}

    def test_no_library(self):
        self.assertIn("/nonexistent/libbitmem.so.1", self.refused("/nonexistent/libbitmem.so.1"))
        with tempfile.TemporaryDirectory() as empty:
            last = self.refused(empty)
        self.assertIn(os.path.join(empty, "libbitmem.so.1"), last)
        self.assertIn("BITMEM_LIBRARY", last)

    def test_the_dynamic_linkers(self):
        directory = os.environ["BITMEM_LIBRARY"]
        done = python("import bitmem; print(bitmem.library_version)",
                      env={"BITMEM_LIBRARY": "", "LD_LIBRARY_PATH": directory})
        self.assertEqual((0, bitmem.library_version + "\n", ""), done)
        if python("import ctypes; ctypes.CDLL('libbitmem.so.1')", env={"LD_LIBRARY_PATH": ""})[0]:
            self.assertIn("libbitmem.so.1", self.refused("", {"LD_LIBRARY_PATH": ""}))

    def test_the_path_of_the_file(self):
        path = os.path.join(os.environ["BITMEM_LIBRARY"], "libbitmem.so.1")
        done = python("import bitmem, bitmem.events; print(bitmem.events.lib.path)",
                      env={"BITMEM_LIBRARY": path})
        self.assertEqual((0, os.path.join(os.path.dirname(path), "libbitmem-events.so.1\n"), ""),
                         done)

    def test_another_library(self):
        last = self.refused(ctypes.util.find_library("c") or "libc.so.6")
        self.assertIn("bitmem_version", last)

    def test_no_library_at_all(self):
        self.assertIn("version.py", self.refused(os.path.join(PACKAGE, "version.py")))

    def test_an_older_one(self):
        env = self.changed("version.py", bitmem.__version__, "999.5.0")
        last = self.refused(os.environ["BITMEM_LIBRARY"], env)
        self.assertIn(f"is version {bitmem.library_version}", last)
        self.assertIn("version 999.5.0", last)

    def test_a_newer_or_patched_one(self):
        major, minor, _ = bitmem.__version__.split(".")
        for version in ("0.0.1", f"{major}.{minor}.999"):
            env = self.changed("version.py", bitmem.__version__, version)
            done = python("import bitmem; print(bitmem.__version__)", env=env)
            self.assertEqual((0, version + "\n", ""), done)

    def test_one_without_a_function(self):
        env = self.changed("_functions.py", '"bitmem_trim":', '"bitmem_fly": (P, ()), "bitmem_trim":')
        self.assertIn("has no bitmem_fly()", self.refused(os.environ["BITMEM_LIBRARY"], env))

    def test_without_numpy(self):
        done = python("""
            import sys
            sys.modules["numpy"] = None
            import bitmem
            with bitmem.open() as pool, pool.copy(b"abc") as tensor:
                print(tensor.memoryview().tolist(), bitmem.dtype("F32"))
                try:
                    bitmem.dtype(float)
                except bitmem.InvalidError:
                    print("no type")
                try:
                    tensor.numpy()
                except ImportError:
                    print("no NumPy")
            """)
        self.assertEqual((0, "[97, 98, 99] F32\nno type\nno NumPy\n", ""), done)

    def test_versions(self):
        self.assertEqual(bitmem.__version__, bitmem.library_version)

    def test_everything_that_is_exported(self):
        for name in bitmem.__all__:
            self.assertTrue(hasattr(bitmem, name), name)
        self.assertTrue(os.path.exists(os.path.join(PACKAGE, "py.typed")))


def camel(name):
    """struct bitmem_pool_options of PoolOptions."""
    return "bitmem_" + re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


C_NAMES = {"CError": "bitmem_error", "DTypeInfo": "bitmem_dtype_info", "Place": "bitmem_place",
           "DLManagedTensor": "DLManagedTensor",
           "DLManagedTensorVersioned": "DLManagedTensorVersioned"}
C_MEMBERS = {"tensor": "dl_tensor", "major": "version.major", "minor": "version.minor"}


@unittest.skipUnless(REPOSITORY, "needs the headers and a compiler")
class Headers(unittest.TestCase):
    """The same layouts, numbers and functions as the C compiler finds in the headers."""

    HEADERS = ("bitmem", "dlpack", "events", "lifetime", "model", "pools", "pressure", "share",
               "track")

    def compiled(self, body):
        """What a C program prints."""
        includes = "".join(f"#include <bitmem/{name}.h>\n" for name in self.HEADERS)
        with tempfile.TemporaryDirectory() as directory:
            source, program = os.path.join(directory, "a.c"), os.path.join(directory, "a")
            with open(source, "w", encoding="utf-8") as file:
                file.write(f"#include <stdio.h>\n#include <stddef.h>\n{includes}"
                           f"int main(void) {{\n{body}\nreturn 0; }}\n")
            subprocess.run([os.environ.get("CC", "cc"), "-DBITMEM_NO_SITES", "-I",
                            os.path.join(REPOSITORY, "include"), source, "-o", program],
                           check=True, timeout=120)
            return subprocess.run([program], check=True, capture_output=True, text=True,
                                  timeout=120).stdout.splitlines()

    def test_structures(self):
        structs = [cls for _, cls in inspect.getmembers(_structs, inspect.isclass)
                   if issubclass(cls, ctypes.Structure) and cls is not _structs.Sized
                   and cls.__module__ == _structs.__name__]
        self.assertGreater(len(structs), 20)
        body, expected = [], []
        for cls in structs:
            name = "struct " + C_NAMES.get(cls.__name__, camel(cls.__name__))
            if not cls.__name__.startswith("DL"):
                body.append(f'printf("{name} %zu\\n", sizeof({name}));')
                expected.append(f"{name} {ctypes.sizeof(cls)}")
            for member, *_ in cls._fields_:
                field = getattr(cls, member)
                c_member = C_MEMBERS.get(member, member) if name.startswith("struct DL") else member
                body.append(f'printf("{name}.{c_member} %zu %zu\\n", offsetof({name}, {c_member}), '
                            f"sizeof((({name} *)0)->{c_member}));")
                expected.append(f"{name}.{c_member} {field.offset} {field.size}")
        self.assertEqual(expected, self.compiled("\n".join(body)))

    def test_numbers(self):
        from bitmem import dlpack, model, pool, pressure, tensor, trace, tracking
        from bitmem.events import EventType, OWNERS
        numbers = {f"BITMEM_PRESSURE_{level.name}": level for level in pressure.Pressure}
        numbers |= {f"BITMEM_RETURN_{flag.name}": flag for flag in pressure.Return}
        numbers |= {f"BITMEM_EVENT_{kind.name}": kind for kind in EventType}
        numbers |= {f"BITMEM_BACKEND_{n.upper()}": v for n, v in pool.BACKENDS.items()}
        numbers |= {f"BITMEM_TRACKING_{n.upper()}": v for n, v in pool.TRACKING.items()}
        numbers |= {f"BITMEM_DIALECT_{n.upper()}": v for n, v in model.DIALECTS.items()}
        numbers |= {f"BITMEM_REPORT_{n.upper()}": v for n, v in tracking.FORMATS.items()}
        numbers |= {f"BITMEM_POLICY_{n.upper()}": v for n, v in pool.POLICIES.items()}
        numbers |= {f"BITMEM_LIVE_{n.upper()}": i for i, n in enumerate(tracking.KINDS)}
        numbers |= {f"BITMEM_TRACE_{kind.name}": kind for kind in bitmem.TraceKind}
        numbers |= {f"BITMEM_{n}": d.number for n, d in bitmem.dtypes.items()}
        numbers |= {
            "BITMEM_MAX_DIMS": _structs.MAX_DIMS, "BITMEM_MAX_POOLS": _structs.MAX_POOLS,
            "BITMEM_ALL_POOLS": pool.ALL, "BITMEM_INFER": tensor.INFER,
            "BITMEM_NAME_MAX": tensor.LABEL_SIZE - 1, "BITMEM_LIVE_SEGMENT": tracking.SEGMENT,
            "BITMEM_LIVE_SHARED": tracking.SHARED, "BITMEM_MODEL_BUFFERED": model.BUFFERED,
            "BITMEM_EVENTS_OWNERS": OWNERS, "BITMEM_TRACE_MAX": trace.MAX, "kDLCPU": dlpack.CPU[0],
            "DLPACK_MAJOR_VERSION": dlpack.VERSION[0], "DLPACK_MINOR_VERSION": dlpack.VERSION[1]}
        body = "\n".join(f'printf("{n} %llu\\n", (unsigned long long)({n}));' for n in numbers)
        self.assertEqual([f"{n} {int(v)}" for n, v in numbers.items()], self.compiled(body))

    def test_every_dtype_of_the_header(self):
        with open(os.path.join(REPOSITORY, "include/bitmem/dtype.h"), encoding="utf-8") as file:
            names = set(re.findall(r"^\tBITMEM_(\w+)(?: = \d+)?,", file.read(), re.M))
        self.assertEqual(names - {"DTYPE_INVALID"}, set(bitmem.dtypes))

    def test_arguments(self):
        """As many of each function as the headers say, each of its size."""
        sizes = []
        for name, (_, arguments) in {**_functions.FUNCTIONS, **_functions.EVENTS}.items():
            found = self.declared(name)
            sizes.append((name, len(found)))
            self.assertEqual(len(arguments), len(found), f"{name}: {found}")
            for argument, text in zip(arguments, found):
                pointer = "*" in text or "_fn " in text
                self.assertEqual(pointer, ctypes.sizeof(argument) == 8 and
                                 argument not in (ctypes.c_size_t, ctypes.c_uint64),
                                 f"{name}: {text} as {argument}")
                if not pointer:
                    size = 8 if re.search(r"size_t|uint64_t", text) else 4
                    self.assertEqual(size, ctypes.sizeof(argument), f"{name}: {text}")
        self.assertGreater(len(sizes), 60)

    def declared(self, function):
        for header in (*self.HEADERS, "dtype"):
            path = os.path.join(REPOSITORY, "include/bitmem", header + ".h")
            with open(path, encoding="utf-8") as file:
                text = re.sub(r"/\*.*?\*/", "", file.read(), flags=re.S)
            match = re.search(rf"[ *\n]{function}\(([^()]*)\)(?:\n\t__attr[^;]*)?;", text)
            if match:
                found = [argument.strip() for argument in match[1].split(",")]
                return [] if found == ["void"] else found
        raise AssertionError(f"{function}: in no header")


@unittest.skipUnless(REPOSITORY, "needs the repository")
class Types(unittest.TestCase):
    def test_mypy(self):
        mypy = shutil.which("mypy")
        if not mypy:
            self.skipTest("no mypy")
        with tempfile.TemporaryDirectory() as cache:
            done = subprocess.run([mypy, "--strict", "--cache-dir", cache, PACKAGE],
                                  capture_output=True, text=True, timeout=300, check=False,
                                  env={**os.environ, "PYTHONPATH": ""})
        self.assertEqual((0, "S"), (done.returncode, done.stdout[:1]), done.stdout + done.stderr)

    def test_it_installs(self):
        """make install, and import from there."""
        with tempfile.TemporaryDirectory() as root:
            subprocess.run(["make", "-s", "-C", os.path.join(REPOSITORY, "python"), "install",
                            f"DESTDIR={root}", "PREFIX=/usr", "PYTHON=/usr/bin/python3"],
                           check=True, timeout=120, stdout=subprocess.DEVNULL,
                           env={k: v for k, v in os.environ.items() if k != "MAKEFLAGS"})
            site = os.path.join(root, "usr/lib/python3/dist-packages")
            installed = sorted(os.listdir(os.path.join(site, "bitmem")))
            self.assertEqual(sorted(n for n in os.listdir(PACKAGE) if n != "__pycache__"), installed)
            done = python("import bitmem; print(bitmem.__file__, bitmem.__version__)",
                          env={"PYTHONPATH": site})
        self.assertEqual((0, f"{site}/bitmem/__init__.py {bitmem.__version__}\n", ""), done)
        with open(os.path.join(REPOSITORY, "libbitmem/Makefile"), encoding="utf-8") as file:
            self.assertIn(f"VERSION := {bitmem.__version__}\n", file.read())
