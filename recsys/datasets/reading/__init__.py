"""From files and folders to tables: Parquet, CSV, and the rows that a condition keeps."""
