"""The front door of the twin: command line and Python API, the only package a user imports."""
