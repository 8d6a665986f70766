"""One self-contained HTML page about trained networks, their integers and their runs."""
