"""`application`: the WSGI callable, for gunicorn and for a web server with mod_wsgi."""

from __future__ import annotations

from frontend.app import create_app
from koschei import config as koschei_config
from koschei import logs

_config = koschei_config.load()
logs.configure(_config.logging.level, _config.logging.format, service="frontend")
application = create_app(_config)
