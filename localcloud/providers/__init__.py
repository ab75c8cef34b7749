"""Provider plugins of the local cloud: one thin gRPC layer and one module of handlers per package."""
