"""Files: what users give to the commands as tables, models and archives, and folders of any filesystem."""
