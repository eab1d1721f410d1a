"""Evidence bundles: everything about one named trace in a signed zip that a third party can check offline."""
