"""``python -m ase_mlseqm`` is the command ``mlseqm``."""

import sys

from .entry import main

if __name__ == "__main__":  # not in processes that a command starts
    sys.exit(main())
