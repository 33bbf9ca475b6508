# SPDX-License-Identifier: GPL-2.0
"""usage: model.py FILE: writes a small model."""

import json
import struct
import sys

header = json.dumps({"weight": {"dtype": "F32", "shape": [256, 4], "data_offsets": [0, 4096]}})
with open(sys.argv[1], "wb") as file:
    file.write(struct.pack("<Q", len(header)) + header.encode() + struct.pack("<f", 0.5) * 1024)
