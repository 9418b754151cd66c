"""A rehearsal of a shutdown: `python -m graceexit rehearse`. The library imports none of it."""
