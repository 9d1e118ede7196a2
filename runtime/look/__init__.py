"""What is laid over the moving picture: camera, light and grain, each one small file."""
