"""Gradio with one function: `on_gradio.py PORT`."""

import sys

import gradio
import service


def answer() -> str:
    """Answer."""
    return service.answer()


with gradio.Blocks() as page:
    gradio.api(answer, api_name="answer")
page.launch(server_name="127.0.0.1", server_port=int(sys.argv[1]))
