"""rq: the recipe for its work horses."""

import os
import signal

import rq

Worker = rq.Worker

if os.environ.get("PLAIN") != "1":
    import graceexit

    class Worker(rq.Worker):
        """A worker whose horses clean up before os._exit."""

        def perform_job(self, *args):
            """Do the job of a horse; end as without this, where a signal has come."""
            try:
                return super().perform_job(*args)
            finally:
                report = graceexit.shutdown()
                if report.signum is not None:
                    graceexit.uninstall()
                    signal.raise_signal(report.signum)
