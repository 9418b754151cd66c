"""
The application in CherryPy: `on_cherrypy.py PORT`.

CherryPy joins every thread before Python's hooks come, the worker of a pool too. So its own "exit"
runs the items, and the pool is one of them.
"""

import sys

import cherrypy
import service


class Root:
    """The pages."""

    @cherrypy.expose
    def index(self):
        """Answer."""
        return service.answer()


if not service.PLAIN:
    import graceexit

    graceexit.on_exit(service.pool.shutdown)
    cherrypy.engine.subscribe("exit", graceexit.shutdown, priority=90)
cherrypy.config.update({"server.socket_port": int(sys.argv[1]), "engine.autoreload.on": False})
cherrypy.quickstart(Root())
