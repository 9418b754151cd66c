"""A notebook of marimo."""

import marimo

app = marimo.App()


@app.cell
def _():
    from owner import own

    own()


@app.cell
def _():
    # The names of a cell may be gone when the items run.
    from owner import say

    import graceexit

    graceexit.on_exit(lambda: say("perhaps"))
    say("ran")
