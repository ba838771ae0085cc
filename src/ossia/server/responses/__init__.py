"""OpenAI's Responses, stored and resumable.

requests    the fields of a request
given       the items of its input, as clients send them
items       what was said before, from those items
tools       the tools and the choice among them
asking      all of it, as an `Ask`
parts       one item of the output and the events that tell of it
composition       the response while it is being made
making      a request's way to its response: run, stored, told
background  responses that nobody waits for, streams that are taken up again
database    the stored responses, in SQLite
store       the same from an event loop
shelf       what a server keeps: the store, and what runs in the background
sealed      reasoning that a client carries
listing     the items of a stored response, page by page
routes      the paths
"""

from ossia.server.responses.routes import endpoints
from ossia.server.responses.shelf import close_shelf, open_shelf

__all__ = ["close_shelf", "endpoints", "open_shelf"]
