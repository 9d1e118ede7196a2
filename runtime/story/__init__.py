"""Several photos as one film: the plan, the rhythm found in pictures, the shots, the joining."""
