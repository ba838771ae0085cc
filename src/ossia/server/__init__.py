"""HTTP over the engine: the APIs that existing clients speak, and the processes that run the models.

serving      a whole server, from its start to its end; settings what its operator wants, listening its sockets
app          every endpoint behind one door: guard; clients who asks, body what, faults how an error is said
endpoint     what a package for an API offers; streams answers in parts; openapi the description of all
chat, completions, responses, ollama, messages      one package for each API
ask          what is asked, whatever API it came by; structure, sampling, effort, dialogue read it, recall remembers
exchange     one request's way: the model leased, the turn planned (plan) and run (turns)
models       models by name, loaded on demand, unloaded when idle: `Models`; catalogue those on disk
remote       an engine in a process of its own, seen from the server: `RemoteEngine`
border       the messages between the two
worker       that process
metrics      what is counted; journal what is written down; standing how the server is
batch        a file of requests, answered without a socket
"""
