"""The training buffer as an Iceberg table."""
