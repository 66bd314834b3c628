"""Physics of the devices: columns in, columns out, with NumPy and Numba only."""
