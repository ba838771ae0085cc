"""OpenAI's Chat Completions.

request  what a client sends, as an `Ask`
reply    the turn's events, as chunks or as one answer
routes   the path
"""

from ossia.server.chat.routes import endpoints

__all__ = ["endpoints"]
