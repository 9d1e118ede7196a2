"""What is heard under a film: music and a voice, read, measured, brought to length and loudness."""
