"""The application in Litestar."""

import litestar
import service


@litestar.get("/", media_type="text/plain")
async def view() -> str:
    """Answer."""
    return await service.answer_async()


app = litestar.Litestar([view])
