"""`reverie bench`: what a render costs on this machine, phase by phase, with every sample kept."""
