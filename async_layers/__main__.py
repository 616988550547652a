"""Run the command line: `python -m async_layers`."""

import sys

from async_layers.cli import main

if __name__ == "__main__":
    sys.exit(main())
