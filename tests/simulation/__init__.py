"""The services' real handlers in a simulated cloud, on virtual time, with every chance drawn from one seed."""
