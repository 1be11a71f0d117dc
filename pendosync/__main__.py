"""`python -m pendosync`: the command line."""

import sys

from pendosync.cli import main

sys.exit(main())
