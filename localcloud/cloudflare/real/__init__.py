"""Cloudflare's proxy, made of an nginx in a container."""
