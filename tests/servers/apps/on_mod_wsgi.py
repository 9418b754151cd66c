"""
Apache with mod_wsgi: `on_mod_wsgi.py OPTIONS`, the options of `mod_wsgi-express start-server`.

Apache does not serve as root. In a user namespace root is somebody else, with the same files.
"""

import os
import sys
import tempfile
from pathlib import Path

command = [f"{Path(sys.executable).parent}/mod_wsgi-express", "start-server"]
command += ["--application-type", "module", "service", "--callable-object", "wsgi"]
command += ["--working-directory", str(Path.cwd()), "--log-to-terminal", *sys.argv[1:]]
command += ["--socket-prefix", tempfile.gettempdir()]  # a socket has to have a short name
if os.getuid() == 0:
    command = ["unshare", "--user", "--map-user=33", "--map-group=33", *command]
os.execvp(command[0], command)  # noqa: S606
