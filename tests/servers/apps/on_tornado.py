"""The application in Tornado: `on_tornado.py PORT`."""

import asyncio
import sys

import service
from tornado.web import Application, RequestHandler


class View(RequestHandler):
    """The page."""

    async def get(self):
        """Answer."""
        self.finish(await service.answer_async())


async def main():
    """Serve."""
    Application([("/", View)]).listen(int(sys.argv[1]), "127.0.0.1")
    await asyncio.Event().wait()


asyncio.run(main())
