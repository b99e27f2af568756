"""One file a resource; each has a `router` whose paths are written out whole."""
