"""
Send items through a client, and end: `run.py FOLDER ITEMS term|ctrl_c|exit`.

The program of the client is `app.py` of the folder.
"""

import sys
import time

if __name__ == "__main__":  # not in a process of multiprocessing
    sys.path.insert(0, sys.argv[1])
    import app

    for number in range(int(sys.argv[2])):
        app.send(f"item-{number}.")
    print("ready")
    if sys.argv[3] == "exit":
        sys.exit(3)
    while True:
        time.sleep(0.01)
