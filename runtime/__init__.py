"""The way of a photo to a clip: bundles, the loop, pictures, clips. Never PyTorch."""
