"""
Dask's LocalCluster: `on_local_cluster.py processes` or `on_local_cluster.py threads`.

Its workers are processes, each with a nanny in this one, or threads of this one. SIGTERM unwinds
the main thread, as Ctrl-C does, so that the cluster is closed, which waits for the task.
"""

import sys
import time

if __name__ == "__main__":
    import service
    from distributed import Client, LocalCluster

    processes = sys.argv[1] == "processes"
    with (
        LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            processes=processes,
            dashboard_address=None,
            preload=["on_dask"] if processes else [],
        ) as cluster,
        Client(cluster) as client,
    ):
        task = client.submit(service.answer)
        while True:
            time.sleep(0.05)
