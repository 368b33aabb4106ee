"""``python -m stride`` is the program ``stride``."""

import os
import sys

from ._find import binary

if __name__ == "__main__":
    os.execv(binary(), ["stride", *sys.argv[1:]])
