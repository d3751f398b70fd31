"""`python -m corelib.cli`: the same as `corelib`."""

import sys

from corelib.cli.main import main

sys.exit(main())
