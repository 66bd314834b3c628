"""The world: clock, wires, gateways, meters, households, weather, prices, chance and recorder."""
