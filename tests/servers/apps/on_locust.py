"""Locust: a user whose task takes a while."""

import service
from locust import User, task


class Somebody(User):
    """One user."""

    @task
    def ask(self):
        """Take a while."""
        service.answer()
