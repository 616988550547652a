"""What the layers of both worlds share: outcomes, guards, deadlines, holders."""
