"""SQLAlchemy: a session is committed at the end, then the pool of the engine is closed."""

import os
from functools import partial

import psycopg
from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session

import graceexit

connect = partial(psycopg.connect, os.environ["ADDRESS"])
engine = create_engine("postgresql+psycopg://", creator=connect)
session = Session(engine)
graceexit.on_exit(engine.dispose)
graceexit.on_exit(session.commit)


def send(item):
    """Insert an item."""
    session.execute(text("INSERT INTO items VALUES (:item)"), {"item": item})
