"""The application in Django, for WSGI and for ASGI."""

import service
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.urls import path

settings.configure(
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    SECRET_KEY="not one",  # noqa: S106
    USE_TZ=True,
)


def view(request):
    """Answer."""
    return HttpResponse(service.answer())


urlpatterns = [path("", view)]
wsgi = get_wsgi_application()
asgi = get_asgi_application()
