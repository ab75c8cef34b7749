"""What the three provider plugins share: one thin gRPC layer, and what a resource type implements."""
