"""The web console: pages made on the server, for the people who look after the fleet."""
