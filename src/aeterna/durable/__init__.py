"""The durable half: a job never loses its place. It never imports the supervisor."""
