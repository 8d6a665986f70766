"""The network between training and deployment: layers, activity, decision and file."""
