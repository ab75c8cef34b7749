"""The real local cloud: droplets are system containers, networks are bridges, the firewall is the machine's own."""
