"""What every room may need: errors, files of the package, atomic writing, stamps, tables."""
