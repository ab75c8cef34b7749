"""The local cloud: DigitalOcean and Cloudflare, as far as the program uses them, on one Linux machine."""
