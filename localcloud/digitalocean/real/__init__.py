"""DigitalOcean's machines and networks, made of containers, bridges, loop devices and packet-filter rules."""
