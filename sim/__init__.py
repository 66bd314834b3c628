"""The world: clock, wires, gateways, meters, households, weather, prices, chance and recorder."""

from sim.kernel_cache import forget_stale_kernels

forget_stale_kernels()
