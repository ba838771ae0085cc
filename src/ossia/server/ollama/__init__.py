"""Ollama's API, at the paths where its clients look for it.

request   what a client sends, as an `Ask`
options   its `options` and `keep_alive`
reply     the turn's events, as its lines
routes    /api/chat and /api/generate
models    what is here, what is loaded, fetching and removing
"""

from ossia.server.ollama import models, routes

__all__ = ["endpoints"]

endpoints = (*routes.endpoints, *models.endpoints)
