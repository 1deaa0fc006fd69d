"""What users import. Everything public is exported by the package `aeterna` itself."""
