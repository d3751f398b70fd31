"""Starts the job in the driver; everything it needs is in the environment that came with it."""

import runpy

runpy.run_module("job_analytics", run_name="__main__")
