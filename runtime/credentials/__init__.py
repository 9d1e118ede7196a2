"""What a film says of itself: C2PA manifests, the key that signs them, and reading them back."""
