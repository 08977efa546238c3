"""What the containers of docker-compose.yml run besides the services: secrets, topics, databases, receivers."""
