"""
A child writes a file with somebody's library, and is terminated; 20 of them, one after the other.

`writes.py LIBRARY process|executor|pool FOLDER`, and `writes.py LIBRARY reads FOLDER` to read them.
"""

import multiprocessing
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import graceexit

ROWS = 500
CONTEXT = multiprocessing.get_context("spawn")


def pyarrow(path):
    """Write Parquet, which cannot be read without its footer, which `close` writes."""
    import pyarrow as pa
    from pyarrow import parquet

    writer = parquet.ParquetWriter(path, pa.schema([("n", pa.int64())]))
    graceexit.on_exit(writer.close)
    return lambda first: writer.write_table(pa.table({"n": range(first, first + ROWS)}))


def read_pyarrow(path):
    from pyarrow import parquet

    return parquet.read_table(path)["n"].to_pylist()


def lmdb(path):
    """Write to an environment, which must not be closed under a transaction."""
    import lmdb

    env = lmdb.open(path, map_size=1 << 28, sync=False)
    graceexit.on_exit(env.close)

    def write(first):
        with env.begin(write=True) as transaction:
            for n in range(first, first + ROWS):
                transaction.put(b"%010d" % n, b"x")

    return write


def read_lmdb(path):
    import lmdb

    with lmdb.open(path, map_size=1 << 28) as env, env.begin() as transaction:
        return [int(key) for key, _ in transaction.cursor()]


def duckdb(path):
    """Write to a database that is not closed while another thread is in a call."""
    import duckdb

    connection = duckdb.connect(path)
    connection.execute("CREATE TABLE t (n BIGINT)")
    graceexit.on_exit(connection.close)
    insert = "INSERT INTO t SELECT * FROM range(?, ?)"
    return lambda first: connection.execute(insert, [first, first + ROWS])


def read_duckdb(path):
    import duckdb

    assert not Path(f"{path}.wal").exists()  # it has been closed
    with duckdb.connect(path, read_only=True) as connection:
        return [n for (n,) in connection.execute("SELECT n FROM t ORDER BY n").fetchall()]


def h5py(path):
    """Write by Python code that is called with the lock which `close` waits for."""
    import h5py

    file = h5py.File(path, "w")
    numbers = file.create_dataset("n", (0,), maxshape=(None,), dtype="i8", chunks=(ROWS,))
    graceexit.on_exit(file.close)

    def write(first):
        numbers.resize((first + ROWS,))
        numbers[first:] = range(first, first + ROWS)

    return write


def read_h5py(path):
    import h5py

    with h5py.File(path) as file:
        numbers = file["n"][:].tolist()
    # It may have come between the two calls.
    return numbers if numbers[-1] else numbers[:-ROWS]


writing = None


def work(library, path, event=None):
    write = globals()[library](path)
    for number in range(10**9):
        write(number * ROWS)
        (event or writing).set()


def remember(event):
    global writing
    writing = event


def terminate(event, number):
    """Terminate the child when it is in the middle of something, and say how it has ended."""
    event.wait()
    time.sleep(0.002 * number)
    (child,) = multiprocessing.active_children()
    child.terminate()
    while child.exitcode is None:
        time.sleep(0.01)
    print(child.exitcode)


def main(library, how, folder):
    for number in range(20):
        path = str(Path(folder, str(number)))
        event = CONTEXT.Event()
        if how == "reads":
            numbers = globals()[f"read_{library}"](path)
            assert numbers == list(range(len(numbers)))
            print("whole" if len(numbers) >= ROWS else "empty")
        elif how == "process":
            CONTEXT.Process(target=work, args=(library, path, event)).start()
            terminate(event, number)
        elif how == "executor":
            with ProcessPoolExecutor(1, CONTEXT, remember, (event,)) as executor:
                job = executor.submit(work, library, path)
                terminate(event, number)
                print(type(job.exception()).__name__)
        else:
            with CONTEXT.Pool(1, remember, (event,)) as pool:
                pool.apply_async(work, (library, path))
                terminate(event, number)


if __name__ == "__main__":
    main(*sys.argv[1:])
