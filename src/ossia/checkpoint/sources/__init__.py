"""Where models come from: names, the hub, Ollama's registry, and the folders in which programs keep what they fetched.

names        what users call a model, and what that stands for
settings     the environment variables and folders of Hugging Face, Ollama, LM Studio and llama.cpp
transport    HTTP: where tokens may go, what is tried again, how much is read
part         the file that a download grows in
download     one file by parallel ranges: resumed, verified, and only then given its name
locks        one download of a file at a time, among processes
layouts      which files of a repository belong to one layout
hub          what the Hugging Face hub has
registry     what an Ollama registry has
hub_cache    Hugging Face's cache on disk: read, written, emptied
ollama_store Ollama's, likewise
others       what LM Studio and llama.cpp keep: read only
records      which models Ossia itself has pulled
verdict      whether a file can be run here, and if not, what would help
inventory    all models on this machine
pulling      fetching a model
removal      removing one
"""
