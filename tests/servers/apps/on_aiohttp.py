"""The application in aiohttp: `on_aiohttp.py PORT`, or under gunicorn."""

import sys

import service
from aiohttp import web


async def view(request):
    """Answer."""
    return web.Response(text=await service.answer_async())


app = web.Application()
app.router.add_get("/", view)
if __name__ == "__main__":
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]))
