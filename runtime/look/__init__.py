"""What is laid over the moving picture: camera, light, moods, blur and grain;
and how frames are drawn between others, and larger."""
