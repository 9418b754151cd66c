"""
Write to a file that wants to be closed: `stored.py sqlite3|zip|local HOW PATH`.

HOW is `plain`, `on_exit`, `any` (a connection for any thread) or `finally`; `zip` and `local` are
stores of zarr. `reads` prints the numbers that are there.
"""

import sqlite3
import sys
import time
import zipfile

import graceexit

SIZE = 1000  # of a chunk
kind, how, path = sys.argv[1:]


def numbers():
    """Return what can be read, of zarr the numbers of whole chunks."""
    if kind == "sqlite3":
        rows = sqlite3.connect(path).execute("SELECT n FROM t ORDER BY n")
        return [number for (number,) in rows]
    import zarr

    store = zarr.storage.ZipStore if kind == "zip" else zarr.storage.LocalStore
    try:
        array = zarr.open_array(store(path, read_only=True), mode="r")
    except zipfile.BadZipFile:
        return []
    chunks = array[:].reshape(-1, SIZE)
    assert bool((chunks == chunks[:, :1]).all())
    return [number - 1 for number in chunks[:, 0].tolist() if number]


if how == "reads":
    print(numbers())
    sys.exit()
if kind == "sqlite3":
    connection = sqlite3.connect(path, check_same_thread=how != "any")
    connection.execute("CREATE TABLE t (n INTEGER)")
    connection.commit()

    def write(number):
        connection.execute("INSERT INTO t VALUES (?)", (number,))

    def close():
        connection.commit()
        connection.close()

else:
    import zarr

    store = (
        zarr.storage.ZipStore(path, mode="w") if kind == "zip" else zarr.storage.LocalStore(path)
    )
    close = store.close
    array = zarr.create_array(store=store, shape=(SIZE * 1000,), chunks=(SIZE,), dtype="i8")

    def write(number):
        array[number * SIZE : (number + 1) * SIZE] = number + 1


if how in {"on_exit", "any"}:
    graceexit.on_exit(close)
elif how == "finally":
    graceexit.install()
try:
    for number in range(1000):
        write(number)
        if number == 5:
            print("writes", flush=True)
        time.sleep(0.002)
    while True:
        time.sleep(0.01)
finally:
    if how == "finally":
        close()
