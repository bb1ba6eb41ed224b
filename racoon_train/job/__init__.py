"""The federation job, a section a module: labels, network, training, rules of the round."""
