"""Export, deletion, retention, orphans."""
