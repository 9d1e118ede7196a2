"""Records of `reverie bench` from machines that the project does not have."""
