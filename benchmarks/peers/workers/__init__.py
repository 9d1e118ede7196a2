"""Scripts that run in the peers' own environments: they know a job and a recorder, not Reverie."""
