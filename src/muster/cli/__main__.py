"""`python -m muster.cli` is `muster`."""

import sys

from muster.cli.application import main

sys.exit(main())
