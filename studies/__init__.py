"""The questions people ask of the twin, each answered from runs and their folders."""
