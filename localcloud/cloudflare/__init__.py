"""The stand-in for Cloudflare."""
