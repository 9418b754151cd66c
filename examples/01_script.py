"""
A script that makes a temporary folder, and removes it however it ends.

python 01_script.py 3      three steps, then the end of the program
python 01_script.py 1000   end it with Ctrl-C, or with kill and its pid
"""

import shutil
import sys
import tempfile
import time
from pathlib import Path

import graceexit

folder = Path(tempfile.mkdtemp())


@graceexit.on_exit
def remove_folder():
    """Remove what the script has made."""
    shutil.rmtree(folder)
    print("removed", folder, flush=True)


for step in range(1, int(sys.argv[1]) + 1):
    (folder / f"step-{step}").write_text("done")
    print("step", step, "in", folder, flush=True)
    time.sleep(0.1)
