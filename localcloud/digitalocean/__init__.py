"""The stand-in for DigitalOcean."""
