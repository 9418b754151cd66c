"""The application in Sanic."""

import sanic
import service

app = sanic.Sanic("service")


@app.get("/")
async def view(request):
    """Answer."""
    return sanic.text(await service.answer_async())
