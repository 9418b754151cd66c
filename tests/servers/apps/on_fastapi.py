"""The application in FastAPI."""

import fastapi
import service
from fastapi.responses import PlainTextResponse

app = fastapi.FastAPI()
app.get("/", response_class=PlainTextResponse)(service.answer_async)
