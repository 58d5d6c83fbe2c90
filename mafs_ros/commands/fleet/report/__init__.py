"""The merged report of a fleet: fleet.json, fleet.csv, fleet.html."""
