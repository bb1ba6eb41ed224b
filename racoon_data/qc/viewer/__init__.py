"""The viewer: a gallery and NiiVue on loopback, to look at a dataset and say which cases to keep."""
