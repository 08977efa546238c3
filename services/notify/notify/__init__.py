"""notify owns contacts and deliveries: it tells people by SMS and e-mail, and can prove it."""
