"""The training buffer as Parquet files."""
