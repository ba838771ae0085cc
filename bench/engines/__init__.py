"""The parts of bench/cpu.py: the engines that are compared, what they are given to do, and the page of it."""
