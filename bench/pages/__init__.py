"""Every page and API route at a distribution's size: how long it takes, and how many queries it asks."""
