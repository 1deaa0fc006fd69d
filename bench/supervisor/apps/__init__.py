"""The tiny applications that every system serves: the same answers from ASGI, WSGI and Node."""
