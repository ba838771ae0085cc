"""HTTP over the engine: the APIs that existing clients speak, and the processes that run the models.

border    the messages between the server and an engine's process
worker    the engine's process
remote    that process, seen from the server: `RemoteEngine`
models    models by name, loaded on demand, unloaded when idle: `Models`
"""
