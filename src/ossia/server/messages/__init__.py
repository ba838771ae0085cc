"""Anthropic's Messages, for the coding agents that speak it.

request  what a client sends, as an `Ask`
reply    the turn's events, as content blocks
routes   /v1/messages and /v1/messages/count_tokens
"""

from ossia.server.messages.routes import endpoints

__all__ = ["endpoints"]
