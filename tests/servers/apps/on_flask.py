"""The application in Flask."""

import flask
import service

app = flask.Flask(__name__)
app.add_url_rule("/", view_func=service.answer)
